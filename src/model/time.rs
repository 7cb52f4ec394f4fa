//! Points in time. Reading the clock is left to `clock`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// A point in time, in whole milliseconds since the Unix epoch.
///
/// Arithmetic saturates, so that no input can overflow. `Display` prints RFC 3339.
///
/// ```
/// use std::time::Duration;
/// use hookwire::model::Timestamp;
///
/// let time = Timestamp::from_millis(1_688_928_870_551);
/// assert_eq!(time.to_string(), "2023-07-09T18:54:30.551Z");
/// assert_eq!(time.plus(Duration::from_secs(2)).since(time), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Creates a time this many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Creates a time this many seconds after the Unix epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the time `delay` after this one.
    #[must_use]
    pub fn plus(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(saturating_millis(delay)))
    }

    /// Returns the time `age` before this one.
    #[must_use]
    pub fn minus(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_millis(age)))
    }

    /// Returns the duration from `earlier` to this time; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0).max(0);
        Duration::from_millis(millis.unsigned_abs())
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self::default().plus(after),
            Err(before) => Self::default().minus(before.duration()),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = jiff::Timestamp::MIN.as_millisecond()..=jiff::Timestamp::MAX.as_millisecond();
        match jiff::Timestamp::from_millisecond(self.0.clamp(*limits.start(), *limits.end())) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

/// Parses RFC 3339, and rounds down to milliseconds.
///
/// ```
/// use hookwire::model::Timestamp;
///
/// let time: Timestamp = "2023-07-09T20:54:30.551+02:00".parse()?;
/// assert_eq!(time.to_string(), "2023-07-09T18:54:30.551Z");
/// # Ok::<_, hookwire::model::InvalidTimestamp>(())
/// ```
impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp(()))?;
        let (second, nanosecond) = (time.as_second(), i64::from(time.subsec_nanosecond()));
        Ok(Self(second.saturating_mul(1000).saturating_add(nanosecond.div_euclid(1_000_000))))
    }
}

/// Reads a time of a query: its JSON, the same number as a string of digits, or RFC 3339.
pub(super) fn of_query<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected milliseconds since 1970, or a time like `2023-07-09T18:54:30Z`")]
    enum Given {
        Millis(i64),
        Text(String),
    }

    let time = Option::deserialize(deserializer)?.map(|given| match given {
        Given::Millis(millis) => Ok(Timestamp(millis)),
        Given::Text(text) => text.parse().map(Timestamp).or_else(|_| text.parse()),
    });
    time.transpose().map_err(serde::de::Error::custom)
}

/// The error for a text that is no [`Timestamp`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a time is written by RFC 3339, as in `2023-07-09T18:54:30Z`")]
pub struct InvalidTimestamp(());

fn saturating_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let last = Timestamp::from_millis(i64::MAX);
        let first = Timestamp::from_millis(i64::MIN);
        assert_eq!(last.plus(Duration::MAX), last);
        assert_eq!(first.minus(Duration::MAX), first);
        assert_eq!(last.since(first), Duration::from_millis(i64::MAX.unsigned_abs()));
        assert_eq!(first.since(last), Duration::ZERO);
    }

    #[test]
    fn times_before_the_epoch_round_down() {
        let time = Timestamp::from(UNIX_EPOCH - Duration::from_millis(1));
        assert_eq!(time.as_millis(), -1);
        assert_eq!(time.as_secs(), -1);
    }

    #[test]
    fn what_is_printed_is_read_back_and_what_is_no_time_is_refused() {
        for millis in [-1, 0, 1_688_928_870_551, -62_135_596_800_000] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        assert_eq!("1969-12-31T23:59:59.9999Z".parse(), Ok(Timestamp::from_millis(-1)), "rounded down");
        for text in ["", "yesterday", "2023-07-09", "2023-07-09T18:54:30", "1688928870551"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_time_prints() {
        for millis in [i64::MIN, -1, 0, i64::MAX] {
            assert!(!Timestamp::from_millis(millis).to_string().is_empty());
        }
        assert_eq!(Timestamp::default().to_string(), "1970-01-01T00:00:00.000Z");
    }
}
