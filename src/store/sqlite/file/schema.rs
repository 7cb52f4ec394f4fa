//! The tables, and the steps that lead from one version of the file to the next.

use rusqlite::Connection;

/// The mark of a file of hookwire's: "hook" in ASCII.
pub(crate) const APPLICATION_ID: i64 = 0x686f_6f6b;

/// Each step leads from the version of its index to the next; what has been released never changes.
const MIGRATIONS: [&str; 2] = [FIRST, SECOND];

/// The version of a file that this code reads and writes.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Times are milliseconds since 1970. `delivery.state`: 0 waits, 1 is held, 2 cancelled, 3 delivered,
/// 4 exhausted, 5 expired. `lane.status`: 0 disabled, 1 enabled, 2 deleted. A row of a lane's earlier
/// epoch that still waits counts as cancelled.
///
/// Payloads stand apart from events, so that no change of state writes them again. What waits in which
/// lane is told by `delivery_due` alone: there is no second place that could disagree with it.
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

/// Brings a file of version `found` to the present one, whole or not at all.
pub(crate) fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
