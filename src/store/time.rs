//! [`StoreTime`]: the time in which a store lets things wait.
//!
//! Whoever sets the date of a machine must not end leases, retries or deliveries by it. So dues, leases, backoffs and
//! expiry are moments of the store's own time, which no step of the date moves. What is shown is the date: past moments
//! are noted as dates too when they come, and future ones are told as dates by [`StoreTime::shown`].

use std::time::Duration;

use crate::clock::Clock;
use crate::model::Timestamp;

/// The longest time away that counts: of a longer one nobody can tell whether it passed or the date is wrong.
const LONGEST_AWAY: Duration = Duration::from_secs(48 * 60 * 60);

/// The time of one opened store. It begins at the date, or goes on from what an earlier opening kept, and from then on
/// follows the monotonic reading alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreTime {
    start: Timestamp,
    reading: Duration,
}

/// A moment by the store's own time and by the date. A store keeps one to go on from at the next opening.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct KeptTime {
    /// The store's own time.
    pub(crate) time: Timestamp,
    /// The date at that moment.
    pub(crate) date: Timestamp,
}

impl StoreTime {
    /// Begins the time of a store. `kept` is what the last opening kept, if there was one.
    pub(crate) fn start(kept: Option<KeptTime>, clock: &dyn Clock) -> Self {
        let date = clock.now();
        let start = kept.map_or(date, |kept| kept.time.plus(date.since(kept.date).min(LONGEST_AWAY)));
        Self { start, reading: clock.monotonic() }
    }

    /// Returns the store's present time. It never goes back.
    pub(crate) fn now(self, clock: &dyn Clock) -> Timestamp {
        self.start.plus(clock.monotonic().saturating_sub(self.reading))
    }

    /// Returns what to keep for the next opening.
    pub(crate) fn kept(self, clock: &dyn Clock) -> KeptTime {
        KeptTime { time: self.now(clock), date: clock.now() }
    }
}

impl KeptTime {
    /// Returns the date at which the store's time will be `time`, if nobody steps the date until then.
    pub(crate) fn shown(self, time: Timestamp) -> Timestamp {
        match time >= self.time {
            true => self.date.plus(time.since(self.time)),
            false => self.date.minus(self.time.since(time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::ManualClock;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const YEARS: Duration = Duration::from_secs(70 * 365 * 24 * 60 * 60);

    fn stepped(clock: &ManualClock, by: Duration, is_ahead: bool) {
        clock.set(if is_ahead { clock.now().plus(by) } else { clock.now().minus(by) });
    }

    #[test]
    fn a_new_store_begins_at_the_date() {
        let clock = ManualClock::default();
        assert_eq!(StoreTime::start(None, &clock).now(&clock), clock.now());
    }

    #[test]
    fn no_step_of_the_date_moves_it_and_what_passes_does() {
        for (by, is_ahead) in [HOUR, DAY, YEARS].into_iter().flat_map(|by| [(by, true), (by, false)]) {
            let clock = ManualClock::default();
            let time = StoreTime::start(None, &clock);
            let before = time.now(&clock);
            stepped(&clock, by, is_ahead);
            assert_eq!(time.now(&clock), before);
            clock.advance(HOUR);
            assert_eq!(time.now(&clock).since(before), HOUR);
        }
    }

    #[test]
    fn time_away_counts_up_to_two_days_and_a_date_that_went_back_counts_nothing() {
        for (away, counted) in [(HOUR, HOUR), (2 * DAY, 2 * DAY), (3 * DAY, 2 * DAY), (YEARS, 2 * DAY)] {
            let clock = ManualClock::default();
            let kept = StoreTime::start(None, &clock).kept(&clock);
            stepped(&clock, away, true);
            assert_eq!(StoreTime::start(Some(kept), &clock).now(&clock).since(kept.time), counted);
            stepped(&clock, 2 * away, false);
            assert_eq!(StoreTime::start(Some(kept), &clock).now(&clock), kept.time);
        }
    }

    #[test]
    fn moments_are_shown_as_the_date_has_them() {
        let clock = ManualClock::default();
        let time = StoreTime::start(None, &clock);
        let due = time.now(&clock).plus(HOUR);
        stepped(&clock, YEARS, true);
        let present = time.kept(&clock);
        assert_eq!(present.shown(due), clock.now().plus(HOUR));
        assert_eq!(present.shown(present.time.minus(DAY)), clock.now().minus(DAY));
    }

    #[derive(Clone, Copy, Debug)]
    enum Act {
        Pass(u64),
        Step(i64),
        Reopen,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0u64..1_000_000_000).prop_map(Act::Pass),
            any::<i64>().prop_map(Act::Step),
            Just(Act::Reopen),
        ]
    }

    proptest! {
        /// Whatever the date does, the time is as much as passed while it was open, and at most two days for each time
        /// that it was not.
        #[test]
        fn it_never_goes_back_and_runs_with_what_passes(acts in vec(act(), 0..50), first in any::<i64>()) {
            let clock = ManualClock::at(Timestamp::from_millis(first / 2));
            let mut time = StoreTime::start(None, &clock);
            for act in acts {
                let (before, kept) = (time.now(&clock), time.kept(&clock));
                let (least, most) = match act {
                    Act::Pass(millis) => {
                        clock.advance(Duration::from_millis(millis));
                        (Duration::from_millis(millis), Duration::from_millis(millis))
                    }
                    Act::Step(millis) => {
                        clock.set(Timestamp::from_millis(millis));
                        (Duration::ZERO, Duration::ZERO)
                    }
                    Act::Reopen => {
                        stepped(&clock, YEARS, true);
                        time = StoreTime::start(Some(kept), &clock);
                        (Duration::ZERO, LONGEST_AWAY)
                    }
                };
                let passed = time.now(&clock).since(before);
                prop_assert!(time.now(&clock) >= before && passed <= most);
                prop_assert!(passed >= least || time.now(&clock) == Timestamp::from_millis(i64::MAX));
            }
        }
    }
}
