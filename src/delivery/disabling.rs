//! [`DisablePolicy`]: when a webhook that only fails is disabled, and the count of its failures.

use std::time::Duration;

use crate::model::{DisableReason, Timestamp};
use crate::retry::RetryPolicy;

/// The number of counted failures without which no webhook is disabled.
const MIN_FAILURES: u32 = 3;

/// The precision of the time of the last failure, so that a lane that fails often is not written at each.
const PRECISION: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The policy by which a webhook that only fails is disabled.
///
/// It is judged when a delivery is exhausted, that is after the last attempt of its schedule. The webhook is then
/// disabled if it had no success for the whole time [`after`](Self::with_after), and at least three failures that count.
/// A failure counts if it comes at least the [`spacing`](Self::with_spacing) after the last one that counted.
///
/// The count begins anew after a success. It also begins anew after a silence in which nothing failed, since nothing
/// is known of that time: one that is longer than twice the spacing and longer than the longest delay between two
/// attempts of a delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DisablePolicy {
    after: Duration,
    spacing: Duration,
}

impl DisablePolicy {
    /// Sets the time without a success, from the first failure, after which a webhook is disabled. Default: 5 days, our
    /// own choice; it is longer than the default schedule, so that one event alone disables nothing.
    #[must_use]
    pub fn with_after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Sets the least time between two failures that count. Default: 12 h, our own choice.
    #[must_use]
    pub fn with_spacing(self, spacing: Duration) -> Self {
        Self { spacing, ..self }
    }

    /// Returns how failures are counted beside the delays of `retry`.
    pub fn counting(&self, retry: &RetryPolicy) -> Counting {
        let silence = self.spacing.saturating_mul(2).max(retry.longest_delay());
        Counting { spacing: self.spacing, silence }
    }

    /// Returns whether the failures of this run are half of what disables a webhook.
    pub(super) fn is_half(self, run: &FailureRun) -> bool {
        run.count >= MIN_FAILURES.div_ceil(2) && run.last_at.since(run.since) >= self.after / 2
    }

    /// Returns the reason to disable a webhook whose last failure, at `now`, belongs to this run.
    pub(super) fn judge(self, run: &FailureRun, now: Timestamp) -> Option<DisableReason> {
        let is_proven = run.count >= MIN_FAILURES && now.since(run.since) >= self.after;
        is_proven.then_some(DisableReason::Failing { since: run.since })
    }
}

impl Default for DisablePolicy {
    fn default() -> Self {
        Self { after: 5 * 24 * HOUR, spacing: 12 * HOUR }
    }
}

/// The times by which the failures of a lane are counted. The default is that of the default policies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores hand it to `Health::after`")]
pub struct Counting {
    /// The least time between two failures that count.
    pub spacing: Duration,
    /// The time without a failure after which the count begins anew.
    pub silence: Duration,
}

impl Counting {
    pub(crate) const DEFAULT: Self =
        Self { spacing: Duration::from_secs(43_200), silence: Duration::from_secs(103_680) };
}

impl Default for Counting {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Failures without a success between them, and without a long silence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FailureRun {
    /// The time of the first.
    pub(super) since: Timestamp,
    /// The time of the last one that counted.
    pub(super) counted_at: Timestamp,
    /// The time of the last one, to the minute.
    pub(super) last_at: Timestamp,
    /// The number of those that counted.
    pub(super) count: u32,
}

impl FailureRun {
    /// Begins a run with a failure.
    pub(super) const fn new(at: Timestamp) -> Self {
        Self { since: at, counted_at: at, last_at: at, count: 1 }
    }

    /// Returns the run after one more failure.
    pub(super) fn after(self, counting: Counting, now: Timestamp) -> Self {
        if now.since(self.last_at) > counting.silence {
            return Self::new(now);
        }
        let counts = now.since(self.counted_at) >= counting.spacing;
        Self {
            since: self.since,
            counted_at: if counts { now } else { self.counted_at },
            last_at: if now.since(self.last_at) >= PRECISION { now } else { self.last_at },
            count: self.count.saturating_add(counts.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn start() -> Timestamp {
        Timestamp::from_secs(1_700_000_000)
    }

    /// The run after failures at these times from the start.
    fn run(counting: Counting, at: impl IntoIterator<Item = Duration>) -> FailureRun {
        let at = at.into_iter().map(|at| start().plus(at));
        at.fold(FailureRun::new(start()), |run, at| run.after(counting, at))
    }

    /// Whether the failures at these times, the last of which ends a delivery, disable a webhook.
    fn disables(policy: DisablePolicy, at: &[Duration]) -> bool {
        let run = run(policy.counting(&RetryPolicy::default()), at.iter().copied());
        let last = at.last().copied().unwrap_or_default();
        policy.judge(&run, start().plus(last)).is_some()
    }

    #[test]
    fn a_verdict_needs_three_failures_over_five_days() {
        let policy = DisablePolicy::default();
        assert!(disables(policy, &[DAY, 2 * DAY, 3 * DAY, 4 * DAY, 5 * DAY]));
        assert!(!disables(policy, &[DAY, 2 * DAY, 3 * DAY, 4 * DAY, 5 * DAY - Duration::from_millis(1)]));
        let short = policy.with_after(HOUR);
        assert!(!disables(short, &[12 * HOUR]), "two failures are too few");
        assert!(!disables(short, &[HOUR, 2 * HOUR, 23 * HOUR]), "those in between do not count");
        assert!(disables(short, &[HOUR, 12 * HOUR, 24 * HOUR]));
        assert!(disables(short.with_spacing(HOUR), &[HOUR, 2 * HOUR]));
    }

    #[test]
    fn a_silence_begins_the_count_anew() {
        let policy = DisablePolicy::default();
        assert!(!disables(policy, &[12 * HOUR, 24 * HOUR, 30 * DAY]));
        // The longest delay with its jitter is longer than twice the spacing.
        let longest = 24 * HOUR * 6 / 5;
        let counting = policy.counting(&RetryPolicy::default());
        assert_eq!(counting, Counting { spacing: 12 * HOUR, silence: longest });
        assert_eq!(run(counting, [longest]).count, 2);
        assert_eq!(run(counting, [longest + Duration::from_millis(1)]).count, 1);
        let short = RetryPolicy::default().with_delays([HOUR]).with_max_retry_after(HOUR);
        assert_eq!(policy.counting(&short).silence, 24 * HOUR);
    }

    proptest! {
        #[test]
        fn the_default_schedule_with_any_jitter_is_no_silence(
            jitters in proptest::collection::vec(800_u64..=1200, 9),
        ) {
            let delays = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
            let mut at = Duration::ZERO;
            let times: Vec<_> = delays.iter().zip(jitters).map(|(seconds, jitter)| {
                at += Duration::from_millis(seconds * jitter);
                at
            }).collect();
            let run = run(Counting::default(), times);
            prop_assert_eq!(run.since, start());
            prop_assert!(run.count >= 3, "{:?}", run);
        }

        #[test]
        fn the_count_is_never_more_than_the_time_allows(
            gaps in proptest::collection::vec(0_u64..40 * 60 * 60, 0..60),
        ) {
            let counting = Counting::default();
            let mut now = start();
            let mut run = FailureRun::new(now);
            for gap in gaps {
                now = now.plus(Duration::from_secs(gap));
                run = run.after(counting, now);
                prop_assert!(run.since <= run.counted_at && run.counted_at <= now && run.last_at <= now);
                let span = run.counted_at.since(run.since);
                prop_assert!(span >= counting.spacing * (run.count - 1));
                prop_assert!(gap <= 104_400 || run == FailureRun::new(now));
            }
        }
    }
}
