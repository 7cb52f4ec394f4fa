//! The embedded store: [`SqliteStore`], and the outbox in the host's own file.
//!
//! A host that keeps its data in SQLite publishes events in its own transactions: see [`OUTBOX_SCHEMA`].
//!
//! # Design
//!
//! ```text
//!  callers -- bounded queue --> writer (thread) -- WriterState: connection + Schedule --> file, WAL
//!          -- bounded queue --> readers (threads), short snapshots -------------------------^
//! ```
//!
//! - **Groups**: the writer takes what is in the queue, runs each job in a savepoint of one transaction, commits, and
//!   only then answers. Jobs that arrive while the disk syncs are the next group. A group ends at 512 rows, where 4 KiB
//!   of payload count as one, so nobody waits long for a large batch. An error in one job rolls back its savepoint. A
//!   full disk ends the whole transaction; each job of the group then gets a transaction of its own.
//! - **Checkpoints**: the writer copies the write-ahead log into the file after it has answered, not SQLite at a
//!   commit. The first one runs at once, because processes that are killed early would each leave a longer log. While
//!   somebody reads, each try takes longer the longer the log is, so the next one waits until the log has grown. Beyond
//!   16 MiB the writer waits a tenth of a second for readers, and again whenever the log has grown by half.
//! - **Tables**: `file/schema.rs` has them with their meaning. A payload has a table of its own, so that no change of
//!   state writes it again. Migrations run on open, whole, by `user_version`.
//! - **The schedule** of lanes is kept in memory and follows from the file. The index `delivery_due` alone tells which
//!   lanes have work; its lanes are read when the store opens and after a rollback. No column could disagree with it, and
//!   publishing, claiming and most settlements write no lane. A lane without room is parked, by holder and tenant, until
//!   that holder has room there again, so a saturated lane is not looked at. The statements of a claim scan no table,
//!   which a test reads from their plans.
//! - **Routing leases** say who routes a tenant's unrouted events. They are kept in memory alone, and each change of one
//!   is undone with the work that made it.
//! - **Held deliveries** are counted in memory and can be counted again from the file: a claimed row has its holder and
//!   the class under which it was claimed.
//! - **Fences** count up by delivery, in its row, so that none is used again after a crash.
//! - **One owner**: a lock on `FILE.lock`, by the file's real name, which ends with the process. Opening makes due what
//!   the last owner held. Only SQLite ever opens a file that may be a database.
//! - **Timeouts** of calls that wait for room have a thread of their own, so that the store needs no runtime.

mod claim;
mod error;
#[cfg(test)]
mod faults;
mod file;
mod log;
mod options;
mod outbox;
mod publish;
mod registry;
mod route;
mod routing_leases;
mod schedule;
mod settle;
mod state;
mod store;
mod threads;
mod upkeep;

pub use error::OpenError;
pub use options::{Durability, SqliteOptions};
pub use outbox::{OUTBOX_SCHEMA, OutboxError, OutboxReport};
pub use store::SqliteStore;
