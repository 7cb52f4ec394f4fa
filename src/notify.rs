//! Wakes tasks that wait for work, on any runtime.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// A notification that no waiter misses between looking for work and waiting for it.
///
/// A waiter reads the [`mark`](Self::mark) before it looks for work; [`notified`](Self::notified) returns at once if
/// a notification came in between.
#[derive(Debug, Default)]
pub(crate) struct Notify(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    waiting: Vec<Waker>,
}

impl Notify {
    /// Returns the number of notifications so far.
    pub(crate) fn mark(&self) -> u64 {
        self.state().count
    }

    /// Wakes every task that waits.
    pub(crate) fn notify(&self) {
        let mut state = self.state();
        state.count += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits for a notification after `mark`.
    pub(crate) async fn notified(&self, mark: u64) {
        poll_fn(|context| {
            let mut state = self.state();
            if state.count > mark {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// The state is whole whenever the lock is free, so a poisoned lock is usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_notification_between_look_and_wait_is_not_lost() {
        let notify = Notify::default();
        let mark = notify.mark();
        notify.notify();
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(notify.notified(mark)).poll(&mut context).is_ready());
        assert!(pin!(notify.notified(notify.mark())).poll(&mut context).is_pending());
    }

    #[test]
    fn a_notification_wakes_a_waiter_once() {
        let notify = Notify::default();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let mut waiting = pin!(notify.notified(notify.mark()));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        notify.notify();
        notify.notify();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }
}
