-- Every device that goes online publishes an event, whoever writes it and by whatever driver.
\set ON_ERROR_STOP on

CREATE TABLE device (name text PRIMARY KEY, online boolean NOT NULL DEFAULT false);

CREATE FUNCTION tell_of_device() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hookwire.publish(json_build_object(
        'tenant', 'acme', 'event_id', 13, 'payload', json_build_object('deviceName', NEW.name))::text);
    RETURN NULL;
END $$;

CREATE TRIGGER goes_online AFTER UPDATE OF online ON device
    FOR EACH ROW WHEN (NEW.online AND NOT OLD.online) EXECUTE FUNCTION tell_of_device();

INSERT INTO device (name) VALUES ('LAB-4'), ('LAB-5');

-- Rolled back: it never happened.
BEGIN;
UPDATE device SET online = true WHERE name = 'LAB-4';
ROLLBACK;

-- Committed: it is delivered.
BEGIN;
UPDATE device SET online = true WHERE name = 'LAB-5';
COMMIT;
