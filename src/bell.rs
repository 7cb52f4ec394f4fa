use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Wakes tasks of any runtime when something came, without losing a ring between look and wait.
///
/// A waiter notes the [`mark`](Self::mark) before it looks for work; [`rung`](Self::rung) then returns at
/// once if the bell rang in between.
#[derive(Debug, Default)]
pub(crate) struct Bell(Mutex<Rings>);

#[derive(Debug, Default)]
struct Rings {
    count: u64,
    waiting: Vec<Waker>,
}

impl Bell {
    /// How often the bell has rung.
    pub(crate) fn mark(&self) -> u64 {
        self.rings().count
    }

    /// Rings, and wakes everybody who waits.
    pub(crate) fn ring(&self) {
        let mut rings = self.rings();
        rings.count += 1;
        let waiting = std::mem::take(&mut rings.waiting);
        drop(rings);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until the bell has rung after `mark`.
    pub(crate) async fn rung(&self, mark: u64) {
        poll_fn(|context| {
            let mut rings = self.rings();
            if rings.count > mark {
                return Poll::Ready(());
            }
            if !rings.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                rings.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Nothing is left half done when a holder of the lock panics, so a poisoned one is as good.
    fn rings(&self) -> MutexGuard<'_, Rings> {
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
    fn a_ring_between_look_and_wait_is_not_lost() {
        let bell = Bell::default();
        let mark = bell.mark();
        bell.ring();
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(bell.rung(mark)).poll(&mut context).is_ready());
        assert!(pin!(bell.rung(bell.mark())).poll(&mut context).is_pending());
    }

    #[test]
    fn a_ring_wakes_who_waits_once() {
        let (bell, count) = (Bell::default(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let mut waiting = pin!(bell.rung(bell.mark()));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        bell.ring();
        bell.ring();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }
}
