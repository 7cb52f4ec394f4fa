-- Every invoice that is paid publishes an event, whoever writes it and by whatever driver.
\set ON_ERROR_STOP on

CREATE TABLE invoice (id bigint PRIMARY KEY, cents bigint NOT NULL, paid boolean NOT NULL DEFAULT false);

CREATE FUNCTION publish_invoice_paid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hookwire.publish(json_build_object(
        'tenant', 'acme', 'event_id', 1,
        'payload', json_build_object('invoice', NEW.id, 'cents', NEW.cents))::text);
    RETURN NULL;
END $$;

CREATE TRIGGER invoice_paid AFTER UPDATE OF paid ON invoice
    FOR EACH ROW WHEN (NEW.paid AND NOT OLD.paid) EXECUTE FUNCTION publish_invoice_paid();

INSERT INTO invoice (id, cents) VALUES (4711, 1999), (4712, 1999);

-- Rolled back: it never happened.
BEGIN;
UPDATE invoice SET paid = true WHERE id = 4711;
ROLLBACK;

-- Committed: it is delivered.
BEGIN;
UPDATE invoice SET paid = true WHERE id = 4712;
COMMIT;
