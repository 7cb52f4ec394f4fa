//! The thread that writes: groups of jobs, each a transaction.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use super::super::file::sql::{Sql, SqlError};
use super::super::state::WriterState;
use super::checkpoints::Checkpoints;
use crate::error_chain::chain;
use crate::notify::Notify;
use crate::store::error::{StoreError, StoreErrorKind};

/// The most that one transaction takes on, in rows: so much that a sync of the disk is shared by all who
/// wait for it, and so little that nobody waits long for others.
pub(crate) const MAX_ROWS: usize = 512;

/// How many bytes of payload weigh as much as a row.
pub(crate) const BYTES_A_ROW: usize = 4096;

/// How long a log that has grown long waits for those who read from it. Whoever writes waits as long.
const WAIT_FOR_READERS: Duration = Duration::from_millis(100);

/// The result of a checkpoint.
#[derive(Default)]
struct Checkpoint {
    /// Whether others kept it from what it was to do.
    is_busy: bool,
    pages: usize,
    copied: usize,
}

/// A job of the writer, with the approximate number of rows that it writes.
pub(crate) struct Job {
    rows: usize,
    work: Box<dyn Execute>,
}

/// Work that can be repeated after the transaction in which it was done has failed.
trait Execute: Send {
    fn run(&mut self, state: &mut WriterState);

    /// Sends the result to the caller, once it is known whether it was committed.
    fn answer(self: Box<Self>, committed: Result<(), CommitError>);
}

struct Task<T, W> {
    work: W,
    done: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

/// Why a transaction was not committed, for each who had a part in it.
#[derive(Clone)]
struct CommitError {
    kind: StoreErrorKind,
    why: String,
}

impl Job {
    /// Creates a job that writes about so many rows and bytes, and the receiver of its result.
    pub(crate) fn new<T: Send + 'static>(
        rows: usize,
        bytes: usize,
        work: impl Fn(&mut WriterState) -> Result<T, SqlError> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(Task { work, done: None, answer });
        (Self { rows: rows.max(1) + bytes / BYTES_A_ROW, work }, answered)
    }
}

impl<T: Send, W: Fn(&mut WriterState) -> Result<T, SqlError> + Send> Execute for Task<T, W> {
    fn run(&mut self, state: &mut WriterState) {
        self.done = Some(state.in_savepoint(&self.work).map_err(StoreError::from));
    }

    fn answer(self: Box<Self>, committed: Result<(), CommitError>) {
        let done = match self.done {
            Some(Err(error)) => Err(error),
            done => committed.map_err(StoreError::from).and_then(|()| done.unwrap_or_else(|| Err(unrun()))),
        };
        // Whoever asked may have gone; what was done stays done.
        let _ = self.answer.send(done);
    }
}

fn unrun() -> StoreError {
    StoreErrorKind::Unavailable.into()
}

impl From<CommitError> for StoreError {
    fn from(refusal: CommitError) -> Self {
        Self::new(refusal.kind, refusal.why)
    }
}

/// The one that writes: group by group, each a transaction.
///
/// It takes what is in the queue, and commits; what gathers while the disk syncs is the next group. So
/// the more callers there are, the more of them share a sync, and a single one waits for nobody.
pub(crate) struct Writer {
    state: WriterState,
    jobs: Receiver<Job>,
    new_work: Arc<Notify>,
    checkpoints: Checkpoints,
    /// How long it waits for others who have the file's lock.
    busy_timeout: Duration,
}

impl Writer {
    pub(crate) const fn new(
        state: WriterState,
        jobs: Receiver<Job>,
        new_work: Arc<Notify>,
        busy_timeout: Duration,
    ) -> Self {
        Self { state, jobs, new_work, checkpoints: Checkpoints::new(), busy_timeout }
    }

    /// Writes until nobody can ask for more.
    pub(crate) fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let mut group = vec![first];
            let committed = self.write(&mut group, MAX_ROWS);
            if committed.is_ok() || group.len() == 1 {
                self.answer(group, &committed);
                continue;
            }
            // One of them may have spoilt it for all: a disk that is too full for it, say.
            for job in group {
                let mut alone = vec![job];
                let committed = self.write(&mut alone, 0);
                self.answer(alone, &committed);
            }
        }
    }

    /// Does the group's jobs in one transaction, and more from the queue until it has so many rows.
    fn write(&mut self, group: &mut Vec<Job>, max_rows: usize) -> Result<(), CommitError> {
        self.command("BEGIN IMMEDIATE")?;
        let (mut next, mut rows) = (0, 0);
        while let Some(job) = group.get_mut(next) {
            job.work.run(&mut self.state);
            (next, rows) = (next + 1, rows + job.rows);
            // An error like a full disk may have ended the transaction.
            if rows < max_rows && !self.state.connection.is_autocommit() {
                group.extend(self.jobs.try_recv().ok());
            }
        }
        self.command("COMMIT").inspect_err(|_| self.undo())?;
        self.state.routing_leases.commit();
        Ok(())
    }

    fn answer(&mut self, group: Vec<Job>, committed: &Result<(), CommitError>) {
        if std::mem::take(&mut self.state.has_new_work) {
            self.new_work.notify();
        }
        let rows = group.iter().map(|job| job.rows).sum();
        group.into_iter().for_each(|job| job.work.answer(committed.clone()));
        if self.checkpoints.wrote(rows) {
            self.copy_log();
        }
    }

    /// Copies the log into the file, as far as nobody still reads what was there before. Not SQLite's own doing:
    /// it would try at every commit, while those who wait for it wait.
    fn copy_log(&mut self) {
        // What fails is in the log all the same, and is tried again.
        let Checkpoint { pages, copied, .. } = self.checkpoint("PASSIVE").unwrap_or_default();
        if self.checkpoints.copied(pages, pages.saturating_sub(copied)) && !self.start_log_anew() {
            self.checkpoints.waited(pages);
        }
    }

    /// Waits a moment until nobody reads from the log any more, so that it is written from its beginning again, and
    /// tells whether it will be.
    fn start_log_anew(&self) -> bool {
        // The setting of a timeout cannot fail on an open connection.
        let _ = self.state.connection.busy_timeout(WAIT_FOR_READERS);
        let is_done = self.checkpoint("RESTART").is_ok_and(|it| !it.is_busy);
        let _ = self.state.connection.busy_timeout(self.busy_timeout);
        is_done
    }

    fn checkpoint(&self, mode: &str) -> rusqlite::Result<Checkpoint> {
        self.state.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            // It tells -1 of what it could not look at.
            let pages = |column| row.get::<_, i64>(column).map(|it| usize::try_from(it).unwrap_or_default());
            Ok(Checkpoint { is_busy: row.get(0)?, pages: pages(1)?, copied: pages(2)? })
        })
    }

    /// Leaves no transaction open, and nothing in memory that tells of it.
    fn undo(&mut self) {
        if !self.state.connection.is_autocommit() {
            // It is reported by the next group, which cannot begin.
            let _ = self.command("ROLLBACK");
        }
        self.state.invalidate(0);
    }

    fn command(&self, sql: &str) -> Result<(), CommitError> {
        let done = self.state.connection.run(sql, []).map_err(StoreError::from);
        done.map(|_| ()).map_err(|error| CommitError {
            kind: error.kind(),
            why: error.source().map_or_else(|| error.to_string(), chain),
        })
    }
}
