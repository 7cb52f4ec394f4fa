-- Attempts that use no step of the schedule.
ALTER TABLE delivery ADD COLUMN retry json;
COMMENT ON COLUMN delivery.retry IS 'The position in the schedule; null while every attempt used a step of it.';
COMMENT ON COLUMN delivery.state IS '0 pending, 2 cancelled, 3 delivered, 4 exhausted, 5 expired.';
COMMENT ON COLUMN lane.status IS '0 disabled, 1 enabled, 2 deleted.';
COMMENT ON COLUMN lane.disabled IS 'Why the webhook was disabled, if it was not by a user.';
COMMENT ON COLUMN lane.health IS 'What recent attempts showed of the receiver.';
