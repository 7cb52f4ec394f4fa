//! Publishing inside the host's own transaction: the outbox in the host's own SQLite file.
//!
//! An event that is published after the host's commit is lost if the process dies in between; one that is
//! published before it may tell of what never happened. So the host writes the event down in the same
//! transaction as its own data, with its own driver, and hookwire fetches it afterwards:
//!
//! ```text
//!  host's transaction --> its file: its own tables, hookwire_outbox
//!                                                        |  drain_outbox: copied by message id,
//!                                                        v  and only then deleted
//!                         hookwire's file: routed, delivered, retried
//! ```
//!
//! 1. Run [`OUTBOX_SCHEMA`] once in the host's file, as one of its migrations.
//! 2. Insert a row for each event, in the transaction to which it belongs. Rolled back, it never happened.
//! 3. Call [`SqliteStore::drain_outbox`](super::SqliteStore::drain_outbox) after the commit, and every
//!    second or so for what a crash left behind.
//!
//! ```
//! use hookwire::store::SqliteStore;
//! use hookwire::store::sqlite::OUTBOX_SCHEMA;
//!
//! # let directory = std::env::temp_dir().join(format!("hookwire-outbox-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let (hooks_db, app_db) = (directory.join("hooks.db"), directory.join("app.db"));
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let app = rusqlite::Connection::open(&app_db)?; // or sqlx, diesel, ..: any driver
//! app.execute_batch(OUTBOX_SCHEMA)?;
//! app.execute_batch(
//!     "BEGIN;
//!      CREATE TABLE device (name TEXT);
//!      INSERT INTO device VALUES ('LAB-4');
//!      INSERT INTO hookwire_outbox (tenant, event_id, payload)
//!          VALUES ('acme', 13, '{\"deviceName\": \"LAB-4\"}');
//!      COMMIT",
//! )?;
//!
//! let store = SqliteStore::open(&hooks_db).await?;
//! let drained = store.drain_outbox(&app_db).await?;
//! assert_eq!((drained.copied, drained.refused, drained.more), (1, 0, false));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # std::fs::remove_dir_all(directory)?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! The two files are never attached to one connection: a transaction over two files with write-ahead logs is
//! not atomic across a power cut. The message id makes the copy safe instead. It is fixed when the row is
//! inserted, so that a crash between copy and deletion publishes once; for as long as the log keeps the
//! event, which is 30 days by default.
//!
//! # The table
//!
//! | column | what the host inserts |
//! |---|---|
//! | `tenant` | the [`TenantId`](crate::TenantId) |
//! | `event_id` | the [`EventId`](crate::EventId), a number |
//! | `payload` | JSON as text; receivers get these bytes |
//! | `message_id` | the [`MessageId`](crate::model::MessageId); left out or null: a random one |
//! | `time` | when it happened, in milliseconds since 1970; left out or null: the time of the insert |
//! | `department`, `source`, `actor` | as in [`Event`](crate::Event); left out or null: none |
//!
//! `seq` gives the order, and `refused` is hookwire's: a row that cannot be published is put aside there,
//! with the field and the rule that it breaks, and does not hold up the others. Correct it and set `refused`
//! to null, or delete it. Events that the catalog does not have, and payloads that are too large, are copied
//! and end in the log with the reason, as does everything that is decided when an event is routed. A message
//! id that the tenant has used before for the same event is passed over; one that it used for another is put
//! aside like a malformed row. Each row that is put aside is told to the log as a warning.

mod claim;
mod desk;
#[cfg(test)]
mod faults;
mod log;
pub(super) mod open;
pub(super) mod options;
mod outbox;
mod pace;
mod patience;
mod publish;
mod reader;
mod registry;
mod rota;
mod route;
mod routers;
mod rows;
mod schema;
mod settle;
mod sql;
pub(super) mod store;
mod upkeep;
mod worker;
mod writer;

pub use outbox::{OUTBOX_SCHEMA, OutboxError, OutboxReport};
