//! Time limits of waits, on a thread of their own, so that a service and its stores need no runtime.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The name of a timer's thread.
pub(crate) const THREAD: &str = "hookwire-timer";

/// The longest limit. A longer one is cut to it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A timer that limits how long futures are waited for. Dropping it ends its thread.
#[derive(Debug)]
pub(crate) struct Timer(Arc<Shared>);

/// The moment until which futures are waited for.
#[derive(Debug)]
pub(crate) struct Deadline {
    shared: Arc<Shared>,
    key: Key,
    is_registered: bool,
}

/// The moment of a deadline, and a number that tells it from others of the same moment.
type Key = (Instant, u64);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    created: u64,
    /// The moment until which the thread sleeps. `None` if it sleeps until it is notified.
    sleeps_until: Option<Instant>,
    waiting: BTreeMap<Key, Waker>,
}

impl Timer {
    /// Creates a timer, and the work of its thread, which the caller starts.
    pub(crate) fn new() -> (Self, impl FnOnce() + Send + 'static) {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        (Self(shared), move || of_thread.run())
    }

    /// Creates a deadline that passes after `limit`.
    pub(crate) fn deadline(&self, limit: Duration) -> Deadline {
        let mut state = self.0.state();
        state.created += 1;
        let key = (now() + limit.min(LONGEST), state.created);
        Deadline { shared: Arc::clone(&self.0), key, is_registered: false }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.state().stopped = true;
        self.0.changed.notify_one();
    }
}

impl Deadline {
    /// Returns the output of a future, or `None` if the deadline passes first.
    pub(crate) async fn limit<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| self.poll_either(future.as_mut(), context)).await
    }

    fn poll_either<F: Future>(
        &mut self,
        future: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<Option<F::Output>> {
        if let Poll::Ready(output) = future.poll(context) {
            return Poll::Ready(Some(output));
        }
        if self.key.0 <= now() {
            return Poll::Ready(None);
        }
        self.is_registered = true;
        self.shared.register(self.key, context.waker());
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if self.is_registered {
            self.shared.state().waiting.remove(&self.key);
        }
    }
}

impl Shared {
    fn register(&self, key: Key, waker: &Waker) {
        let mut state = self.state();
        state.waiting.entry(key).or_insert_with(|| waker.clone()).clone_from(waker);
        // The thread is notified only if it would sleep too long, which is rare while the limits are equal.
        if state.sleeps_until.is_none_or(|until| key.0 < until) {
            state.sleeps_until = Some(key.0);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Wakes the waits whose deadlines pass, until the timer is dropped.
    fn run(&self) {
        let mut state = self.state();
        while !state.stopped {
            let later = state.waiting.split_off(&(now(), u64::MAX));
            let due = std::mem::replace(&mut state.waiting, later);
            if !due.is_empty() {
                drop(state);
                due.into_values().for_each(Waker::wake);
                state = self.state();
                continue;
            }
            state.sleeps_until = state.waiting.keys().next().map(|(at, _)| *at);
            state = self.sleep(state);
        }
    }

    fn sleep<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match state.sleeps_until {
            Some(until) => {
                let slept = self.changed.wait_timeout(state, until.saturating_duration_since(now()));
                slept.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The state is whole whenever the lock is free, so a poisoned lock is usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the monotonic clock of the machine. A wait is real time, whatever the clock of the service shows.
#[expect(clippy::disallowed_methods, reason = "it measures a wait of this process, and decides nothing else")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::mpsc::{Sender, channel};
    use std::task::Wake;
    use std::thread::{self, JoinHandle};

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::MAX;

    struct Told(Sender<()>);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            // The test may be over.
            let _ = self.0.send(());
        }
    }

    fn start() -> (Timer, JoinHandle<()>) {
        let (timer, run) = Timer::new();
        (timer, thread::spawn(run))
    }

    /// Waits for a future without a runtime.
    fn wait<T>(future: impl Future<Output = T>) -> T {
        let (told, woken) = channel();
        let waker = Waker::from(Arc::new(Told(told)));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => woken.recv().expect("the waker is held here"),
            }
        }
    }

    #[test]
    fn a_wait_ends_with_its_future_or_at_its_deadline() {
        let (timer, _) = start();
        assert_eq!(wait(timer.deadline(LONG).limit(ready(7))), Some(7));
        assert_eq!(wait(timer.deadline(SHORT).limit(pending::<()>())), None);
        let mut deadline = timer.deadline(SHORT);
        assert_eq!(wait(deadline.limit(pending::<()>())), None);
        assert_eq!(wait(deadline.limit(pending::<()>())), None, "what follows has no time left");
        assert_eq!(wait(deadline.limit(ready(7))), Some(7), "and what is there is taken");
    }

    #[test]
    fn an_earlier_deadline_does_not_wait_for_a_later_one() {
        let (timer, _) = start();
        let mut late = timer.deadline(LONG);
        let mut waiting = pin!(late.limit(pending::<()>()));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(wait(timer.deadline(SHORT).limit(pending::<()>())), None);
    }

    #[test]
    fn a_wait_that_is_over_leaves_nothing_and_the_thread_ends_with_the_timer() {
        let (timer, thread) = start();
        for _ in 0..100 {
            let mut deadline = timer.deadline(LONG);
            let mut waiting = Box::pin(deadline.limit(pending::<()>()));
            assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(timer.0.state().waiting.len(), 1);
        }
        assert!(timer.0.state().waiting.is_empty());
        drop(timer);
        thread.join().expect("it ends");
    }
}
