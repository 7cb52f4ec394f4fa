//! [`Clock`]: the source of every date, and of the durations for which a store lets things wait.
//!
//! ```
//! use std::time::Duration;
//! use hookwire::clock::{Clock, ManualClock};
//!
//! let clock = ManualClock::default();
//! let (date, reading) = (clock.now(), clock.monotonic());
//! clock.advance(Duration::from_secs(5));
//! assert_eq!(clock.now().since(date), Duration::from_secs(5));
//! assert_eq!(clock.monotonic() - reading, Duration::from_secs(5));
//!
//! clock.step(-3600); // somebody corrects the date
//! assert_eq!(clock.monotonic() - reading, Duration::from_secs(5));
//! ```

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::model::Timestamp;

/// A source of the current time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the current date, which may be stepped in either direction at any time.
    fn now(&self) -> Timestamp;

    /// Returns the time since some fixed moment. It never goes back, is not stepped when the date is, and goes on while
    /// the machine sleeps where the system offers that.
    fn monotonic(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn monotonic(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::try_from(time).unwrap_or_default()
    }

    /// Elsewhere, what the standard library has: it sleeps with the machine on Apple's systems.
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    fn monotonic(&self) -> Duration {
        static START: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        START.elapsed()
    }
}

/// A clock that moves only by [`advance`](Self::advance), [`set`](Self::set) and [`step`](Self::step). Clones move together.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Readings>);

#[derive(Debug)]
struct Readings {
    date: AtomicI64,
    monotonic: AtomicU64,
}

impl ManualClock {
    /// Creates a clock that stands at `time`.
    pub fn at(time: Timestamp) -> Self {
        Self(Arc::new(Readings { date: AtomicI64::new(time.as_millis()), monotonic: AtomicU64::new(0) }))
    }

    /// Moves the clock forward by a duration.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
        let monotonic = self.monotonic().saturating_add(by).as_millis();
        self.0.monotonic.store(u64::try_from(monotonic).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Sets the date, while no time passes: [`monotonic`](Clock::monotonic) stays.
    pub fn set(&self, date: Timestamp) {
        self.0.date.store(date.as_millis(), Ordering::SeqCst);
    }

    /// Steps the date by so many seconds, back if they are negative, as [`set`](Self::set) does.
    pub fn step(&self, seconds: i64) {
        let by = Duration::from_secs(seconds.unsigned_abs());
        self.set(if seconds < 0 { self.now().minus(by) } else { self.now().plus(by) });
    }
}

/// The default clock stands at the first second of the year 2026.
impl Default for ManualClock {
    fn default() -> Self {
        Self::at(Timestamp::from_secs(1_767_225_600))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.date.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.monotonic.load(Ordering::SeqCst))
    }
}
