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

/// The rows at which a transaction takes on no more jobs: enough for waiting callers to share a sync of the disk, and
/// few enough that no caller waits long for others.
pub(crate) const MAX_ROWS: usize = 512;

/// The bytes of payload that count as one row.
pub(crate) const BYTES_A_ROW: usize = 4096;

/// The time for which the writer waits for readers of a long log. Callers that write wait as long.
const WAIT_FOR_READERS: Duration = Duration::from_millis(100);

/// The result of a checkpoint.
#[derive(Default)]
struct Checkpoint {
    /// Whether a reader or another writer kept it from finishing.
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

/// The reason why a transaction was not committed, for each job of it.
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

/// The loop of the thread that writes. Each group of jobs is one transaction.
///
/// The writer takes the jobs that are in the queue, and commits them. The jobs that arrive while the disk syncs are
/// the next group. So many callers share a sync, and a single caller waits for nobody.
pub(crate) struct Writer {
    state: WriterState,
    jobs: Receiver<Job>,
    new_work: Arc<Notify>,
    checkpoints: Checkpoints,
    /// The time for which it waits for another connection that has the file's lock.
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

    /// Writes until the queue is closed.
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

    /// Copies the log into the file, up to the first page that a reader keeps. SQLite's own checkpoints are off,
    /// because they run within a commit, while its callers wait.
    fn copy_log(&mut self) {
        // What fails is in the log all the same, and is tried again.
        let Checkpoint { pages, copied, .. } = self.checkpoint("PASSIVE").unwrap_or_default();
        if self.checkpoints.copied(pages, pages.saturating_sub(copied)) && !self.start_log_anew() {
            self.checkpoints.waited(pages);
        }
    }

    /// Waits a moment for readers of the log to end, and returns whether the log is written from its start again.
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

    /// Rolls the transaction back, and drops what is kept in memory of it.
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
