-- Webhooks by the time at which hookwire disabled them. Code of before goes on without it.

CREATE INDEX lane_disabled ON lane (disabled_at, tenant, hook) WHERE status = 0 AND disabled IS NOT NULL;
COMMENT ON COLUMN lane.disabled_at IS 'When the webhook was disabled; null while it is enabled.';

-- When it was is not known; a listing by date has them all the same.
UPDATE lane SET disabled_at = clock_ms() WHERE status = 0 AND disabled IS NOT NULL AND disabled_at IS NULL;

CREATE OR REPLACE FUNCTION check_document(document json) RETURNS void LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT SET standard_conforming_strings = on AS $$
DECLARE
    field text;
    most integer;
BEGIN
    IF json_typeof(document) <> 'object' THEN
        PERFORM refuse('document', 'is to be a JSON object');
    END IF;
    SELECT key INTO field FROM json_object_keys(document) AS keys (key) WHERE key NOT IN
        ('tenant', 'event_id', 'payload', 'payload_text', 'message_id', 'time', 'department', 'source', 'actor', 'trace') LIMIT 1;
    IF field IS NOT NULL THEN
        PERFORM refuse(field, 'is not known; there are tenant, event_id, payload, payload_text, message_id, time, department, source, actor and trace');
    END IF;
    FOREACH field IN ARRAY ARRAY['tenant', 'message_id', 'source', 'actor', 'payload_text'] LOOP
        IF json_typeof(document -> field) NOT IN ('string', 'null') THEN
            PERFORM refuse(field, 'is to be a string');
        END IF;
    END LOOP;
    FOREACH field IN ARRAY ARRAY['event_id', 'time', 'department'] LOOP
        IF json_typeof(document -> field) <> 'null' AND (document ->> field) !~ '^-?[0-9]{1,19}$' THEN
            PERFORM refuse(field, 'is to be a whole number');
        END IF;
        IF (document ->> field)::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
            PERFORM refuse(field, 'is to be a whole number of 64 bits');
        END IF;
    END LOOP;
    FOREACH field IN ARRAY ARRAY['tenant', 'source'] LOOP
        IF char_length(document ->> field) NOT BETWEEN 1 AND 128
            OR (document ->> field) ~ '[\u0001-\u001F\u007F-\u009F]' THEN
            PERFORM refuse(field, 'is to be 1 to 128 characters without control characters');
        END IF;
    END LOOP;
    IF char_length(document ->> 'actor') > 256 OR (document ->> 'actor') ~ '[\u0001-\u001F\u007F-\u009F]' THEN
        PERFORM refuse('actor', 'is to be at most 256 characters without control characters');
    END IF;
    IF json_typeof(document -> 'trace') NOT IN ('object', 'null') THEN
        PERFORM refuse('trace', 'is to be an object with traceparent and perhaps tracestate');
    END IF;
    IF json_typeof(document -> 'trace') = 'object' THEN
        IF coalesce(document -> 'trace' ->> 'traceparent', '') !~
            '^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$' THEN
            PERFORM refuse('trace', 'is to have a traceparent like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
        END IF;
        IF octet_length(document -> 'trace' ->> 'tracestate') > 512
            OR EXISTS (SELECT FROM unnest(string_to_array(document -> 'trace' ->> 'tracestate', ',')) AS entry
                WHERE entry !~ '^[ \t]*([a-z0-9][-a-z0-9_*/@]{0,255}=[ -<>-~]*[!-<>-~][ \t]*)?$') THEN
            PERFORM refuse('trace', 'is to have a tracestate of entries like vendor=value, of at most 512 bytes together');
        END IF;
    END IF;
    IF document ->> 'tenant' IS NULL THEN
        PERFORM refuse('tenant', 'is missing');
    END IF;
    IF document ->> 'event_id' IS NULL THEN
        PERFORM refuse('event_id', 'is missing');
    END IF;
    IF (document ->> 'event_id')::bigint NOT BETWEEN 0 AND 4294967295 THEN
        PERFORM refuse('event_id', 'is to be 0 to 4294967295');
    END IF;
    IF (document ->> 'message_id') !~ '^[A-Za-z0-9_-]{1,64}$' THEN
        PERFORM refuse('message_id', 'is to be 1 to 64 of the characters A-Z, a-z, 0-9, _ and -');
    END IF;
    IF (document ->> 'message_id') LIKE 'test\_%' THEN
        PERFORM refuse('message_id', 'begins with test_, by which receivers tell tests from events; choose another');
    END IF;
    IF document -> 'payload' IS NULL AND document ->> 'payload_text' IS NULL THEN
        PERFORM refuse('payload', 'is missing');
    END IF;
    IF document -> 'payload' IS NOT NULL AND document ->> 'payload_text' IS NOT NULL THEN
        PERFORM refuse('payload_text', 'stands beside payload; give one of them');
    END IF;
    SELECT payload_bytes INTO most FROM settings;
    IF octet_length(coalesce(document ->> 'payload_text', (document -> 'payload')::text)) > most THEN
        PERFORM refuse('payload', format('is larger than %s bytes', most));
    END IF;
    BEGIN
        PERFORM (document ->> 'payload_text')::json;
    EXCEPTION
        WHEN invalid_text_representation THEN
            PERFORM refuse('payload_text', 'is to be JSON');
        WHEN statement_too_complex THEN
            NULL; -- It nests deeper than the server can follow; hookwire itself does not mind.
    END;
END $$;

CREATE OR REPLACE FUNCTION publish(document text) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    given json := document::json;
    id text;
    now_ms bigint := clock_ms();
BEGIN
    IF given IS NULL THEN
        PERFORM refuse('document', 'is missing');
    END IF;
    BEGIN
        PERFORM given #>> '{}';
    EXCEPTION WHEN untranslatable_character OR invalid_text_representation THEN
        PERFORM refuse_escapes(document);
    END;
    PERFORM check_document(given);
    id := coalesce(given ->> 'message_id', 'msg_' || replace(gen_random_uuid()::text, '-', ''));
    INSERT INTO event (tenant, message, event_id, "time", department, source, actor, payload, published_at, alive_at, trace)
    VALUES (given ->> 'tenant', id, (given ->> 'event_id')::bigint, coalesce((given ->> 'time')::bigint, now_ms),
        (given ->> 'department')::bigint, given ->> 'source', given ->> 'actor',
        coalesce(given ->> 'payload_text', (given -> 'payload')::text), now_ms, now_ms,
        CASE json_typeof(given -> 'trace') WHEN 'object' THEN given -> 'trace' END)
    ON CONFLICT (tenant, message) DO NOTHING;
    RETURN id;
END $$;
COMMENT ON FUNCTION publish(text) IS 'Publishes an event within the caller''s transaction: {"tenant", "event_id", "payload" or, as a string, "payload_text", and perhaps "message_id", "time" in milliseconds, "department", "source", "actor", "trace"}. Gives the message id. One that the tenant has already is kept as it is.';

COMMENT ON COLUMN event.trace IS 'The trace context in which it was published, as JSON; null if there is none.';
