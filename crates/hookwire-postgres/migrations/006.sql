-- Pauses, suspensions, and limits of webhooks. Code of before goes on without them: it delivers nothing to a lane whose
-- status is 0, and knows of no limits.

COMMENT ON COLUMN lane.status IS '0 disabled or paused, or its tenant suspended, 1 enabled, 2 deleted.';
COMMENT ON COLUMN lane.user_paused_at IS 'Since when its user lets its deliveries wait; null while it does not.';
COMMENT ON COLUMN tenant.suspended_at IS 'Since when nothing of it is delivered; null if it is.';

-- How much of a webhook is under way is counted along an index that has limited ones alone.
ALTER TABLE lane DROP COLUMN rate;
ALTER TABLE lane ADD COLUMN rate integer, ADD COLUMN slots bigint[];
COMMENT ON COLUMN lane.rate IS 'The most requests that begin within a second; null if there is no limit.';
COMMENT ON COLUMN lane.slots IS 'The slots of its rate that are taken, by the time at which each is free again.';
COMMENT ON COLUMN lane.cap IS 'The most deliveries that all dispatchers hold of it; null if there is no limit.';
ALTER TABLE delivery ADD COLUMN limited boolean;
COMMENT ON COLUMN delivery.limited IS 'True while it is held and its webhook has a limit.';
CREATE INDEX delivery_limited ON delivery (lane) WHERE limited AND state = 0;

COMMENT ON COLUMN delivery.state IS '0 pending, 1 pending but set aside because it cannot be read, 2 cancelled, 3 delivered, 4 exhausted, 5 expired, 6 erased.';

-- What was counted of attempts. Code of before counts nothing, and leaves the counts of lanes that it forgets to upkeep.
COMMENT ON TABLE statistic IS 'The attempts of a webhook in an hour, by the process that counted them.';
COMMENT ON COLUMN statistic.hour IS 'Hours since 1970.';
-- The sum keeps readers of one lane off this index.
CREATE INDEX statistic_hour ON statistic ((hour + 0));
COMMENT ON COLUMN lane.succeeded_at IS 'When the last attempt that succeeded began, as it was counted within a minute or so.';

COMMENT ON COLUMN lane.creation_key IS 'Hashes of the key under which the webhook was created and of what was sent, 32 bytes each; null if it was created without a key.';
