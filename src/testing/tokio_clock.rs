//! A clock that follows tokio's paused time.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::model::Timestamp;

/// A clock that follows tokio's time. With paused time, days pass in a moment.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// use std::time::Duration;
/// use hookwire::clock::Clock;
/// use hookwire::testing::TokioClock;
///
/// let clock = TokioClock::new();
/// let start = clock.now();
/// tokio::time::sleep(Duration::from_secs(75 * 60 * 60)).await; // returns at once
/// assert_eq!(clock.now().since(start), Duration::from_secs(75 * 60 * 60));
/// # });
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    zero: Instant,
    ahead: Duration,
}

impl TokioClock {
    /// Creates a clock that starts now, at the first second of the year 2026.
    pub fn new() -> Self {
        Self { zero: Instant::now(), ahead: Duration::ZERO }
    }

    /// Moves the clock ahead by `by`, as on a machine whose clock is wrong.
    #[must_use]
    pub fn ahead_by(self, by: Duration) -> Self {
        Self { ahead: self.ahead + by, ..self }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_767_225_600).plus(self.zero.elapsed() + self.ahead)
    }

    fn monotonic(&self) -> Duration {
        self.zero.elapsed()
    }
}
