//! The calls of the store that have not answered yet, so that a store that hangs can be told from an idle one.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The calls of the store that are under way.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    /// The calls under way, in the order in which they began, with their start.
    under_way: Vec<(u64, Instant)>,
}

/// A call that is under way until this is dropped.
struct Call<'a> {
    calls: &'a Calls,
    number: u64,
}

impl Calls {
    /// Waits for the answer of a call.
    pub(super) async fn answer<F: Future>(&self, call: F) -> F::Output {
        let _call = self.begin();
        call.await
    }

    /// Returns the time since the oldest call began that has not answered yet.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.state().under_way.first().map(|(_, began)| began.elapsed())
    }

    fn begin(&self) -> Call<'_> {
        let mut state = self.state();
        state.count += 1;
        let number = state.count;
        state.under_way.push((number, Instant::now()));
        Call { calls: self, number }
    }

    /// The state is whole whenever the lock is free, so a poisoned lock is usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.calls.state().under_way.retain(|(number, _)| *number != self.number);
    }
}
