//! A process of the world, and the network to its store. Once it is killed, its calls have no effect.

use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::prng::Prng;

/// The state that the store, the transport and the tasks of one process share.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) number: usize,
    /// The time by which its clock is ahead.
    pub(crate) skew: Duration,
    dead: AtomicBool,
    network: Mutex<Network>,
}

/// The network between a process and its store.
#[derive(Debug)]
struct Network {
    prng: Prng,
    /// The percentage of calls that fail.
    failing: u64,
    /// The percentage of calls that are slow.
    slow: u64,
}

/// The delays and the failure of one call of the store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallFaults {
    pub(crate) before: Duration,
    pub(crate) fails: Option<Failing>,
    pub(crate) after: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failing {
    /// The call never reaches the store.
    Before,
    /// The call takes effect, but its answer is lost.
    After,
}

impl Process {
    /// Creates a process with a network of its own.
    pub(crate) fn new(number: usize, mut prng: Prng) -> Self {
        let skew = Duration::from_millis(if prng.chance(30) { 0 } else { prng.below(10 * 60 * 1000) });
        let failing = prng.below(25);
        let slow = prng.below(12);
        let network = Mutex::new(Network { prng, failing, slow });
        Self { number, skew, dead: AtomicBool::new(false), network }
    }

    /// Lets no call fail from now on.
    pub(crate) fn stop_failing(&self) {
        let mut network = self.network.lock().expect("whole");
        network.failing = 0;
        network.slow = 0;
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Returns at once, and never in a process that was killed.
    pub(crate) async fn live(&self) {
        if self.is_dead() {
            pending::<()>().await;
        }
    }

    /// Draws the faults of the next call.
    pub(crate) fn draw_faults(&self) -> CallFaults {
        let mut network = self.network.lock().expect("whole");
        let failing = network.failing;
        let slow = network.slow;
        let prng = &mut network.prng;
        let fails =
            prng.chance(failing).then(|| if prng.chance(50) { Failing::Before } else { Failing::After });
        CallFaults { before: delay(prng, slow), fails, after: delay(prng, slow) }
    }
}

/// Draws a delay: a few milliseconds or none mostly, and sometimes more than a lease.
fn delay(prng: &mut Prng, slow: u64) -> Duration {
    match (prng.chance(slow), prng.below(10)) {
        (true, 0) => prng.millis(10_000, 60_000),
        (true, _) => prng.millis(10, 8_000),
        (false, 0..5) => Duration::ZERO,
        (false, _) => prng.millis(1, 3),
    }
}
