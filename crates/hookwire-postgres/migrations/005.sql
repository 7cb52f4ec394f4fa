-- Webhooks by the time at which hookwire disabled them. Code of before goes on without it.

CREATE INDEX lane_disabled ON lane (disabled_at, tenant, hook) WHERE status = 0 AND disabled IS NOT NULL;
COMMENT ON COLUMN lane.disabled_at IS 'When the webhook was disabled; null while it is enabled.';
