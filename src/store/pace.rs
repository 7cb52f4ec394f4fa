//! The pace of a webhook across all holders: how many of its deliveries are held, and how many are claimed in a second.

use std::time::Duration;

use crate::model::{DeliveryOptions, Timestamp};

/// The time over which a rate counts.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// The limits that a webhook's options set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Pace {
    /// The most requests that begin within any second.
    pub(crate) rate: Option<u32>,
    /// The most deliveries that are held at once.
    pub(crate) max_in_flight: Option<u32>,
}

/// The slots of a rate that are taken, by the time at which each is free again.
///
/// A request begins within `start_within` of its claim, or not at all, and then counts for a second. Its slot is taken
/// for both times together. So all requests that begin within any second hold slots when the last of them is claimed.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<Timestamp>);

impl Pace {
    pub(crate) fn of(options: &DeliveryOptions) -> Self {
        Self { rate: options.rate(), max_in_flight: options.max_in_flight() }
    }

    pub(crate) const fn is_limited(self) -> bool {
        self.rate.is_some() || self.max_in_flight.is_some()
    }
}

impl Slots {
    /// Takes a slot for a claim whose request begins before `start_within` has passed.
    pub(super) fn take(&mut self, start_within: Duration, now: Timestamp) {
        self.0.retain(|until| *until > now);
        let until = now.plus(start_within).plus(WINDOW);
        let at = self.0.partition_point(|other| *other <= until);
        self.0.insert(at, until);
    }

    /// Returns when fewer than `rate` slots are taken; `None` if fewer were taken at all. The time may have passed.
    pub(super) fn free_at(&self, rate: u32) -> Option<Timestamp> {
        let rate = usize::try_from(rate).unwrap_or(usize::MAX);
        self.0.len().checked_sub(rate).map(|at| self.0[at])
    }

    /// Returns whether any is taken.
    pub(super) fn is_taken(&self, now: Timestamp) -> bool {
        self.0.last().is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slot_is_taken_until_its_request_is_a_second_old() {
        let (mut slots, late) = (Slots::default(), Duration::from_millis(100));
        let at = Timestamp::from_millis;
        assert_eq!(slots.free_at(2), None);
        slots.take(late, at(0));
        assert_eq!(slots.free_at(2), None);
        slots.take(late, at(300));
        assert_eq!((slots.free_at(2), slots.free_at(1)), (Some(at(1_100)), Some(at(1_400))));
        assert!(slots.is_taken(at(1_399)) && !slots.is_taken(at(1_400)));
        slots.take(Duration::ZERO, at(1_200));
        assert_eq!(slots.free_at(2), Some(at(1_400)), "in the order of their ends, and without the past");
    }

    proptest! {
        #[test]
        fn within_no_second_do_more_begin_than_the_rate(
            rate in 1..6_u32,
            steps in vec((0..700_i64, 0..400_u64, 0..=100_u64), 1..200),
        ) {
            let (mut slots, mut now, mut begun) = (Slots::default(), 0, Vec::new());
            for (pause, start_within, percent) in steps {
                now += pause;
                if slots.free_at(rate).is_none_or(|at| at <= Timestamp::from_millis(now)) {
                    slots.take(Duration::from_millis(start_within), Timestamp::from_millis(now));
                    begun.push(now + (start_within * percent / 100).cast_signed());
                }
            }
            for end in &begun {
                let within = begun.iter().filter(|it| *end - 1_000 < **it && *it <= end).count();
                prop_assert!(within <= rate as usize, "{within} by {end}");
            }
        }
    }
}
