//! What the receiver has seen, by group: how many arrived, how long each took, and whether any came twice.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The arrivals of all groups since each was last taken.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    groups: Mutex<HashMap<String, Vec<Arrival>>>,
    came: Condvar,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Stands for the message and the webhook.
    pub(crate) identity: u64,
    /// From publishing to receipt.
    pub(crate) took: Duration,
}

/// What arrived of one group.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "figures by name")]
pub struct Taken {
    /// How many arrived.
    pub count: usize,
    /// Arrivals of a message at a webhook that has had it already.
    pub again: usize,
    /// The median of the times from publishing to receipt.
    pub p50_ms: f64,
    /// The time that 99 in 100 took at most.
    pub p99_ms: f64,
}

impl Arrivals {
    pub(crate) fn add(&self, group: &str, arrival: Arrival) {
        let mut groups = self.groups();
        if let Some(arrivals) = groups.get_mut(group) {
            arrivals.push(arrival);
        } else {
            groups.insert(group.to_owned(), vec![arrival]);
        }
        drop(groups);
        self.came.notify_all();
    }

    /// Waits for so many of a group, at most so long, and returns how many there are.
    pub(crate) fn wait(&self, group: &str, count: usize, at_most: Duration) -> usize {
        let so_many = |groups: &HashMap<_, Vec<_>>| groups.get(group).map_or(0, Vec::len);
        let waited = self.came.wait_timeout_while(self.groups(), at_most, |groups| so_many(groups) < count);
        so_many(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Returns what arrived of a group, and forgets it.
    pub(crate) fn take(&self, group: &str) -> Taken {
        let arrivals = self.groups().remove(group).unwrap_or_default();
        let identities: HashSet<_> = arrivals.iter().map(|it| it.identity).collect();
        let mut times: Vec<_> = arrivals.iter().map(|it| it.took).collect();
        times.sort_unstable();
        Taken {
            count: arrivals.len(),
            again: arrivals.len() - identities.len(),
            p50_ms: millis(percentile(&times, 50)),
            p99_ms: millis(percentile(&times, 99)),
        }
    }

    /// Each addition leaves the map whole, so a poisoned lock is usable.
    fn groups(&self) -> MutexGuard<'_, HashMap<String, Vec<Arrival>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The smallest of the sorted times that so many in a hundred do not exceed; zero of none.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// In milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(identity: u64, millis: u64) -> Arrival {
        Arrival { identity, took: Duration::from_millis(millis) }
    }

    #[test]
    fn what_came_twice_is_told_and_taking_forgets() {
        let arrivals = Arrivals::default();
        for (identity, millis) in [(1, 5), (2, 7), (1, 9)] {
            arrivals.add("quiet", arrival(identity, millis));
        }
        arrivals.add("other", arrival(1, 1));
        let taken = arrivals.take("quiet");
        assert_eq!(taken, Taken { count: 3, again: 1, p50_ms: 7.0, p99_ms: 9.0 });
        assert_eq!(arrivals.take("quiet"), Taken::default());
        assert_eq!(arrivals.take("other").count, 1);
    }

    #[test]
    fn a_wait_ends_when_enough_is_there_or_its_time_is_over() {
        let arrivals = Arrivals::default();
        arrivals.add("a", arrival(1, 1));
        assert_eq!(arrivals.wait("a", 1, Duration::MAX), 1);
        assert_eq!(arrivals.wait("a", 2, Duration::ZERO), 1);
        assert_eq!(arrivals.wait("b", 1, Duration::ZERO), 0);
    }

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(100));
        assert_eq!(percentile(&times, 99), Duration::from_millis(198));
        assert_eq!(percentile(&times[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
