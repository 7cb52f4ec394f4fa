//! The tables, and the steps that lead from one version of the file to the next.

use rusqlite::Connection;

use crate::model::Timestamp;

/// The mark of a file of hookwire's: "hook" in ASCII.
pub(crate) const APPLICATION_ID: i64 = 0x686f_6f6b;

/// Each step leads from the version of its index to the next; what has been released never changes.
const MIGRATIONS: [&str; 4] = [FIRST, SECOND, THIRD, FOURTH];

/// The version of a file that this code reads and writes.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The first released form. Times are milliseconds since 1970. `delivery.state`: 0 waits, 1 is held, 2 cancelled,
/// 3 delivered, 4 exhausted, 5 expired. `lane.status`: 0 disabled, 1 enabled, 2 deleted. A row of a lane's earlier
/// epoch that still waits counts as cancelled.
const FIRST: &str = "
CREATE TABLE tenant (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL DEFAULT 0,
    next_hook INTEGER NOT NULL DEFAULT 1,
    fence INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE lane (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    hook INTEGER NOT NULL,
    status INTEGER NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    epoch_at INTEGER NOT NULL,
    paused_until INTEGER NOT NULL,
    version INTEGER NOT NULL,
    health TEXT NOT NULL,
    doc TEXT NOT NULL,
    secrets BLOB NOT NULL,
    UNIQUE (tenant, hook)
);
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    message TEXT NOT NULL,
    digest BLOB NOT NULL,
    meta TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    routing TEXT,
    targets INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    open INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER,
    UNIQUE (tenant, message)
);
CREATE INDEX event_unrouted ON event (tenant, seq) WHERE routing IS NULL;
CREATE INDEX event_ended ON event (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE payload (event INTEGER PRIMARY KEY, json TEXT NOT NULL);
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    event INTEGER NOT NULL,
    origin INTEGER,
    state INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    holder BLOB,
    class INTEGER,
    lease_until INTEGER,
    created_at INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended_at INTEGER
);
CREATE INDEX delivery_due ON delivery (lane, epoch, due, id) WHERE state = 0;
CREATE INDEX delivery_lease ON delivery (lease_until) WHERE state = 1;
CREATE INDEX delivery_expiry ON delivery (expires) WHERE state < 2;
CREATE INDEX delivery_tenant ON delivery (tenant);
CREATE INDEX delivery_lane ON delivery (lane);
CREATE INDEX delivery_event ON delivery (event);
CREATE TABLE attempt (
    delivery INTEGER NOT NULL,
    number INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) WITHOUT ROWID;
CREATE TABLE dropped (lane INTEGER PRIMARY KEY, below INTEGER NOT NULL);
";

/// `delivery.retry` is the position in the schedule as JSON; null while all attempts used a step.
const SECOND: &str = "ALTER TABLE delivery ADD COLUMN retry TEXT;";

/// The third form: an event is one row. A delivery is one row, which is inserted once and settled in place.
///
/// - `delivery.state` is never 1: who holds what is not in the file. `due` counts in the store's own time, like
///   `expires`, `event.routed` and `lane.backoff_until`; it is when the delivery ended once it has. Names that end in
///   `_at` are dates as they are shown.
/// - `delivery.behind` orders a lane before `due` does: 0 for first attempts, 1 for retries and recovered deliveries.
/// - An event's own deliveries are the `made` rows from `first` on; only redeliveries need an index by event.
/// - `delivery_due` is the only list of the deliveries that wait in each lane.
/// - `suspect` has what was claimed when the process was killed, and how often in a row; `meta.is_open` tells of a kill.
/// - `meta.reader` is the oldest form whose code may open this file, `meta.boots` how often it was opened,
///   `meta.last_event` and `meta.last_delivery` the last numbers of rows that were removed.
/// - `lane.creation_key` is 32 bytes that stand for the key under which the webhook was created, and 32 for the content;
///   null if it was created without a key.
///
/// Later code uses `lane.rate`, `cap` and `succeeded_at`. Still unused, and null or empty: `event.ordering_key`,
/// `trace` and `is_test`; `lane.pause_until` and `suspended_at`; the table `operation`.
const THIRD: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    reader INTEGER NOT NULL,
    boots INTEGER NOT NULL DEFAULT 0,
    is_open INTEGER NOT NULL DEFAULT 0,
    last_event INTEGER NOT NULL DEFAULT 0,
    last_delivery INTEGER NOT NULL DEFAULT 0,
    store_time INTEGER,
    wall_time INTEGER
);
INSERT INTO meta (id, reader, last_event, last_delivery) VALUES (0, 3,
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0),
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'delivery'), 0));
ALTER TABLE tenant DROP COLUMN fence;
ALTER TABLE lane ADD COLUMN backoff_until INTEGER;
UPDATE lane SET backoff_until = paused_until WHERE paused_until > :now;
ALTER TABLE lane DROP COLUMN paused_until;
ALTER TABLE lane ADD COLUMN pause_until INTEGER;
ALTER TABLE lane ADD COLUMN suspended_at INTEGER;
ALTER TABLE lane ADD COLUMN rate INTEGER;
ALTER TABLE lane ADD COLUMN cap INTEGER;
ALTER TABLE lane ADD COLUMN disabled_at INTEGER;
ALTER TABLE lane ADD COLUMN succeeded_at INTEGER;
ALTER TABLE lane ADD COLUMN creation_key BLOB;
ALTER TABLE dropped ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE dropped SET since = (SELECT epoch_at FROM lane WHERE id = dropped.lane);
ALTER TABLE event RENAME TO old_event;
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    message TEXT NOT NULL,
    digest BLOB NOT NULL,
    published_at INTEGER NOT NULL,
    routed INTEGER,
    first INTEGER NOT NULL DEFAULT 0,
    made INTEGER NOT NULL DEFAULT 0,
    targets INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    ordering_key TEXT,
    is_test INTEGER,
    trace TEXT,
    meta TEXT NOT NULL,
    routing TEXT,
    payload TEXT
);
INSERT INTO event (id, tenant, message, digest, published_at, routed, first, made, targets, skipped, meta,
        routing, payload)
    SELECT seq, tenant, message, digest, published_at,
        CASE WHEN routing IS NOT NULL THEN coalesce(ended_at, published_at) END,
        coalesce((SELECT min(id) FROM delivery WHERE delivery.event = seq AND origin IS NULL), 0),
        (SELECT count(*) FROM delivery WHERE delivery.event = seq AND origin IS NULL),
        targets, skipped, meta, routing, json
    FROM old_event LEFT JOIN payload ON payload.event = seq;
ALTER TABLE delivery RENAME TO old_delivery;
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    behind INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER,
    origin INTEGER,
    retry TEXT,
    first_attempt TEXT
);
INSERT INTO delivery SELECT id, event, lane, epoch, attempts > 0, CASE WHEN state = 1 THEN 0 ELSE state END,
        CASE WHEN state = 1 THEN :now ELSE coalesce(ended_at, due) END, expires, created_at, attempts, ended_at, origin, retry,
        (SELECT doc FROM attempt WHERE attempt.delivery = old_delivery.id AND number = 1)
    FROM old_delivery;
DELETE FROM attempt WHERE number = 1;
DROP TABLE old_event;
DROP TABLE payload;
DROP TABLE old_delivery;
CREATE UNIQUE INDEX event_message ON event (tenant, message);
CREATE INDEX event_tenant ON event (tenant);
CREATE INDEX event_unrouted ON event (tenant) WHERE routed IS NULL;
CREATE INDEX delivery_due ON delivery (lane, epoch, behind, due, id, expires) WHERE state = 0;
CREATE INDEX delivery_lane ON delivery (lane);
CREATE INDEX delivery_again ON delivery (event, origin) WHERE origin IS NOT NULL;
CREATE TABLE suspect (delivery INTEGER PRIMARY KEY, kills INTEGER NOT NULL);
CREATE TABLE operation (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    kind TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    doc TEXT NOT NULL
);
CREATE TABLE statistic (
    lane INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (lane, hour)
) WITHOUT ROWID;
";

/// Adds to the third form, whose code may still open the file. `lane.status` is 0 for a paused webhook and for one of a
/// suspended tenant too, so that code of before delivers nothing to it either. When it was paused is in `lane.doc`.
/// `statistic`, which code of before never touches, has what was counted of a lane by the hour; `lane.succeeded_at` is the
/// date of its last success. `delivery.state` 6 is erased. `delivery.origin` 0 is a delivery that was added to its event later and repeats none.
const FOURTH: &str = "
ALTER TABLE tenant ADD COLUMN suspended_at INTEGER;
CREATE INDEX lane_disabled ON lane (disabled_at) WHERE disabled_at IS NOT NULL;
DROP TABLE statistic;
CREATE TABLE statistic (
    lane INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    successes INTEGER NOT NULL,
    PRIMARY KEY (lane, hour)
) WITHOUT ROWID;
CREATE INDEX statistic_hour ON statistic (hour);
";

/// Migrates a file of version `found` to the present version, in one transaction. Held deliveries become due.
pub(crate) fn migrate(connection: &mut Connection, found: i64, now: Timestamp) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.execute_batch(&step.replace(":now", &now.as_millis().to_string()))?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
