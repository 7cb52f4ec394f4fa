//! Bounds the bytes of payload of all calls that publish at the same time. Who comes first is served first.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Room for a number of bytes, which is taken in the order in which it was asked for.
///
/// Nobody overtakes a large event, so small ones cannot keep it waiting for ever.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    state: Shared,
}

#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// The number of those who have had to wait so far.
    tickets: u64,
    waiting: BTreeMap<u64, Waker>,
}

/// Waits for room.
#[derive(Debug)]
pub(super) struct Reserve<'a> {
    room: &'a Shared,
    bytes: usize,
    ticket: Option<u64>,
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    room: Shared,
    bytes: usize,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        let state = State { free: bytes, tickets: 0, waiting: BTreeMap::new() };
        Self { bytes, state: Shared(Arc::new(Mutex::new(state))) }
    }

    /// Returns the number of bytes that there is room for.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Waits for room for so many bytes. More than there is room for take all of it.
    pub(super) fn reserve(&self, bytes: usize) -> Reserve<'_> {
        Reserve { room: &self.state, bytes: bytes.min(self.bytes), ticket: None }
    }
}

impl Shared {
    /// The state is whole whenever the lock is free, so a poisoned lock is usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes bytes if they are free and nobody with an earlier ticket waits.
    fn take(&mut self, bytes: usize, ticket: Option<u64>) -> bool {
        let first = self.waiting.keys().next().copied();
        if self.free < bytes || first.is_some_and(|first| ticket != Some(first)) {
            return false;
        }
        self.free -= bytes;
        true
    }

    fn wait(&mut self, ticket: Option<u64>, waker: &Waker) -> u64 {
        let ticket = ticket.unwrap_or_else(|| {
            self.tickets += 1;
            self.tickets
        });
        self.waiting.insert(ticket, waker.clone());
        ticket
    }

    /// Returns the waker of the first who waits.
    fn first(&self) -> Option<Waker> {
        self.waiting.values().next().cloned()
    }
}

impl Future for Reserve<'_> {
    type Output = Reserved;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (room, bytes) = (self.room, self.bytes);
        let mut state = room.state();
        if state.take(bytes, self.ticket) {
            drop(state);
            self.leave();
            return Poll::Ready(Reserved { room: room.clone(), bytes });
        }
        self.ticket = Some(state.wait(self.ticket, context.waker()));
        Poll::Pending
    }
}

impl Reserve<'_> {
    /// Gives up the place among those who wait. The next one may find room.
    fn leave(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut state = self.room.state();
        state.waiting.remove(&ticket);
        let next = state.first();
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Reserve<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.free += self.bytes;
        let next = state.first();
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A waiter that polls only when it was woken, as a runtime does.
    struct Waiter<'a> {
        woken: Arc<Flag>,
        state: Waiting<'a>,
    }

    enum Waiting<'a> {
        For(Reserve<'a>),
        With(Reserved),
    }

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    impl<'a> Waiter<'a> {
        fn new(room: &'a Room, bytes: usize) -> Self {
            let mut waiter = Self { woken: Arc::default(), state: Waiting::For(room.reserve(bytes)) };
            waiter.woken.0.store(true, Ordering::SeqCst);
            waiter.poll();
            waiter
        }

        fn poll(&mut self) {
            let waker = Waker::from(Arc::clone(&self.woken));
            if let Waiting::For(reserve) = &mut self.state
                && self.woken.0.swap(false, Ordering::SeqCst)
                && let Poll::Ready(taken) = Pin::new(reserve).poll(&mut Context::from_waker(&waker))
            {
                self.state = Waiting::With(taken);
            }
        }

        fn taken(&self) -> Option<usize> {
            match &self.state {
                Waiting::For(_) => None,
                Waiting::With(taken) => Some(taken.bytes),
            }
        }
    }

    fn settle(waiters: &mut [Waiter<'_>]) {
        while waiters.iter().any(|it| it.taken().is_none() && it.woken.0.load(Ordering::SeqCst)) {
            waiters.iter_mut().for_each(Waiter::poll);
        }
    }

    #[test]
    fn more_than_there_is_room_for_is_let_in_alone() {
        let room = Room::new(10);
        let mut waiters = vec![Waiter::new(&room, 1), Waiter::new(&room, 99), Waiter::new(&room, 1)];
        assert_eq!(waiters.iter().map(Waiter::taken).collect::<Vec<_>>(), [Some(1), None, None]);
        drop(waiters.remove(0));
        settle(&mut waiters);
        assert_eq!(waiters.iter().map(Waiter::taken).collect::<Vec<_>>(), [Some(10), None]);
        drop(waiters.remove(0));
        settle(&mut waiters);
        assert_eq!(waiters[0].taken(), Some(1));
    }

    proptest! {
        /// Waiters come and go, waiting or with room: never is more taken than there is, those who asked first are
        /// let in first, and the first who waits does so only for want of room.
        #[test]
        fn room_is_never_exceeded_and_never_left_unused(steps in vec((0usize..12, any::<u8>()), 1..80)) {
            let room = Room::new(10);
            let mut waiters: Vec<Waiter<'_>> = Vec::new();
            for (bytes, choice) in steps {
                match usize::from(choice) % (2 * waiters.len() + 1) {
                    leaves if leaves < waiters.len() => drop(waiters.remove(leaves)),
                    _ => waiters.push(Waiter::new(&room, bytes)),
                }
                settle(&mut waiters);
                let taken: usize = waiters.iter().filter_map(Waiter::taken).sum();
                prop_assert!(taken <= 10);
                prop_assert_eq!(room.state.state().free, 10 - taken);
                let first = waiters.iter().position(|it| it.taken().is_none()).unwrap_or(waiters.len());
                prop_assert!(waiters[first..].iter().all(|it| it.taken().is_none()));
                if let Some(Waiter { state: Waiting::For(reserve), .. }) = waiters.get(first) {
                    prop_assert!(reserve.bytes > 10 - taken);
                }
            }
        }
    }
}
