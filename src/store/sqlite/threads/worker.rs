//! A queue of work, and the threads that do it.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use crate::store::error::{StoreError, StoreErrorKind};
use crate::timer::Timer;

/// Starts a thread of this name.
pub(crate) type Spawn = fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>;

/// Starts a thread of the operating system.
pub(crate) fn spawn(name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Threads that do blocking work, and the bounded queue by which it reaches them.
///
/// Dropping it ends the threads once they have done what is in the queue.
#[derive(Debug)]
pub(crate) struct Worker<J> {
    /// `None` only while it is being dropped.
    queue: Option<Sender<J>>,
    threads: Vec<JoinHandle<()>>,
    timer: Arc<Timer>,
    /// How long a call waits for room in the queue.
    max_wait: Duration,
}

impl<J: Send + 'static> Worker<J> {
    /// Creates a worker without threads, and the receiver from which its threads take their work.
    pub(crate) fn new(room: usize, timer: Arc<Timer>, max_wait: Duration) -> (Self, Receiver<J>) {
        let (queue, jobs) = channel(room);
        (Self { queue: Some(queue), threads: Vec::new(), timer, max_wait }, jobs)
    }

    /// Starts one more thread.
    pub(crate) fn start(
        &mut self,
        spawn: Spawn,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        self.threads.push(spawn(name, Box::new(run))?);
        Ok(())
    }

    /// Queues work, and waits for its result.
    pub(crate) async fn ask<T>(
        &self,
        job: J,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.push(job).await?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Queues work, and waits for room up to the timeout.
    async fn push(&self, job: J) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        let job = match queue.try_send(job) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(gone()),
            Err(TrySendError::Full(job)) => job,
        };
        let room = self.timer.deadline(self.max_wait).limit(queue.reserve()).await;
        let room = room.ok_or(StoreErrorKind::Overloaded)?.map_err(|_| gone())?;
        room.send(job);
        Ok(())
    }
}

/// Runs blocking work on a thread of its own, and waits for it. The work is finished even if the future is dropped.
/// Fails if the thread cannot start; `None` if it panicked.
pub(crate) async fn spawn_thread<T: Send + 'static>(
    spawn: Spawn,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let (done, result) = oneshot::channel();
    let work = move || {
        // Whoever asked may have gone.
        let _ = done.send(work());
    };
    spawn(name, Box::new(work))?;
    Ok(result.await.ok())
}

fn gone() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the store's thread has ended")
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // The last handle may be dropped by a task that the thread itself has just woken.
            if thread.thread().id() != thread::current().id() {
                // A panic there has been reported where it happened.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_waited_for_and_then_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let (timer, run) = Timer::new();
        thread::spawn(run);
        let (worker, mut jobs) = Worker::new(1, Arc::new(timer), Duration::from_millis(1));
        runtime.block_on(worker.push(1)).expect("there is room");
        let error = runtime.block_on(worker.push(2)).expect_err("there is none");
        assert_eq!(error.kind(), StoreErrorKind::Overloaded);
        assert_eq!(jobs.try_recv(), Ok(1));
        runtime.block_on(worker.push(3)).expect("there is room again");
        drop(jobs);
        let error = runtime.block_on(worker.push(4)).expect_err("nobody works");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
}
