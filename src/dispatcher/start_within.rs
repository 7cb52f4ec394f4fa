//! [`StartWithin`]: how long after its claim a request may begin, where the webhook has a rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The least time in milliseconds, for a store that answers at once. The shorter, the closer requests come to their
/// rate.
const LEAST: u64 = 100;
/// The longest time in milliseconds, for a slow store.
const MAX: u64 = 10_000;

/// The time within which requests begin after a dispatcher has asked for their claims, in milliseconds. It is as short as
/// this machine and its store allow: longer when a claim comes too late, and shorter again when they come early.
#[derive(Debug)]
pub(super) struct StartWithin(AtomicU64);

impl StartWithin {
    pub(super) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// Adapts the time to a request that was ready `after` the call of `claim`, and returns whether it may begin.
    pub(super) fn may_begin(&self, after: Duration, within: Duration) -> bool {
        let present = self.0.load(Ordering::Relaxed);
        let next = match after < within {
            false => present.saturating_mul(2).min(MAX),
            true if after < within / 4 => (present / 2).max(LEAST),
            true => present,
        };
        // Attempts that end at the same time say the same.
        let _ = self.0.compare_exchange(present, next, Ordering::Relaxed, Ordering::Relaxed);
        after < within
    }
}

impl Default for StartWithin {
    fn default() -> Self {
        Self(AtomicU64::new(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_until_requests_begin_in_time_and_shrinks_again() {
        let (start, millis) = (StartWithin::default(), Duration::from_millis);
        assert_eq!(start.get(), millis(100));
        assert!(start.may_begin(millis(99), start.get()));
        assert!(!start.may_begin(millis(100), start.get()), "it came too late");
        assert_eq!(start.get(), millis(200));
        assert!(start.may_begin(millis(150), start.get()) && start.may_begin(millis(50), start.get()));
        assert_eq!(start.get(), millis(200));
        assert!(start.may_begin(millis(49), start.get()));
        assert_eq!(start.get(), millis(100));
        (0..20).for_each(|_| assert!(!start.may_begin(millis(60_000), start.get())));
        assert_eq!(start.get(), millis(10_000));
    }
}
