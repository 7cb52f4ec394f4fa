//! The check of our own clock by the dates of receivers' answers.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::model::Timestamp;

/// The number of hosts that must agree. Two may be one machine under two names, and of two that differ nobody knows
/// which is right; of three, one that is wrong is outvoted.
const LEAST_HOSTS: usize = 3;

/// The number of hosts whose dates are kept: those that answered last.
const MAX_HOSTS: usize = 32;

/// How far the dates of hosts that agree may be apart. A date is in whole seconds, and may be as old as the answer was
/// slow.
const SPREAD_MILLIS: u64 = 30_000;

/// How far the clock may be off without harm. Receivers accept signatures that are up to five minutes old.
const HARMLESS_MILLIS: u64 = 2 * 60 * 1000;

/// How far the clock of the service is from the clocks of receivers that agree with each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a clock that is off is ahead or behind")]
pub enum ClockOffset {
    /// The clock of the service is ahead of theirs by this.
    Ahead(Duration),
    /// The clock of the service is behind theirs by this.
    Behind(Duration),
}

impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead(by) => write!(f, "{} s ahead", by.as_secs()),
            Self::Behind(by) => write!(f, "{} s behind", by.as_secs()),
        }
    }
}

/// What the dates of the last answers say of our own clock.
#[derive(Debug, Default)]
pub(super) struct ClockCheck {
    /// The date at zero of our monotonic reading, by the last answer of each host, in the order of the answers. A step
    /// of our own date, or its correction, is found at once.
    dates: VecDeque<(String, Timestamp)>,
    is_reported: bool,
}

impl ClockCheck {
    /// Notes the date of a host. Both dates are those at zero of our monotonic reading. Returns the offset of our clock
    /// the first time that the hosts agree that it is off by more than two minutes.
    pub(super) fn note(&mut self, host: &str, ours: Timestamp, theirs: Timestamp) -> Option<ClockOffset> {
        let known = self.dates.iter().position(|(known, _)| known == host);
        let known = known.and_then(|at| self.dates.remove(at)).map(|(known, _)| known);
        if self.dates.len() == MAX_HOSTS {
            self.dates.pop_front();
        }
        self.dates.push_back((known.unwrap_or_else(|| host.to_owned()), theirs));
        if self.is_reported {
            return None;
        }
        let first = self.found(ours);
        self.is_reported = first.is_some();
        first
    }

    /// Returns the offset of our clock, while the hosts agree that it is off by more than two minutes: the median, if
    /// enough hosts and most of them are close to it.
    pub(super) fn found(&self, ours: Timestamp) -> Option<ClockOffset> {
        let offset = |(_, theirs): &(_, Timestamp)| theirs.as_millis().saturating_sub(ours.as_millis());
        let mut offsets = [0; MAX_HOSTS];
        let offsets = &mut offsets[..self.dates.len()];
        offsets.iter_mut().zip(&self.dates).for_each(|(kept, date)| *kept = offset(date));
        offsets.sort_unstable();
        let median = *offsets.get(offsets.len() / 2)?;
        let agreeing = offsets.iter().filter(|it| it.abs_diff(median) <= SPREAD_MILLIS).count();
        if agreeing < LEAST_HOSTS || 2 * agreeing <= offsets.len() || median.unsigned_abs() <= HARMLESS_MILLIS
        {
            return None;
        }
        let by = Duration::from_millis(median.unsigned_abs());
        Some(if median < 0 { ClockOffset::Ahead(by) } else { ClockOffset::Behind(by) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// Notes answers of different hosts whose clocks are off by these seconds, and returns the first report.
    fn report(check: &mut ClockCheck, offsets: &[i64]) -> Option<ClockOffset> {
        let note = |(host, offset): (usize, &i64)| {
            let (now, date) = (Timestamp::from_secs(NOW), Timestamp::from_secs(NOW + offset));
            check.note(&format!("host-{host}.example"), now, date)
        };
        let reports: Vec<_> = offsets.iter().enumerate().filter_map(note).collect();
        assert!(reports.len() <= 1, "it is reported once");
        reports.first().copied()
    }

    fn of(offsets: &[i64]) -> Option<ClockOffset> {
        report(&mut ClockCheck::default(), offsets)
    }

    #[test]
    fn three_hosts_that_agree_report_a_clock_that_is_off_by_more_than_two_minutes() {
        let ahead = |seconds| Some(ClockOffset::Ahead(Duration::from_secs(seconds)));
        let behind = |seconds| Some(ClockOffset::Behind(Duration::from_secs(seconds)));
        for (offsets, expected) in [
            (vec![-300, -301, -310], ahead(301)),
            (vec![3_600, 3_599, 3_601], behind(3_600)),
            (vec![-120, -120, -120], None),
            (vec![-121, -121, -121], ahead(121)),
            (vec![-300, -300], None),
            (vec![-300, 0, -300], None),
            (vec![-300, 0, -300, -300], ahead(300)),
            (vec![-3_600, 3_600, 7_200, -7_200, 300], None),
            (vec![0, 0, 0, -300, -300, -300], None),
            (vec![i64::MIN / 1000 - NOW + 1, i64::MAX / 1000 - NOW - 1], None),
        ] {
            assert_eq!(of(&offsets), expected, "{offsets:?}");
        }
        assert_eq!(ahead(301).expect("some").to_string(), "301 s ahead");
    }

    #[test]
    fn one_host_is_one_voice_however_often_it_answers() {
        let mut check = ClockCheck::default();
        for _ in 0..100 {
            let date = Timestamp::from_secs(NOW - 3_600);
            assert_eq!(check.note("host.example", Timestamp::from_secs(NOW), date), None);
        }
    }

    #[test]
    fn a_clock_that_was_set_right_is_no_longer_found_and_not_reported_again() {
        let mut check = ClockCheck::default();
        let now = Timestamp::from_secs(NOW);
        assert!(report(&mut check, &[-300; 5]).is_some() && check.found(now).is_some());
        let set_right = now.minus(Duration::from_secs(300));
        assert_eq!(check.found(set_right), None, "at once, before any host has answered again");
        assert_eq!(report(&mut check, &[0; 5]), None);
        assert_eq!(check.found(now), None);
        assert_eq!(report(&mut check, &[-300; 5]), None);
        assert!(check.found(now).is_some());
    }

    proptest! {
        #[test]
        fn a_minority_of_wrong_hosts_never_reports(
            wrong in vec(-1_000_000i64..1_000_000, 0..10),
            right in vec(-20i64..20, 11..20),
        ) {
            let mut check = ClockCheck::default();
            let mut offsets = right;
            offsets.extend(wrong);
            prop_assert_eq!(report(&mut check, &offsets), None);
        }
    }
}
