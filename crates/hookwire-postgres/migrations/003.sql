-- `publish(text)` takes the payload as a string too, and depends on no setting of the session that calls it.

CREATE FUNCTION refuse_escapes(document text) RETURNS void LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT SET standard_conforming_strings = on AS $$
DECLARE
    member record;
BEGIN
    IF json_typeof(document::json) <> 'object' THEN
        PERFORM refuse('document', 'is to be a JSON object');
    END IF;
    -- Without escaped backslashes, each backslash begins an escape. Those of `\u` then read as text.
    FOR member IN SELECT key, value::text FROM json_each(replace(replace(document, '\\', ''), '\u', '\\u')::json) LOOP
        BEGIN
            PERFORM replace(member.value, '\\u', '\u')::json #>> '{}';
        EXCEPTION WHEN untranslatable_character OR invalid_text_representation THEN
            PERFORM refuse(member.key, 'has the escape \u0000 or half a surrogate pair, which PostgreSQL cannot read; a payload with them passes as payload_text');
        END;
    END LOOP;
    PERFORM refuse('document', 'has a member whose name PostgreSQL cannot read');
END $$;
COMMENT ON FUNCTION refuse_escapes(text) IS 'Refuses a document with escapes that PostgreSQL cannot read, by the member that has them.';

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
        ('tenant', 'event_id', 'payload', 'payload_text', 'message_id', 'time', 'department', 'source', 'actor') LIMIT 1;
    IF field IS NOT NULL THEN
        PERFORM refuse(field, 'is not known; there are tenant, event_id, payload, payload_text, message_id, time, department, source and actor');
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
    INSERT INTO event (tenant, message, event_id, "time", department, source, actor, payload, published_at, alive_at)
    VALUES (given ->> 'tenant', id, (given ->> 'event_id')::bigint, coalesce((given ->> 'time')::bigint, now_ms),
        (given ->> 'department')::bigint, given ->> 'source', given ->> 'actor',
        coalesce(given ->> 'payload_text', (given -> 'payload')::text), now_ms, now_ms)
    ON CONFLICT (tenant, message) DO NOTHING;
    RETURN id;
END $$;
COMMENT ON FUNCTION publish(text) IS 'Publishes an event within the caller''s transaction: {"tenant", "event_id", "payload" or, as a string, "payload_text", and perhaps "message_id", "time" in milliseconds, "department", "source", "actor"}. Gives the message id. One that the tenant has already is kept as it is.';
