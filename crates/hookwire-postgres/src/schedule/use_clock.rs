//! `UseClock`: the database's time as a clock that never goes back, by which the use of places is measured.

use std::time::Duration;

use hookwire::model::Timestamp;
use tokio::time::Instant;

use crate::time::Millis;

/// How far a reading may lie before one that arrived earlier, because concurrent readings overtake each other.
const OVERTAKEN: Duration = Duration::from_secs(1);

/// The database's time as it was last heard, which goes on from there by the clock of this process. It never goes back,
/// and stands still for as long as the database's clock has stepped back.
#[derive(Debug, Default)]
pub(crate) struct UseClock {
    heard: Option<(Millis, Instant)>,
    /// The time when it was heard.
    base: Timestamp,
    /// The latest time that was told.
    last: Timestamp,
}

impl UseClock {
    /// Hears the time of the database, and returns the present time.
    pub(crate) fn advance_to(&mut self, now: Millis, at: Instant) -> Timestamp {
        let (before, _) = self.heard.unwrap_or((now, at));
        if now >= before || before.since(now) > OVERTAKEN {
            self.base = self.base.plus(now.since(before));
            self.heard = Some((now, at));
        }
        self.now(at)
    }

    /// Returns the present time.
    pub(crate) fn now(&mut self, at: Instant) -> Timestamp {
        let since = self.heard.map_or(Duration::ZERO, |(_, heard_at)| at.saturating_duration_since(heard_at));
        self.last = self.last.max(self.base.plus(since));
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const YEARS: Duration = Duration::from_secs(70 * 365 * 24 * 60 * 60);

    fn at(secs: i64) -> Millis {
        Timestamp::from_secs(secs).into()
    }

    #[test]
    fn it_follows_the_database_and_goes_on_in_between() {
        let (mut clock, start) = (UseClock::default(), Instant::now());
        let began = clock.advance_to(at(1_000), start);
        assert_eq!(clock.now(start + 2 * SECOND).since(began), 2 * SECOND);
        assert_eq!(
            clock.advance_to(at(1_005), start + 3 * SECOND).since(began),
            5 * SECOND,
            "as the database has it"
        );
        assert_eq!(clock.now(start + 4 * SECOND).since(began), 6 * SECOND);
    }

    #[test]
    fn no_step_of_the_database_brings_it_back() {
        let (mut clock, start) = (UseClock::default(), Instant::now());
        let mut last = clock.advance_to(at(1_000), start);
        let ahead = Millis::from(Timestamp::from_secs(1_000).plus(YEARS));
        for (n, now) in
            (1..).zip([at(1_001), ahead, at(900), at(901), Millis::MAX, Millis::MIN, at(900), ahead])
        {
            let present = clock.advance_to(now, start + n * SECOND);
            assert!(present >= last, "{now:?}");
            last = clock.now(start + n * SECOND + SECOND / 2);
            assert!(last >= present, "{now:?}");
        }
    }

    #[test]
    fn one_that_was_overtaken_makes_it_no_faster() {
        let (mut clock, start) = (UseClock::default(), Instant::now());
        let began = clock.advance_to(at(1_000), start);
        for n in 1..=1_000 {
            let now = Millis::from(Timestamp::from_secs(1_000 + n));
            clock.advance_to(now, start);
            clock.advance_to(now.minus(SECOND / 2), start);
        }
        assert_eq!(clock.now(start).since(began), 1_000 * SECOND);
    }

    #[test]
    fn it_goes_on_after_a_step_back() {
        let (mut clock, start) = (UseClock::default(), Instant::now());
        clock.advance_to(at(1_000), start);
        let stepped = clock.advance_to(at(900), start);
        assert_eq!(clock.advance_to(at(907), start).since(stepped), 7 * SECOND);
    }
}
