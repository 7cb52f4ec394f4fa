use std::sync::Arc;

use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use super::super::{StoreError, StoreErrorKind};
use super::desk::Desk;
use super::sql::{Fault, Sql};
use crate::bell::Bell;

/// The most that one transaction takes on, in rows: so much that a sync of the disk is shared by all who
/// wait for it, and so little that nobody waits long for others.
const MOST_ROWS: usize = 512;

/// How many bytes of payload weigh as much as a row.
const BYTES_A_ROW: usize = 4096;

/// Work for the writer: how many rows it writes, about, and the work itself.
pub(super) struct Job {
    rows: usize,
    run: Box<dyn FnOnce(&mut Desk) -> Reply + Send>,
}

/// Tells whoever asked for the work what came of it, once it is known whether it was committed.
type Reply = Box<dyn FnOnce(Result<(), String>) + Send>;

impl Job {
    /// Work that writes about so many rows with so many bytes, and where its result will come.
    pub(super) fn new<T: Send + 'static>(
        rows: usize,
        bytes: usize,
        work: impl FnOnce(&mut Desk) -> Result<T, Fault> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        let run = |desk: &mut Desk| -> Reply {
            let done = desk.whole(work).map_err(StoreError::from);
            Box::new(move |committed| {
                let lost = |why| StoreError::new(StoreErrorKind::Unavailable, why);
                // Whoever asked may have gone; what was done stays done.
                let _ = answer.send(committed.map_err(lost).and(done));
            })
        };
        (Self { rows: rows.max(1) + bytes / BYTES_A_ROW, run: Box::new(run) }, answered)
    }
}

/// The one that writes: group by group, each a transaction.
///
/// It takes what is in the queue, and commits; what gathers while the disk syncs is the next group. So
/// the more callers there are, the more of them share a sync, and a single one waits for nobody.
pub(super) struct Writer {
    desk: Desk,
    jobs: Receiver<Job>,
    bell: Arc<Bell>,
}

impl Writer {
    pub(super) const fn new(desk: Desk, jobs: Receiver<Job>, bell: Arc<Bell>) -> Self {
        Self { desk, jobs, bell }
    }

    /// Writes until nobody can ask for more.
    pub(super) fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let mut replies = Vec::new();
            let committed = self.write_group(first, &mut replies);
            if committed.is_err() {
                self.undo();
            }
            if std::mem::take(&mut self.desk.has_news) {
                self.bell.ring();
            }
            replies.into_iter().for_each(|reply| reply(committed.clone()));
        }
    }

    fn write_group(&mut self, first: Job, replies: &mut Vec<Reply>) -> Result<(), String> {
        let begun = self.command("BEGIN IMMEDIATE");
        let mut rows = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            rows += job.rows;
            replies.push((job.run)(&mut self.desk));
            // An error like a full disk may have ended the transaction.
            let is_open = !self.desk.connection.is_autocommit();
            next = if is_open && rows < MOST_ROWS { self.jobs.try_recv().ok() } else { None };
        }
        begun.and_then(|()| self.command("COMMIT"))
    }

    /// Leaves no transaction open, and nothing in memory that tells of it.
    fn undo(&mut self) {
        if !self.desk.connection.is_autocommit() {
            // It is reported by the next group, which cannot begin.
            let _ = self.command("ROLLBACK");
        }
        self.desk.distrust();
    }

    fn command(&self, sql: &str) -> Result<(), String> {
        let done = self.desk.connection.run(sql, []).map_err(StoreError::from);
        done.map(|_| ()).map_err(|error| match std::error::Error::source(&error) {
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        })
    }
}
