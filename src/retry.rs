//! The schedule of retries with its jitter, and the parser of `Retry-After`. `delivery::decision` computes the backoff of a
//! lane.
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
use serde::{Deserialize, Serialize};

use crate::model::{Timestamp, is_zero};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The schedule of attempts, and the limit up to which a receiver's `Retry-After` is honoured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    schedule: Vec<Duration>,
    jitter_percent: u8,
    max_retry_after: Duration,
}

impl RetryPolicy {
    /// Sets the delays between attempts, each from the end of one attempt to the start of the next.
    ///
    /// The first attempt is made at once, so that there is one more attempt than there are delays.
    ///
    /// Default: 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h, as Standard Webhooks recommends.
    #[must_use]
    pub fn with_delays(self, delays: impl IntoIterator<Item = Duration>) -> Self {
        Self { schedule: delays.into_iter().collect(), ..self }
    }

    /// Sets the maximum deviation of a delay in both directions, at most 100 %. Default 20 %, as in Svix.
    ///
    /// It prevents deliveries that failed together from being retried together.
    #[must_use]
    pub fn with_jitter_percent(self, percent: u8) -> Self {
        Self { jitter_percent: percent.min(100), ..self }
    }

    /// Sets the longest `Retry-After` that is honoured. Default 24 h, the longest delay of the schedule.
    #[must_use]
    pub fn with_max_retry_after(self, max: Duration) -> Self {
        Self { max_retry_after: max, ..self }
    }

    /// Returns the longest `Retry-After` that is honoured.
    pub const fn max_retry_after(&self) -> Duration {
        self.max_retry_after
    }

    /// Returns the longest delay that can follow an attempt, with its jitter.
    pub fn longest_delay(&self) -> Duration {
        let longest = self.schedule.iter().max().copied().unwrap_or_default();
        Jitter::MAX.apply(longest, self.jitter_percent).max(self.max_retry_after)
    }

    /// Returns the number of attempts that a delivery gets, those aside that are not counted.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.schedule.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Returns the delay after `attempts` failed attempts, or `None` after the last one.
    ///
    /// It is the delay of the schedule or the receiver's `retry_after`, whichever is longer.
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

/// The deviation of a delay within its range, in thousandths from -1000 to 1000.
///
/// It is a hash of the delivery and not a random number, so that tests repeat exactly and deliveries are spread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Jitter(i64);

impl Jitter {
    /// No deviation from the schedule.
    pub const NONE: Self = Self(0);

    /// The greatest deviation.
    const MAX: Self = Self(1000);

    /// Creates the jitter of `subject` by hashing it. Jitters of different subjects are spread evenly.
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

/// The position of a delivery in its schedule, beside the number of its attempts.
///
/// Some attempts use no step of the schedule: those that failed on the sender's side, and those that a receiver
/// refused because of a limit while it made progress. A store keeps the state with the delivery and replaces it by
/// that of each settlement.
///
/// ```
/// use hookwire::retry::RetryState;
///
/// assert_eq!(RetryState::default().in_a_row(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct RetryState {
    /// The number of attempts so far that used no step.
    #[serde(skip_serializing_if = "is_zero")]
    uncounted: u32,
    /// The last attempts, if they used no step.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
    /// The number of recoveries that the lane had at the last attempt that the receiver answered; none if it had none then.
    /// After a limit it is there in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    recoveries: Option<u32>,
}

/// Attempts in a row that used no step of the schedule, for the same cause.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Run {
    cause: Uncounted,
    length: u32,
}

/// Why an attempt uses no step of the schedule.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Uncounted {
    /// The receiver has a limit, and makes progress.
    Limit,
    /// It failed on the sender's side.
    Local,
}

impl RetryState {
    /// Returns the number of attempts in a row, up to the last one, that used no step for the same cause.
    pub fn in_a_row(&self) -> u32 {
        self.run.map_or(0, |run| run.length)
    }

    /// Reads the document that a store keeps; `None` is that of a delivery all of whose attempts used a step.
    ///
    /// # Errors
    ///
    /// The text is no document of [`to_doc`](Self::to_doc).
    pub fn from_doc(doc: Option<&str>) -> serde_json::Result<Self> {
        doc.map_or_else(|| Ok(Self::default()), serde_json::from_str)
    }

    /// Returns the document that a store keeps.
    ///
    /// ```
    /// use hookwire::retry::RetryState;
    ///
    /// assert_eq!(RetryState::default().to_doc()?, None);
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None of ours: as from every serialization.
    pub fn to_doc(&self) -> serde_json::Result<Option<String>> {
        (*self != Self::default()).then(|| serde_json::to_string(self)).transpose()
    }

    /// Returns the step of the schedule that attempt `number` is.
    pub(crate) const fn step(&self, number: u32) -> u32 {
        number.saturating_sub(self.uncounted)
    }

    /// Returns whether the lane has recovered since the attempt before `number`, if it reached the receiver.
    pub(crate) fn has_progress(&self, number: u32, recoveries: u32) -> bool {
        let is_first = self.step(number) <= 1;
        let seen = self.recoveries.or_else(|| (!is_first).then_some(0));
        seen.is_some_and(|seen| seen != recoveries)
    }

    /// Returns the state after an attempt that used a step.
    pub(crate) const fn counted(self) -> Self {
        Self { run: None, recoveries: None, ..self }
    }

    /// Returns the state after an attempt that failed and used a step.
    pub(crate) fn failed(self, recoveries: u32) -> Self {
        Self { recoveries: Some(recoveries).filter(|it| *it > 0), ..self.counted() }
    }

    /// Returns the state after an attempt that was limited.
    pub(crate) fn limited(self, recoveries: u32, is_counted: bool) -> Self {
        let after = if is_counted { self.counted() } else { self.uncounted(Uncounted::Limit) };
        Self { recoveries: Some(recoveries), ..after }
    }

    /// Returns the state after an attempt that used no step.
    pub(crate) fn uncounted(self, cause: Uncounted) -> Self {
        let before = self.run.filter(|run| run.cause == cause).map_or(0, |run| run.length);
        let run = Run { cause, length: before.saturating_add(1) };
        Self { uncounted: self.uncounted.saturating_add(1), run: Some(run), ..self }
    }
}

/// Parses a `Retry-After` header: seconds, or an HTTP date in any of the three forms of RFC 9110.
///
/// Returns `None` for anything else. A date in the past gives zero. Too many seconds for a [`Duration`] give the
/// maximum.
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
    fn a_run_of_attempts_that_use_no_step_has_one_cause() {
        let local = RetryState::default().uncounted(Uncounted::Local).uncounted(Uncounted::Local);
        assert_eq!((local.in_a_row(), local.step(3)), (2, 1));
        let limited = local.limited(4, false);
        assert_eq!((limited.in_a_row(), limited.step(4)), (1, 1));
        let has_progress = |state: RetryState, recoveries| state.has_progress(3, recoveries);
        assert!(has_progress(limited, 5) && !has_progress(limited, 4) && !has_progress(local, 4));
        let failed = RetryState::default().failed(4);
        assert!(failed.has_progress(2, 5) && !failed.has_progress(2, 4));
        let [early, first] = [RetryState::default().failed(0), RetryState::default()];
        assert!(early.has_progress(2, 1) && !early.has_progress(2, 0) && !first.has_progress(1, 1));
        assert_eq!((limited.counted().in_a_row(), limited.counted().step(5)), (0, 2));
    }

    #[test]
    fn a_document_is_kept_of_a_state_that_is_not_the_first() {
        for state in [RetryState::default(), RetryState::default().limited(4, false)] {
            let doc = state.to_doc().expect("JSON");
            assert_eq!(doc.is_none(), state == RetryState::default());
            assert_eq!(RetryState::from_doc(doc.as_deref()).expect("its own"), state);
        }
        RetryState::from_doc(Some("{")).expect_err("no JSON");
    }

    #[test]
    fn the_longest_delay_has_its_jitter() {
        assert_eq!(RetryPolicy::default().longest_delay(), seconds(24 * HOUR * 6 / 5));
        let patient = RetryPolicy::default().with_max_retry_after(seconds(99 * HOUR));
        assert_eq!(patient.longest_delay(), seconds(99 * HOUR));
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
