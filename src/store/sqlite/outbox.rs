//! The outbox: a table in the host's own file, from which events are copied into the store.
//!
//! Its manual is at [`OUTBOX_SCHEMA`].

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior};
use serde_json::value::RawValue;
use thiserror::Error;
use tracing::warn;

use super::store::SqliteStore;
use super::threads::worker::{Spawn, spawn_thread};
use crate::model::{DeptId, EventId, MessageId, SourceId, StampedEvent, TenantId, Timestamp, TraceContext};
use crate::store::error::StoreError;
use crate::store::publication::DUPLICATE_ID;

/// The SQL of the outbox: a table in the host's own SQLite file, for publishing inside the host's transactions.
///
/// The SQL may be run again at any time. The columns are a stable interface.
///
/// An event that is published after the host's commit is lost if the process dies in between. An event that is
/// published before the commit may report a change that is rolled back. So the host inserts the event in the same
/// transaction as its own data, with its own driver, and hookwire fetches it afterwards:
///
/// ```text
///  host's transaction --> its file: its own tables, hookwire_outbox
///                                                        |  drain_outbox: copied by message id,
///                                                        v  and only then deleted
///                         hookwire's file: routed, delivered, retried
/// ```
///
/// 1. Run this SQL once in the host's file, as one of its migrations.
/// 2. Insert a row for each event, in the transaction to which it belongs. A rollback removes the event too.
/// 3. Call [`SqliteStore::drain_outbox`](crate::store::SqliteStore::drain_outbox) after the commit, and also every
///    second or so, for rows that a crash left behind.
///
/// ```
/// use hookwire::store::SqliteStore;
/// use hookwire::store::sqlite::OUTBOX_SCHEMA;
///
/// # let directory = std::env::temp_dir().join(format!("hookwire-outbox-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let (hooks_db, app_db) = (directory.join("hooks.db"), directory.join("app.db"));
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let app = rusqlite::Connection::open(&app_db)?; // or sqlx, diesel, ..: any driver
/// app.execute_batch(OUTBOX_SCHEMA)?;
/// app.execute_batch(
///     "BEGIN;
///      CREATE TABLE device (name TEXT);
///      INSERT INTO device VALUES ('LAB-4');
///      INSERT INTO hookwire_outbox (tenant, event_id, payload)
///          VALUES ('acme', 13, '{\"deviceName\": \"LAB-4\"}');
///      COMMIT",
/// )?;
///
/// let store = SqliteStore::open(&hooks_db).await?;
/// let drained = store.drain_outbox(&app_db).await?;
/// assert_eq!((drained.copied, drained.refused, drained.more), (1, 0, false));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// The two files are never attached to one connection, because a transaction over two files with write-ahead logs is
/// not atomic across a power cut. The message id makes the copy safe instead. It is set when the row is inserted, so
/// a row that is copied again after a crash is recognised and published once. It is recognised as long as the log
/// keeps the event, 30 days by default.
///
/// # The table
///
/// | column | what the host inserts |
/// |---|---|
/// | `tenant` | the [`TenantId`](crate::TenantId) |
/// | `event_id` | the [`EventId`](crate::EventId), a number |
/// | `payload` | JSON as text; receivers get these bytes |
/// | `message_id` | the [`MessageId`](crate::model::MessageId); left out or null: a random one |
/// | `time` | when it happened, in milliseconds since 1970; left out or null: the time of the insert |
/// | `department`, `source`, `actor` | as in [`Event`](crate::Event); left out or null: none |
///
/// | `trace` | the [`TraceContext`](crate::model::TraceContext) as JSON: `{"traceparent": "00-..", "tracestate": ".."}`; left out or null: none |
///
/// A table that was made before there was `trace` is drained too. Running the SQL again adds no column: a migration of the
/// host does, by `ALTER TABLE hookwire_outbox ADD COLUMN trace TEXT`.
///
/// Rows are published in the order of `seq`.
///
/// hookwire writes the column `refused`. A row that cannot be published gets the field and the rule that it breaks
/// there, and a warning is logged. The rows behind it go on. Correct the row and set `refused` to null, or delete it.
/// A message id that the tenant has used for another event is refused in the same way. A row that repeats an event of
/// the tenant is deleted without publishing it again.
///
/// An event that the catalog does not have, or whose payload is too large, is copied like any other. Routing then
/// ends it in the log with the reason.
pub const OUTBOX_SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS hookwire_outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    event_id INTEGER NOT NULL,
    payload TEXT NOT NULL,
    message_id TEXT NOT NULL ON CONFLICT REPLACE
        DEFAULT ('msg_' || lower(hex(randomblob(16)))),
    time INTEGER NOT NULL ON CONFLICT REPLACE
        DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    department INTEGER,
    source TEXT,
    actor TEXT,
    refused TEXT,
    trace TEXT
);
CREATE INDEX IF NOT EXISTS hookwire_outbox_open ON hookwire_outbox (seq) WHERE refused IS NULL;
";

/// The most rows that one step copies.
const MAX_ROWS: usize = 256;

/// A step copies no further row once it has so many bytes of payload.
const ENOUGH_BYTES: usize = 4 * 1024 * 1024;

/// The result of one step of [`SqliteStore::drain_outbox`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OutboxReport {
    /// Events that were copied and deleted from the outbox, those that were known before included.
    pub copied: usize,
    /// Rows that were set aside, because they are invalid or the tenant used their message id for another event. The
    /// column `refused` has the reason, and a warning is logged.
    pub refused: usize,
    /// Whether another step would find more.
    pub more: bool,
}

/// An outbox could not be drained. Whatever had been copied is published once; the next step goes on from
/// there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// Another transaction holds the lock of the file. Call again later.
    #[error("{path:?} is locked by a transaction that takes long; drain it again later")]
    Busy {
        /// The host's file.
        path: PathBuf,
    },
    /// The table is not there, or has other columns.
    #[error("{path:?} has no outbox ({found}); run `OUTBOX_SCHEMA` on it")]
    NoOutbox {
        /// The host's file.
        path: PathBuf,
        /// The message of SQLite.
        found: String,
    },
    /// The thread that reads the file could not be started. Call again later.
    #[error(
        "{path:?} is not drained: a thread could not be started; raise the limit of threads of this user or container"
    )]
    NoThread {
        /// The host's file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Something else failed: the source tells what.
    #[error("{path:?} cannot be drained; it must be there, and a sound SQLite file that can be written")]
    Other {
        /// The host's file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store did not take the events.
    #[error("the events could not be stored")]
    Store(#[from] StoreError),
}

/// The rows that a step found.
#[derive(Default)]
struct Batch {
    events: Vec<(TenantId, StampedEvent)>,
    bytes: usize,
    copied: Vec<i64>,
    refused: Vec<(i64, String)>,
    more: bool,
}

impl SqliteStore {
    /// Fetches events from the outbox in the host's own file: one bounded step, in the order of their rows.
    ///
    /// They are copied first, as durable as everything in this store, and deleted then. The call waits for the
    /// lock of the host's file on a thread of its own and without any lock of this store, for as long as
    /// [`publish_timeout`](crate::store::SqliteOptions::publish_timeout) says. Several may drain at once.
    ///
    /// ```no_run
    /// # async fn keep_draining(store: hookwire::store::SqliteStore) {
    /// loop {
    ///     match store.drain_outbox("app.db").await {
    ///         Ok(drained) if drained.more => continue,
    ///         Ok(_) => {}
    ///         Err(error) => eprintln!("{error}"), // it goes on with the next step
    ///     }
    ///     tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutboxError`] names the file and tells what to do.
    ///
    /// # Cancellation
    ///
    /// The events are copied or not. The next step recognises those that were copied and not deleted.
    pub async fn drain_outbox(&self, path: impl AsRef<Path>) -> Result<OutboxReport, OutboxError> {
        let outbox =
            Outbox { path: path.as_ref().to_path_buf(), timeouts: self.publish_timeout, spawn: self.spawn };
        let mut batch = outbox.clone().spawn_thread(Outbox::read).await?;
        let (events, bytes) = (std::mem::take(&mut batch.events), batch.bytes);
        if !events.is_empty() {
            batch.refuse_others(&self.publish_all_unrouted(events, bytes).await?);
        }
        let Batch { copied, refused, more, .. } = batch;
        let drained = OutboxReport { copied: copied.len(), refused: refused.len(), more };
        if !copied.is_empty() || !refused.is_empty() {
            let refused =
                outbox.spawn_thread(move |outbox| outbox.clear(&copied, &refused).map(|()| refused)).await?;
            refused.iter().for_each(|(seq, why)| {
                warn!(target: "hookwire", file = ?path.as_ref(), seq, why, "a row of the outbox was put aside");
            });
        }
        Ok(drained)
    }
}

/// The host's file. Each step opens it anew, by SQLite alone: closing any other handle on it would end the
/// locks that the host's own connections have (POSIX drops those of the whole process).
#[derive(Clone)]
struct Outbox {
    path: PathBuf,
    timeouts: Duration,
    spawn: Spawn,
}

impl Outbox {
    /// Does what may have to wait for the host on a thread of its own.
    async fn spawn_thread<T: Send + 'static>(
        self,
        work: impl FnOnce(&Self) -> Result<T, Box<dyn Error + Send + Sync>> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let path = self.path.clone();
        match spawn_thread(self.spawn, "hookwire-outbox", move || work(&self)).await {
            Ok(Some(done)) => done.map_err(|source| tell(path, source)),
            Ok(None) => Err(tell(path, "draining panicked".into())),
            Err(source) => Err(OutboxError::NoThread { path, source }),
        }
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.timeouts)?;
        Ok(connection)
    }

    fn read(&self) -> Result<Batch, Box<dyn Error + Send + Sync>> {
        let connection = self.open()?;
        let mut select = connection.prepare(&open_rows(&connection)?)?;
        let mut rows = select.query([])?;
        let mut batch = Batch::default();
        while let Some(row) = rows.next()? {
            batch.more = batch.bytes >= ENOUGH_BYTES || batch.copied.len() + batch.refused.len() >= MAX_ROWS;
            if batch.more {
                break;
            }
            batch.add(row.get("seq")?, parse(row));
        }
        Ok(batch)
    }

    /// Deletes what is copied, and puts aside what is refused.
    fn clear(&self, copied: &[i64], refused: &[(i64, String)]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut connection = self.open()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut delete = transaction.prepare("DELETE FROM hookwire_outbox WHERE seq = ?")?;
            copied.iter().try_for_each(|seq| delete.execute([seq]).map(|_| ()))?;
            let mut put_aside =
                transaction.prepare("UPDATE hookwire_outbox SET refused = ? WHERE seq = ?")?;
            refused.iter().try_for_each(|(seq, why)| put_aside.execute((why, seq)).map(|_| ()))?;
        }
        Ok(transaction.commit()?)
    }
}

/// Returns the statement that reads the rows. Tables that earlier versions have made lack the column `trace`.
fn open_rows(connection: &Connection) -> rusqlite::Result<String> {
    let has_trace = "SELECT EXISTS (SELECT * FROM pragma_table_info('hookwire_outbox') WHERE name = 'trace')";
    let has_trace: bool = connection.query_row(has_trace, [], |row| row.get(0))?;
    let trace = if has_trace { "trace" } else { "NULL AS trace" };
    Ok(format!(
        "SELECT seq, tenant, event_id, payload, message_id, time, department, source, actor, {trace} \
        FROM hookwire_outbox WHERE refused IS NULL ORDER BY seq"
    ))
}

fn tell(path: PathBuf, source: Box<dyn Error + Send + Sync>) -> OutboxError {
    let Some(error) = source.downcast_ref::<rusqlite::Error>() else {
        return OutboxError::Other { path, source };
    };
    // SQLite has no code of its own for a table or a column that is not there.
    let is_absent = matches!(error, rusqlite::Error::SqlInputError { .. });
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => OutboxError::Busy { path },
        Some(ErrorCode::Unknown) => OutboxError::NoOutbox { path, found: error.to_string() },
        _ if is_absent => OutboxError::NoOutbox { path, found: error.to_string() },
        _ => OutboxError::Other { path, source },
    }
}

impl Batch {
    fn add(&mut self, seq: i64, parsed: Result<(TenantId, StampedEvent), InvalidRow>) {
        match parsed {
            Ok((tenant, event)) => {
                self.bytes += event.payload.get().len();
                self.events.push((tenant, event));
                self.copied.push(seq);
            }
            Err(InvalidRow(why)) => self.refused.push((seq, why)),
        }
    }

    /// Puts aside the rows whose message ids turned out to be those of other events.
    fn refuse_others(&mut self, are_taken: &[bool]) {
        for (seq, is_taken) in std::mem::take(&mut self.copied).into_iter().zip(are_taken) {
            match is_taken {
                true => self.copied.push(seq),
                false => self.refused.push((seq, format!("message_id: {DUPLICATE_ID}"))),
            }
        }
    }
}

/// Why a row cannot be published: the field, and the rule that it breaks.
struct InvalidRow(String);

impl InvalidRow {
    fn new(field: &str, rule: impl Display) -> Self {
        Self(format!("{field}: {rule}"))
    }
}

fn parse(row: &Row<'_>) -> Result<(TenantId, StampedEvent), InvalidRow> {
    let tenant = required("tenant", text(row, "tenant")?)?;
    let tenant = TenantId::new(tenant).map_err(|rule| InvalidRow::new("tenant", rule))?;
    let message_id = required("message_id", text(row, "message_id")?)?;
    let source = text(row, "source")?.map(SourceId::new).transpose();
    let event = StampedEvent {
        message_id: MessageId::new(message_id).map_err(|rule| InvalidRow::new("message_id", rule))?,
        event_id: EventId::new(event_id(row)?),
        time: Timestamp::from_millis(required("time", number(row, "time")?)?),
        department: number(row, "department")?.map(DeptId::new),
        source: source.map_err(|rule| InvalidRow::new("source", rule))?,
        actor: text(row, "actor")?,
        trace: text(row, "trace")?.map(|json| trace(&json)).transpose()?,
        payload: payload(required("payload", text(row, "payload")?)?)?,
    };
    match &event.violations()[..] {
        [] => Ok((tenant, event)),
        broken => Err(InvalidRow(broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))),
    }
}

fn event_id(row: &Row<'_>) -> Result<u32, InvalidRow> {
    let id = required("event_id", number(row, "event_id")?)?;
    id.try_into().map_err(|_| InvalidRow::new("event_id", "it must be a number from 0 to 4294967295"))
}

fn payload(json: String) -> Result<Arc<RawValue>, InvalidRow> {
    let payload = RawValue::from_string(json);
    payload.map(Arc::from).map_err(|error| InvalidRow::new("payload", format!("it must be JSON ({error})")))
}

fn trace(json: &str) -> Result<TraceContext, InvalidRow> {
    serde_json::from_str(json).map_err(|error| InvalidRow::new("trace", error))
}

fn required<T>(field: &str, value: Option<T>) -> Result<T, InvalidRow> {
    value.ok_or_else(|| InvalidRow::new(field, "it must not be null"))
}

fn text(row: &Row<'_>, field: &str) -> Result<Option<String>, InvalidRow> {
    match row.get_ref(field).map_err(|error| InvalidRow::new(field, error))? {
        ValueRef::Null => Ok(None),
        ValueRef::Text(text) => match str::from_utf8(text) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(InvalidRow::new(field, "it must be UTF-8")),
        },
        _ => Err(InvalidRow::new(field, "it must be text")),
    }
}

fn number(row: &Row<'_>, field: &str) -> Result<Option<i64>, InvalidRow> {
    match row.get_ref(field).map_err(|error| InvalidRow::new(field, error))? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => Ok(Some(number)),
        _ => Err(InvalidRow::new(field, "it must be an integer")),
    }
}
