-- Versions that work on one schema, and columns for what is to come. Those are null until there is code for them, so
-- that the step which brings it only adds, and code of before goes on.

ALTER TABLE settings ADD COLUMN oldest_code integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN settings.version IS 'The number of the last migration.';
COMMENT ON COLUMN settings.oldest_code IS 'The last migration that code has to know at least to use this schema.';

ALTER TABLE settings ADD COLUMN longest_delay bigint NOT NULL DEFAULT 172800000;
COMMENT ON COLUMN settings.longest_delay IS 'The longest time that anybody let something wait: two days, or what was asked for.';

ALTER TABLE lane ALTER COLUMN paused_until DROP NOT NULL;
COMMENT ON COLUMN lane.paused_until IS 'When its backoff ends; null if it was asked for none.';

ALTER TABLE tenant ADD COLUMN suspended_at bigint;
COMMENT ON COLUMN tenant.suspended_at IS 'To come: since when nothing of it is delivered; null if it is.';

ALTER TABLE lane
    ADD COLUMN unreadable_at bigint,
    ADD COLUMN user_paused_at bigint,
    ADD COLUMN rate json,
    ADD COLUMN cap integer,
    ADD COLUMN disabled_at bigint,
    ADD COLUMN succeeded_at bigint,
    ADD COLUMN creation_key bytea;
COMMENT ON COLUMN lane.unreadable_at IS 'Since when its row cannot be read; null if it can.';
COMMENT ON COLUMN lane.user_paused_at IS 'To come: since when its user lets its deliveries wait; null while it does not.';
COMMENT ON COLUMN lane.rate IS 'To come: the most requests in a time; null if there is no limit.';
COMMENT ON COLUMN lane.cap IS 'To come: the most deliveries that all dispatchers hold of it; null if there is no limit.';
COMMENT ON COLUMN lane.disabled_at IS 'To come: when the webhook was disabled.';
COMMENT ON COLUMN lane.succeeded_at IS 'To come: when an attempt last succeeded, to a minute.';
COMMENT ON COLUMN lane.creation_key IS 'To come: a hash of the key under which a client created the webhook.';

ALTER TABLE event
    ADD COLUMN ordering_key text COLLATE "C",
    ADD COLUMN trace json,
    ADD COLUMN test boolean;
COMMENT ON COLUMN event.ordering_key IS 'To come: what is delivered in order with others of the same key.';
COMMENT ON COLUMN event.trace IS 'To come: the trace context that it was published in.';
COMMENT ON COLUMN event.test IS 'To come: whether it is a test; null if it is none.';

COMMENT ON COLUMN delivery.state IS '0 pending, 1 pending but set aside because it cannot be read, 2 cancelled, 3 delivered, 4 exhausted, 5 expired.';
CREATE INDEX delivery_unreadable ON delivery (lane, expires) WHERE state = 1;
CREATE INDEX lane_unreadable ON lane (id) WHERE unreadable_at IS NOT NULL;

-- What a claim writes is in no index, so that claiming touches none. A page keeps room for it.
ALTER TABLE delivery ADD COLUMN held_until bigint, ADD COLUMN first_attempt json;
ALTER TABLE delivery SET (fillfactor = 70);
UPDATE delivery SET held_until = due WHERE state = 0 AND holder IS NOT NULL;
UPDATE settings SET oldest_code = 4;
COMMENT ON COLUMN delivery.due IS 'When it is due, or was when it was claimed.';
COMMENT ON COLUMN delivery.held_until IS 'When the lease of its claim ends; null while nobody has claimed it.';
COMMENT ON COLUMN delivery.first_attempt IS 'Its first request, and what came of it.';
COMMENT ON TABLE attempt IS 'A later request of a delivery, and what came of it.';

ALTER TABLE delivery ADD COLUMN behind boolean;
COMMENT ON COLUMN delivery.behind IS 'Whether it stands behind first attempts, as one that recover() made does; null if not.';

-- First attempts, and what stands behind them, are read apart: each may be long.
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery
    (lane, epoch, (CASE WHEN attempts > 0 OR behind THEN 1 ELSE 0 END), due, id) WHERE state = 0;

ALTER TABLE lane ADD COLUMN floor_behind bigint;
COMMENT ON COLUMN lane.floor IS 'No pending first attempt of the present epoch has an earlier due; null if there is none.';
COMMENT ON COLUMN lane.floor_behind IS 'The same of what stands behind first attempts.';
UPDATE lane SET floor_behind = floor WHERE floor IS NOT NULL;

-- An event is in one of the two.
DROP INDEX event_alive;
CREATE INDEX event_alive ON event (alive_at) WHERE routed_at IS NOT NULL AND payload <> '';
CREATE INDEX event_stripped ON event (alive_at) WHERE routed_at IS NOT NULL AND payload = '';
COMMENT ON COLUMN event.payload IS 'JSON, byte for byte as it was published; empty once it was removed.';

CREATE INDEX event_newest ON event (tenant, seq);

CREATE TABLE operation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    doc json NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    ended_at bigint
);
COMMENT ON TABLE operation IS 'To come: what a tenant asked for that takes many steps.';

CREATE TABLE statistic (
    lane bigint NOT NULL,
    hour bigint NOT NULL,
    holder bytea NOT NULL,
    attempts bigint NOT NULL,
    successes bigint NOT NULL,
    PRIMARY KEY (lane, hour, holder)
);
COMMENT ON TABLE statistic IS 'To come: the attempts of a webhook in an hour, by the dispatcher that made them.';
