-- Pauses and suspensions. Code of before goes on without them: it delivers nothing to a lane whose status is 0.

COMMENT ON COLUMN lane.status IS '0 disabled or paused, or its tenant suspended, 1 enabled, 2 deleted.';
COMMENT ON COLUMN lane.user_paused_at IS 'Since when its user lets its deliveries wait; null while it does not.';
COMMENT ON COLUMN tenant.suspended_at IS 'Since when nothing of it is delivered; null if it is.';
