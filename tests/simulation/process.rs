//! One process of the world: it lives until it is killed, and from then on nothing of it takes effect.

use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::prng::Prng;

/// What the store, the transport and the tasks of one process share.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) number: usize,
    /// How far its clock is ahead.
    pub(crate) skew: Duration,
    dead: AtomicBool,
    weather: Mutex<Weather>,
}

/// How the network between a process and its store behaves.
#[derive(Debug)]
struct Weather {
    prng: Prng,
    /// How many calls of a hundred fail.
    failing: u64,
    /// How many calls of a hundred take their time.
    slow: u64,
}

/// What happens to one call of the store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gust {
    pub(crate) before: Duration,
    pub(crate) fails: Option<Failing>,
    pub(crate) after: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failing {
    /// The call never reaches the store.
    Before,
    /// It takes effect, but its answer is lost.
    After,
}

impl Process {
    /// A process in weather of its own.
    pub(crate) fn new(number: usize, mut prng: Prng) -> Self {
        let skew = Duration::from_millis(if prng.chance(30) { 0 } else { prng.below(10 * 60 * 1000) });
        let (failing, slow) = (prng.below(25), prng.below(12));
        let weather = Mutex::new(Weather { prng, failing, slow });
        Self { number, skew, dead: AtomicBool::new(false), weather }
    }

    /// From now on nothing fails.
    pub(crate) fn calm(&self) {
        let mut weather = self.weather.lock().expect("whole");
        weather.failing = 0;
        weather.slow = 0;
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Goes on only in a process that lives.
    pub(crate) async fn live(&self) {
        if self.is_dead() {
            pending::<()>().await;
        }
    }

    pub(crate) fn gust(&self) -> Gust {
        let mut weather = self.weather.lock().expect("whole");
        let (failing, slow) = (weather.failing, weather.slow);
        let prng = &mut weather.prng;
        let fails =
            prng.chance(failing).then(|| if prng.chance(50) { Failing::Before } else { Failing::After });
        Gust { before: delay(prng, slow), fails, after: delay(prng, slow) }
    }
}

/// Mostly a few milliseconds or none; sometimes longer than a lease.
fn delay(prng: &mut Prng, slow: u64) -> Duration {
    match (prng.chance(slow), prng.below(10)) {
        (true, 0) => prng.millis(10_000, 60_000),
        (true, _) => prng.millis(10, 8_000),
        (false, 0..5) => Duration::ZERO,
        (false, _) => prng.millis(1, 3),
    }
}
