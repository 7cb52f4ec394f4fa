//! The thread that writes: groups of jobs, each a transaction.

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use super::super::file::sql::SqlError;
use super::super::state::WriterState;
use super::super::transaction::Transaction;
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

/// A job of the writer.
pub(crate) struct Job(Kind);

enum Kind {
    /// Work that changes the file, with the approximate number of rows that it writes.
    Write(usize, Box<dyn Write>),
    /// Work that changes the memory alone: it comes between two transactions.
    Between(Between),
}

type Between = Box<dyn FnOnce(&mut WriterState) + Send>;

/// Work that is repeated when the transaction is undone in which it was done.
trait Write: Send {
    /// Does it, and returns whether it succeeded.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;

    /// Sends the result to the caller, once it is known whether it was committed.
    fn answer(self: Box<Self>, committed: Result<&mut WriterState, CommitError>);
}

struct Task<T, U, W, F> {
    work: W,
    done: Option<Result<T, StoreError>>,
    /// What follows in memory once it is committed.
    follow: F,
    answer: oneshot::Sender<Result<U, StoreError>>,
}

/// The reason why a transaction was not committed, for each job of it.
#[derive(Clone)]
struct CommitError {
    kind: StoreErrorKind,
    why: String,
}

/// The receiver of a job's result.
pub(crate) type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

impl Job {
    /// Creates a job that writes about so many rows and bytes, and what follows in memory once they are committed.
    pub(crate) fn write<T: Send + 'static, U: Send + 'static>(
        (rows, bytes): (usize, usize),
        work: impl Fn(&mut Transaction<'_>) -> Result<T, SqlError> + Send + 'static,
        follow: impl FnOnce(&mut WriterState, T) -> U + Send + 'static,
    ) -> (Self, Answer<U>) {
        let (answer, answered) = oneshot::channel();
        let task = Box::new(Task { work, done: None, follow, answer });
        (Self(Kind::Write(rows.max(1) + bytes / BYTES_A_ROW, task)), answered)
    }

    /// Creates a job that runs between two transactions.
    pub(crate) fn between<T: Send + 'static>(
        work: impl FnOnce(&mut WriterState) -> Result<T, SqlError> + Send + 'static,
    ) -> (Self, Answer<T>) {
        let (answer, answered) = oneshot::channel();
        let run = |state: &mut WriterState| {
            // Whoever asked may have gone.
            let _ = answer.send(work(state).map_err(StoreError::from));
        };
        (Self(Kind::Between(Box::new(run))), answered)
    }
}

impl<T, U, W, F> Write for Task<T, U, W, F>
where
    T: Send,
    U: Send,
    W: Fn(&mut Transaction<'_>) -> Result<T, SqlError> + Send,
    F: FnOnce(&mut WriterState, T) -> U + Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let done = (self.work)(transaction).map_err(StoreError::from);
        self.done.insert(done).is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<&mut WriterState, CommitError>) {
        let done = match (self.done, committed) {
            (Some(Ok(done)), Ok(state)) => Ok((self.follow)(state, done)),
            (Some(Err(error)), _) => Err(error),
            (_, Err(refusal)) => Err(refusal.into()),
            (None, Ok(_)) => Err(StoreErrorKind::Unavailable.into()),
        };
        // Whoever asked may have gone; what was done stays done.
        let _ = self.answer.send(done);
    }
}

impl From<CommitError> for StoreError {
    fn from(refusal: CommitError) -> Self {
        Self::new(refusal.kind, refusal.why)
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self { kind: error.kind(), why: error.source().map_or_else(|| error.to_string(), chain) }
    }
}

/// The loop of the thread that writes. Each group of jobs is one transaction.
///
/// The writer takes the jobs that are in the queue, and commits them. The jobs that arrive while the disk syncs are
/// the next group. So many callers share a sync, and a single caller waits for nobody. Claims write nothing, and run
/// between two groups.
pub(crate) struct Writer {
    state: WriterState,
    jobs: Receiver<Job>,
    new_work: Arc<Notify>,
    checkpoints: Checkpoints,
    /// The time for which it waits for another connection that has the file's lock.
    busy_timeout: Duration,
}

/// What the writer took from the queue at once.
#[derive(Default)]
struct Group {
    writes: Vec<(usize, Box<dyn Write>)>,
    between: Vec<Between>,
}

impl Group {
    fn add(&mut self, Job(kind): Job) {
        match kind {
            Kind::Write(rows, work) => self.writes.push((rows, work)),
            Kind::Between(work) => self.between.push(work),
        }
    }

    /// Does the jobs, and more from the queue until there are so many rows. Returns whether all succeeded.
    fn run(&mut self, transaction: &mut Transaction<'_>, jobs: &mut Receiver<Job>, max_rows: usize) -> bool {
        let (mut next, mut all_rows) = (0, 0);
        while let Some((rows, work)) = self.writes.get_mut(next) {
            if !work.run(transaction) {
                return false;
            }
            (next, all_rows) = (next + 1, all_rows + *rows);
            while all_rows < max_rows && next == self.writes.len() {
                let Some(job) = next_job(jobs) else { break };
                self.add(job);
            }
        }
        true
    }
}

/// Takes the next job. When there is none, those who were just answered get a moment to send theirs.
fn next_job(jobs: &mut Receiver<Job>) -> Option<Job> {
    jobs.try_recv().ok().or_else(|| {
        thread::yield_now();
        jobs.try_recv().ok()
    })
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
            let mut group = Group::default();
            group.add(first);
            let rows = self.write(&mut group);
            for work in group.between {
                work(&mut self.state);
                self.tell();
            }
            if rows > 0 && self.checkpoints.wrote(rows) {
                self.copy_log();
            }
        }
        // It is closed all the same.
        let _ = self.state.close();
    }

    /// Writes a group, and gives the number of its rows. If one of its jobs fails, all are undone, and each is done
    /// by itself: one may have spoilt it for all, as a disk that is too full for it does.
    fn write(&mut self, group: &mut Group) -> usize {
        if group.writes.is_empty() {
            return 0;
        }
        let committed = self.commit(group, MAX_ROWS);
        let writes = std::mem::take(&mut group.writes);
        let rows = writes.iter().map(|(rows, _)| rows).sum();
        if committed.is_ok() || writes.len() == 1 {
            self.answer(writes, &committed);
            return rows;
        }
        for write in writes {
            let mut alone = Group { writes: vec![write], between: Vec::new() };
            let committed = self.commit(&mut alone, 0);
            self.answer(alone.writes, &committed);
        }
        rows
    }

    /// Does a group's jobs in one transaction.
    fn commit(&mut self, group: &mut Group, max_rows: usize) -> Result<(), CommitError> {
        let jobs = &mut self.jobs;
        let done = self.state.transact(|transaction| {
            let all_succeed = group.run(transaction, jobs, max_rows);
            all_succeed.then_some(()).ok_or_else(|| SqlError::lost("a job of the group failed"))
        });
        done.map_err(|error| StoreError::from(error).into())
    }

    fn answer(&mut self, writes: Vec<(usize, Box<dyn Write>)>, committed: &Result<(), CommitError>) {
        for (_, write) in writes {
            write.answer(committed.clone().map(|()| &mut self.state));
        }
        self.tell();
    }

    /// Tells dispatchers of work that has come.
    fn tell(&mut self) {
        if std::mem::take(&mut self.state.has_new_work) {
            self.new_work.notify();
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
            // SQLite returns -1 if the checkpoint could not run.
            let pages = |column| row.get::<_, i64>(column).map(|it| usize::try_from(it).unwrap_or_default());
            Ok(Checkpoint { is_busy: row.get(0)?, pages: pages(1)?, copied: pages(2)? })
        })
    }
}
