//! When a failed delivery is tried again: the schedule, its jitter, and what the receiver asked for.
//!
//! ```
//! use std::time::Duration;
//! use hookwire::retry::{Jitter, RetryPolicy};
//!
//! let policy = RetryPolicy::default();
//! assert_eq!(policy.delay_after(1, Jitter::NONE, None), Some(Duration::from_secs(5)));
//! assert_eq!(policy.delay_after(10, Jitter::NONE, None), None);
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use http::HeaderValue;

use crate::model::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The schedule of attempts, and how far a receiver's `Retry-After` may stretch it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    schedule: Vec<Duration>,
    jitter_percent: u8,
    max_retry_after: Duration,
}

impl RetryPolicy {
    /// Sets the delays, each counted from the end of the attempt before it; one more attempt is made than
    /// there are delays, the first of them at once.
    ///
    /// Default: 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h, as Standard Webhooks recommends.
    #[must_use]
    pub fn with_delays(self, delays: impl IntoIterator<Item = Duration>) -> Self {
        Self { schedule: delays.into_iter().collect(), ..self }
    }

    /// Sets how far each delay may be off to either side, at most 100 %. Default 20 %, as Svix; it keeps
    /// what failed together from coming back together.
    #[must_use]
    pub fn with_jitter_percent(self, percent: u8) -> Self {
        Self { jitter_percent: percent.min(100), ..self }
    }

    /// Sets the longest `Retry-After` that is honoured. Default 24 h, the longest delay of the schedule.
    #[must_use]
    pub fn with_max_retry_after(self, most: Duration) -> Self {
        Self { max_retry_after: most, ..self }
    }

    /// The longest `Retry-After` that is honoured.
    pub const fn max_retry_after(&self) -> Duration {
        self.max_retry_after
    }

    /// How many attempts a delivery gets.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.schedule.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// How long to wait after `attempts` failed ones: the later of the schedule and what the receiver
    /// asked for. `None` when that was the last.
    pub fn delay_after(
        &self,
        attempts: u32,
        jitter: Jitter,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let index = usize::try_from(attempts).ok()?.checked_sub(1)?;
        let delay = jitter.apply(*self.schedule.get(index)?, self.jitter_percent);
        Some(delay.max(retry_after.unwrap_or_default().min(self.max_retry_after)))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let seconds =
            [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
        Self {
            schedule: seconds.map(Duration::from_secs).to_vec(),
            jitter_percent: 20,
            max_retry_after: Duration::from_secs(24 * HOUR),
        }
    }
}

/// Where in its range a delay falls: a thousandth from -1000 to 1000.
///
/// Drawn from what is retried instead of a random generator, so that a run repeats exactly and no two
/// deliveries fall together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Jitter(i64);

impl Jitter {
    /// The middle of the range: the delay as the schedule has it.
    pub const NONE: Self = Self(0);

    /// The jitter that belongs to `subject`, evenly spread over all subjects.
    ///
    /// ```
    /// use hookwire::retry::Jitter;
    ///
    /// assert_eq!(Jitter::of(("msg_1", 2)), Jitter::of(("msg_1", 2)));
    /// assert_ne!(Jitter::of(("msg_1", 2)), Jitter::of(("msg_1", 3)));
    /// ```
    pub fn of(subject: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        let spread = i64::try_from(hasher.finish() % 2001).unwrap_or_default();
        Self(spread - 1000)
    }

    fn apply(self, delay: Duration, percent: u8) -> Duration {
        let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        let most_off = millis / 100 * i64::from(percent) + millis % 100 * i64::from(percent) / 100;
        let off = most_off / 1000 * self.0 + most_off % 1000 * self.0 / 1000;
        Duration::from_millis(millis.saturating_add(off).max(0).unsigned_abs())
    }
}

/// Reads a `Retry-After` header: seconds, or an HTTP date of any of the three forms of RFC 9110.
///
/// `None` for what is neither. A date that has passed is zero; more seconds than fit are the most.
///
/// ```
/// use std::time::Duration;
/// use hookwire::model::Timestamp;
/// use hookwire::retry::parse_retry_after;
/// use http::HeaderValue;
///
/// let now = Timestamp::from_secs(784_111_770);
/// let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
/// assert_eq!(parse_retry_after(&date, now), Some(Duration::from_secs(7)));
/// ```
pub fn parse_retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(Timestamp::from(date).since(now))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn header(text: &str, now: i64) -> Option<Duration> {
        parse_retry_after(&HeaderValue::from_str(text).expect("header"), Timestamp::from_secs(now))
    }

    #[test]
    fn the_default_schedule_makes_ten_attempts_in_75_hours() {
        let policy = RetryPolicy::default();
        let delays: Vec<_> = (1..).map_while(|n| policy.delay_after(n, Jitter::NONE, None)).collect();
        assert_eq!(delays.len(), 9);
        assert_eq!(policy.attempts(), 10);
        assert_eq!(delays.iter().sum::<Duration>(), seconds(75 * HOUR + 35 * MINUTE + 5));
    }

    #[test]
    fn the_later_of_schedule_and_hint_counts_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let delay = |hint| policy.delay_after(2, Jitter::NONE, Some(seconds(hint)));
        assert_eq!(delay(1), Some(seconds(5 * MINUTE)));
        assert_eq!(delay(HOUR), Some(seconds(HOUR)));
        assert_eq!(delay(99_999_999_999), Some(seconds(24 * HOUR)));
    }

    #[test]
    fn a_hint_does_not_lengthen_the_schedule() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay_after(10, Jitter::NONE, Some(seconds(5))), None);
        assert_eq!(policy.delay_after(0, Jitter::NONE, None), None);
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_each_form_of_date() {
        assert_eq!(header("120", 0), Some(seconds(120)));
        assert_eq!(header(" 0 ", 0), Some(seconds(0)));
        assert_eq!(header("99999999999999999999", 0), Some(seconds(u64::MAX)));
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(header(date, 784_111_777 - 60), Some(seconds(60)), "{date}");
            assert_eq!(header(date, 784_111_777 + 60), Some(seconds(0)), "{date}");
        }
        for nonsense in ["", "soon", "-1", "1.5", "1e3", "+5"] {
            assert_eq!(header(nonsense, 0), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn every_delay_stays_within_its_jitter(
            delay in 0_u64..10_000_000_000,
            percent in 0_u8..=120,
            subject in any::<u64>(),
        ) {
            let policy = RetryPolicy::default()
                .with_delays([Duration::from_millis(delay)])
                .with_jitter_percent(percent);
            let got = policy.delay_after(1, Jitter::of(subject), None).expect("one retry");
            let most_off = delay * u64::from(percent.min(100)) / 100;
            let range = delay - most_off..=delay + most_off;
            prop_assert!(range.contains(&u64::try_from(got.as_millis()).expect("small")));
        }

        #[test]
        fn no_policy_and_no_number_of_attempts_overflows(
            attempts in any::<u32>(),
            delay in any::<u64>(),
            hint in any::<u64>(),
            subject in any::<u64>(),
        ) {
            let policy = RetryPolicy::default().with_delays([seconds(delay); 3]).with_jitter_percent(100);
            let got = policy.delay_after(attempts, Jitter::of(subject), Some(seconds(hint)));
            prop_assert_eq!(got.is_some(), (1..=3).contains(&attempts));
        }

        #[test]
        fn no_header_panics(bytes in proptest::collection::vec(32_u8..=255, 0..60), now in any::<i64>()) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = parse_retry_after(&value, Timestamp::from_millis(now));
            }
        }

        #[test]
        fn jitter_uses_its_whole_range(seed in any::<u64>()) {
            let all: Vec<_> = (0..400_u64).map(|n| Jitter::of((seed, n)).0).collect();
            prop_assert!(all.iter().min() < Some(&-800) && all.iter().max() > Some(&800));
        }
    }
}
