use std::error::Error;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior};
use serde_json::value::RawValue;
use thiserror::Error;
use tracing::warn;

use super::super::StoreError;
use super::super::publication::ID_REUSED;
use super::store::SqliteStore;
use super::worker::apart;
use crate::model::{DeptId, EventId, MessageId, SourceId, StampedEvent, TenantId, Timestamp};

/// The table into which a host writes its events, in its own file: SQL to be run once, harmless when it is
/// run again. Its columns are an interface, described in the [module](crate::store::sqlite).
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
    refused TEXT
);
CREATE INDEX IF NOT EXISTS hookwire_outbox_open ON hookwire_outbox (seq) WHERE refused IS NULL;
";

/// The most rows that one step copies.
const MAX_ROWS: usize = 256;

/// A step copies no further row once it has so many bytes of payload.
const ENOUGH_BYTES: usize = 4 * 1024 * 1024;

/// What one step of [`SqliteStore::drain_outbox`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OutboxReport {
    /// Events that were copied and deleted from the outbox, those that were known before included.
    pub copied: usize,
    /// Rows that were put aside, for what is wrong with them or because the tenant used their message id before, for
    /// something else: their column `refused` tells why, and so does the log.
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
        /// What SQLite says.
        found: String,
    },
    /// Something else failed: the source tells what.
    #[error("{path:?} cannot be drained; it must be there, and a sound SQLite file that can be written")]
    Other {
        /// The host's file.
        path: PathBuf,
        /// What failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store did not take the events.
    #[error("the events could not be stored")]
    Store(#[from] StoreError),
}

/// What a step found.
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
    /// They are copied first, as durable as everything in this store, and deleted then. It waits for the
    /// lock of the host's file on a thread of its own and without any lock of this store, for as long as
    /// [`publish_timeout`](super::super::SqliteOptions::publish_timeout) says. Several may drain at once.
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
    /// The events are copied or not, and what is copied and not deleted is passed over by the next step.
    pub async fn drain_outbox(&self, path: impl AsRef<Path>) -> Result<OutboxReport, OutboxError> {
        let outbox = Outbox { path: path.as_ref().to_path_buf(), patience: self.publish_timeout };
        let mut batch = outbox.clone().apart(Outbox::read).await?;
        let (events, bytes) = (std::mem::take(&mut batch.events), batch.bytes);
        if !events.is_empty() {
            batch.refuse_others(&self.publish_all_unrouted(events, bytes).await?);
        }
        let Batch { copied, refused, more, .. } = batch;
        let drained = OutboxReport { copied: copied.len(), refused: refused.len(), more };
        if !copied.is_empty() || !refused.is_empty() {
            let refused =
                outbox.apart(move |outbox| outbox.clear(&copied, &refused).map(|()| refused)).await?;
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
    patience: Duration,
}

impl Outbox {
    /// Does what may have to wait for the host on a thread of its own.
    async fn apart<T: Send + 'static>(
        self,
        work: impl FnOnce(&Self) -> Result<T, Box<dyn Error + Send + Sync>> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let path = self.path.clone();
        let done = apart("hookwire-outbox", move || work(&self)).await;
        done.unwrap_or_else(|source| Err(source.into())).map_err(|source| tell(path, source))
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.patience)?;
        Ok(connection)
    }

    fn read(&self) -> Result<Batch, Box<dyn Error + Send + Sync>> {
        let connection = self.open()?;
        let mut select = connection.prepare(OPEN_ROWS)?;
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

const OPEN_ROWS: &str = "SELECT seq, tenant, event_id, payload, message_id, time, department, source, actor \
    FROM hookwire_outbox WHERE refused IS NULL ORDER BY seq";

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
    fn add(&mut self, seq: i64, parsed: Result<(TenantId, StampedEvent), Refusal>) {
        match parsed {
            Ok((tenant, event)) => {
                self.bytes += event.payload.get().len();
                self.events.push((tenant, event));
                self.copied.push(seq);
            }
            Err(Refusal(why)) => self.refused.push((seq, why)),
        }
    }

    /// Puts aside the rows whose message ids turned out to be those of other events.
    fn refuse_others(&mut self, are_taken: &[bool]) {
        for (seq, is_taken) in std::mem::take(&mut self.copied).into_iter().zip(are_taken) {
            match is_taken {
                true => self.copied.push(seq),
                false => self.refused.push((seq, format!("message_id: {ID_REUSED}"))),
            }
        }
    }
}

/// Why a row cannot be published: the field, and the rule that it breaks.
struct Refusal(String);

impl Refusal {
    fn new(field: &str, rule: impl Display) -> Self {
        Self(format!("{field}: {rule}"))
    }
}

fn parse(row: &Row<'_>) -> Result<(TenantId, StampedEvent), Refusal> {
    let tenant = required("tenant", text(row, "tenant")?)?;
    let tenant = TenantId::new(tenant).map_err(|rule| Refusal::new("tenant", rule))?;
    let message_id = required("message_id", text(row, "message_id")?)?;
    let source = text(row, "source")?.map(SourceId::new).transpose();
    let event = StampedEvent {
        message_id: MessageId::new(message_id).map_err(|rule| Refusal::new("message_id", rule))?,
        event_id: EventId::new(event_id(row)?),
        time: Timestamp::from_millis(required("time", number(row, "time")?)?),
        department: number(row, "department")?.map(DeptId::new),
        source: source.map_err(|rule| Refusal::new("source", rule))?,
        actor: text(row, "actor")?,
        payload: payload(required("payload", text(row, "payload")?)?)?,
    };
    match &event.violations()[..] {
        [] => Ok((tenant, event)),
        broken => Err(Refusal(broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))),
    }
}

fn event_id(row: &Row<'_>) -> Result<u32, Refusal> {
    let id = required("event_id", number(row, "event_id")?)?;
    id.try_into().map_err(|_| Refusal::new("event_id", "it must be a number from 0 to 4294967295"))
}

fn payload(json: String) -> Result<Arc<RawValue>, Refusal> {
    let payload = RawValue::from_string(json);
    payload.map(Arc::from).map_err(|error| Refusal::new("payload", format!("it must be JSON ({error})")))
}

fn required<T>(field: &str, value: Option<T>) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::new(field, "it must not be null"))
}

fn text(row: &Row<'_>, field: &str) -> Result<Option<String>, Refusal> {
    match row.get_ref(field).map_err(|error| Refusal::new(field, error))? {
        ValueRef::Null => Ok(None),
        ValueRef::Text(text) => match str::from_utf8(text) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(Refusal::new(field, "it must be UTF-8")),
        },
        _ => Err(Refusal::new(field, "it must be text")),
    }
}

fn number(row: &Row<'_>, field: &str) -> Result<Option<i64>, Refusal> {
    match row.get_ref(field).map_err(|error| Refusal::new(field, error))? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => Ok(Some(number)),
        _ => Err(Refusal::new(field, "it must be an integer")),
    }
}
