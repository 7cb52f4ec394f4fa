//! Statistics: the attempts at a webhook, counted by the hour.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::model::{HookId, TenantId, Timestamp, number};

number! {
    /// An hour: its number since the Unix epoch.
    ///
    /// Its JSON form is its start, in milliseconds since the Unix epoch.
    ///
    /// ```
    /// use hookwire::model::Timestamp;
    /// use hookwire::store::Hour;
    ///
    /// let hour = Hour::of("2023-07-09T18:54:30Z".parse()?);
    /// assert_eq!(hour.start().to_string(), "2023-07-09T18:00:00.000Z");
    /// # Ok::<_, hookwire::model::InvalidTimestamp>(())
    /// ```
    Hour(i64)
}

impl Hour {
    const SECONDS: i64 = 60 * 60;

    /// Returns the hour that this time is in.
    pub const fn of(time: Timestamp) -> Self {
        Self(time.as_secs().div_euclid(Self::SECONDS))
    }

    /// Returns the first time in this hour.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_secs(self.0.saturating_mul(Self::SECONDS))
    }

    /// Returns the first hour that is kept at this date. All earlier ones ended longer ago than `keep`. For stores to
    /// build on.
    pub fn first_kept(date: Timestamp, keep: Duration) -> Self {
        Self::of(date.minus(keep).minus(Duration::from_millis(1)))
    }
}

impl Serialize for Hour {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.start().serialize(serializer)
    }
}

/// Attempts at a webhook in one hour that are to be added to those that were counted before.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Counted {
    /// The tenant.
    pub tenant: TenantId,
    /// The webhook.
    pub hook: HookId,
    /// The hour in which the attempts started.
    pub hour: Hour,
    /// The number of attempts.
    pub attempts: u32,
    /// The number of those that succeeded.
    pub successes: u32,
    /// The start of the last of those; `None` if none succeeded.
    pub last_success_at: Option<Timestamp>,
}

/// The attempts at a webhook in one hour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct HourCount {
    /// The hour in which they started.
    pub hour: Hour,
    /// The number of attempts.
    pub attempts: u64,
    /// The number of those that succeeded.
    pub successes: u64,
}

/// What was counted of the attempts at a webhook. [`Tenant::statistics`](crate::Tenant::statistics) returns it.
///
/// The JSON form has the names of the fields. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Statistics {
    /// The hours in which there were attempts, oldest first.
    pub hours: Vec<HourCount>,
    /// The start of the last attempt that succeeded, whatever the time asked for; `None` if none has.
    pub last_success_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_begins_at_its_start_and_ends_before_the_next() {
        for (millis, hour) in [(0, 0), (3_599_999, 0), (3_600_000, 1), (-1, -1), (-3_600_000, -1)] {
            assert_eq!(Hour::of(Timestamp::from_millis(millis)), Hour::new(hour), "{millis}");
        }
        assert_eq!(Hour::new(2).start(), Timestamp::from_secs(7200));
        assert_eq!(serde_json::to_string(&Hour::new(2)).expect("JSON"), "7200000");
        for millis in [i64::MIN, i64::MAX] {
            let _ = Hour::of(Timestamp::from_millis(millis)).start();
        }
    }

    #[test]
    fn an_hour_is_kept_until_its_end_is_too_old() {
        let keep = Duration::from_secs(2 * 60 * 60);
        let kept_at = |secs| Hour::first_kept(Timestamp::from_secs(secs), keep).get();
        // Hour 5 ends at 6 h, and is kept until 8 h.
        assert_eq!(kept_at(8 * 3600), 5);
        assert_eq!(Hour::first_kept(Timestamp::from_millis(8 * 3_600_000 + 1), keep).get(), 6);
        assert_eq!(kept_at(9 * 3600), 6);
    }
}
