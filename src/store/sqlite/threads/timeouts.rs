//! Timeouts of calls that wait for room in a queue, without a runtime.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// A timer for waits of one maximum length, which needs no runtime.
///
/// All waits have the same maximum, so they end in the order in which they began. One thread, started by the first
/// wait, sleeps until the end of each in turn.
#[derive(Debug)]
pub(crate) struct Timeouts {
    most: Duration,
    waits: OnceLock<Option<Sender<Wait>>>,
}

struct Wait {
    began: Instant,
    /// Dropping it tells that the time is up.
    on: oneshot::Sender<Infallible>,
}

impl Timeouts {
    pub(crate) const fn new(most: Duration) -> Self {
        Self { most, waits: OnceLock::new() }
    }

    /// Returns the output of the future, or `None` when it took too long.
    pub(crate) async fn wait<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut end = self.begin();
        poll_fn(|context| poll_either(future.as_mut(), &mut end, context)).await
    }

    /// Returns a signal that comes when a wait that begins now has lasted too long. It comes at once if the thread
    /// could not be started.
    fn begin(&self) -> oneshot::Receiver<Infallible> {
        let (on, end) = oneshot::channel();
        if let Some(waits) = self.waits.get_or_init(|| start(self.most)) {
            // When the thread is gone the wait is dropped, and so over.
            let _ = waits.send(Wait { began: now(), on });
        }
        end
    }
}

fn poll_either<F: Future>(
    future: Pin<&mut F>,
    end: &mut oneshot::Receiver<Infallible>,
    context: &mut Context<'_>,
) -> Poll<Option<F::Output>> {
    if let Poll::Ready(output) = future.poll(context) {
        return Poll::Ready(Some(output));
    }
    Pin::new(end).poll(context).map(|_| None)
}

fn start(most: Duration) -> Option<Sender<Wait>> {
    let (waits, begun) = channel();
    let thread = thread::Builder::new().name("hookwire-timeouts".to_owned());
    thread.spawn(move || end_in_turn(&begun, most)).ok().map(|_| waits)
}

fn end_in_turn(begun: &Receiver<Wait>, most: Duration) {
    for wait in begun {
        if !wait.on.is_closed() {
            thread::sleep(most.saturating_sub(now().duration_since(wait.began)));
        }
    }
}

/// Returns the real time: a wait does not depend on the store's clock.
#[expect(clippy::disallowed_methods, reason = "it measures a wait of this process, and decides nothing else")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_given_up_and_what_does_not_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let timeouts = Timeouts::new(Duration::from_millis(1));
        assert_eq!(runtime.block_on(timeouts.wait(std::future::ready(7))), Some(7));
        assert_eq!(runtime.block_on(timeouts.wait(std::future::pending::<()>())), None);
        assert_eq!(runtime.block_on(timeouts.wait(std::future::pending::<()>())), None);
    }
}
