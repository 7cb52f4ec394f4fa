//! The embedded store: [`SqliteStore`], and the outbox in the host's own file.
//!
//! A host that keeps its data in SQLite publishes events in its own transactions: see [`OUTBOX_SCHEMA`].
//!
//! # Design
//!
//! ```text
//!  callers -- bounded queue --> writer (thread) -- transaction --> file, WAL
//!                                  | after COMMIT            |
//!                                  v                         | short snapshots
//!                               Memory: claims, turns, lanes |
//!                                  | what is held            v
//!  callers -- bounded queue --> readers (threads) <----------+
//! ```
//!
//! - **Facts and claims**: the file keeps what happened; who holds what, until when and whose turn it is are in `memory`
//!   alone, since a file has one owner. So a claim writes nothing, and opening makes due what was held. Fences count
//!   above the number of openings, which the file keeps.
//! - **Rows**: an event is one row with its payload, which a settlement never touches. A delivery is one row, written at
//!   publish and settled in place, its first attempt with it. When an event has ended is found by upkeep, on walks that
//!   look at a bounded number of rows a step. `file/schema.rs` has the tables and what each index is for.
//! - **Groups**: the writer takes what is in the queue, runs it in one transaction, commits, and only then answers. Jobs
//!   that arrive while the disk syncs are the next group. A group ends at 512 rows, where 4 KiB of payload count as one,
//!   so nobody waits long for a large batch. What can be refused is refused before the first write. A job that fails
//!   undoes its group, and each job of it is run again in a transaction of its own.
//! - **Memory follows the commit**: jobs have a `Transaction`, which reads the memory and cannot change it. What they
//!   change stands in its `Changes`, which later jobs of the group see; the commit hands them to the memory, a rollback
//!   drops them. Claims run between two groups, with the memory to themselves.
//! - **Queues**: of each lane the first deliveries are kept in memory, and the others are read in pages along the index
//!   `delivery_due`. Opening leaps from lane to lane along it, so it costs as much as there are lanes with work. The
//!   statements scan no table, which tests read from their plans.
//! - **Time**: what waits counts in the store's own time (`store/time.rs`), which the file keeps once a minute.
//! - **Unreadable rows**: a delivery that cannot be read is told, and set aside until the store is opened again or
//!   it expires. All else goes on.
//! - **Suspects**: for ten minutes after an opening that follows a kill, claims are noted in the file. A delivery that was
//!   under way at three kills in a row runs alone, and from the fifth on it is put off: see `suspects.rs`.
//! - **Versions**: migrations run on open, whole, by `user_version`. A file says in `meta.reader` which is the oldest form
//!   whose code may open it, so that a later version of hookwire can add to the form and this one goes on with it.
//! - **Checkpoints**: the writer copies the write-ahead log into the file after it has answered, not SQLite at a
//!   commit. The first one runs at once, because processes that are killed early would each leave a longer log. While
//!   somebody reads, each try takes longer the longer the log is, so the next one waits until the log has grown. Beyond
//!   16 MiB the writer waits a tenth of a second for readers, and again whenever the log has grown by half.
//! - **One owner**: a lock on `FILE.lock`, by the file's real name, which ends with the process. Only SQLite ever opens a
//!   file that may be a database.
//! - **Timeouts** of calls that wait for room have a thread of their own, so that the store needs no runtime.

mod changes;
mod claim;
mod error;
#[cfg(test)]
mod faults;
mod file;
mod log;
mod memory;
mod options;
mod outbox;
mod parts;
mod publish;
mod queue;
mod recover;
mod registry;
mod route;
mod settle;
mod state;
mod statistics;
mod store;
mod suspects;
mod threads;
mod transaction;
mod unrouted;
mod upkeep;

pub use error::OpenError;
pub use options::{Durability, SqliteOptions};
pub use outbox::{OUTBOX_SCHEMA, OutboxError, OutboxReport};
pub use store::SqliteStore;
