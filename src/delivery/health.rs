//! [`Health`]: the failures and timeouts of a lane, and the class that follows from them: proven, unproven or hanging.

use serde::{Deserialize, Serialize};

use super::disabling::{Counting, DisablePolicy, FailureRun};
use crate::model::{DisableReason, Timestamp, is_zero};

/// The result of an attempt as far as it concerns the health of its receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores hand it to `Health::after`")]
pub enum Report {
    /// An attempt failed before the deadline.
    Failure,
    /// The receiver asked for fewer requests (429), which is neither a success nor a failure.
    Limit,
    /// No attempt was made, or it failed on the sender's side.
    NoAttempt,
    /// An attempt succeeded.
    Success,
    /// The deadline passed.
    Timeout,
}

/// The class of a lane, which limits the deliveries that a dispatcher holds of it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores keep lanes apart by it")]
pub enum LaneClass {
    /// Its last two attempts timed out. It gets one slot, and all such lanes together get a tenth of them.
    Hanging,
    /// Its receiver answers in time. It gets as many slots as the quota allows.
    Proven,
    /// Its receiver has not answered in time yet, or its last attempt timed out. All such lanes together get half of
    /// the slots.
    Unproven,
}

/// The health of a lane's receiver, from the outcomes of its attempts.
///
/// A store keeps it with the lane and changes it only by
/// [`Settlement::health_after`](crate::store::Settlement::health_after) while it holds the lane's lock, so that no
/// concurrent report is lost. Most attempts do not change it, and then nothing is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Health {
    failing: Option<FailureRun>,
    trust: Trust,
    /// The backoffs in a row after which no attempt has succeeded.
    backoffs: u32,
    /// The number of times that a success came after a failure or a backoff. It wraps.
    recoveries: u32,
}

/// The outcomes of the last attempts, as far as they decide the lane's class.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Trust {
    /// The last two or more timed out.
    Hanging,
    /// The last one ended within its deadline, with any outcome.
    Proven,
    /// The last one timed out. The stored name is an older one.
    #[serde(rename = "doubted")]
    Suspect,
    /// There was none yet. The stored name is an older one.
    #[default]
    #[serde(rename = "fresh")]
    Untried,
}

impl Health {
    /// Returns the health after `report`, which came at `now`.
    #[must_use]
    pub fn after(self, report: Report, counting: Counting, now: Timestamp) -> Self {
        match report {
            Report::Failure => Self { failing: self.failing_after(counting, now), ..self.proven() },
            Report::Limit => self.proven(),
            Report::NoAttempt => self,
            Report::Success => self.proven().recovered(),
            Report::Timeout => {
                Self { failing: self.failing_after(counting, now), trust: self.trust.after_timeout(), ..self }
            }
        }
    }

    /// Returns the health after an answer that made the lane back off, to an attempt that was claimed when the number
    /// of backoffs in a row was `seen`.
    ///
    /// So the answers to attempts that were made together count once.
    #[must_use]
    pub fn after_backoff(self, seen: u32) -> Self {
        let is_first = self.backoffs == seen;
        let backoffs = if is_first { seen.saturating_add(1) } else { self.backoffs.max(1) };
        Self { backoffs, ..self }
    }

    /// Returns the time since which every attempt has failed.
    pub fn failing_since(&self) -> Option<Timestamp> {
        self.failing.map(|run| run.since)
    }

    /// Returns the number of backoffs in a row after which no attempt has succeeded.
    pub const fn backoffs(&self) -> u32 {
        self.backoffs
    }

    /// Returns the class of the lane.
    pub const fn class(&self) -> LaneClass {
        match self.trust {
            Trust::Suspect | Trust::Untried => LaneClass::Unproven,
            Trust::Hanging => LaneClass::Hanging,
            Trust::Proven => LaneClass::Proven,
        }
    }

    /// Returns whether `reason` still holds, that is no attempt has succeeded since.
    pub fn confirms(&self, reason: &DisableReason) -> bool {
        match reason {
            DisableReason::Failing { since } => self.failing_since() == Some(*since),
            DisableReason::Gone => true,
        }
    }

    /// Returns whether the receiver has only failed, for half of what disables a webhook by `policy`.
    pub fn is_failing(&self, policy: DisablePolicy) -> bool {
        self.failing.is_some_and(|run| policy.is_half(&run))
    }

    /// Returns a number that changes whenever a success comes after a failure or a backoff.
    pub(super) const fn recoveries(&self) -> u32 {
        self.recoveries
    }

    /// Returns the reason to disable the webhook after a failure at `now` that this health includes.
    pub(super) fn judge(&self, policy: DisablePolicy, now: Timestamp) -> Option<DisableReason> {
        self.failing.and_then(|run| policy.judge(&run, now))
    }

    fn failing_after(&self, counting: Counting, now: Timestamp) -> Option<FailureRun> {
        Some(self.failing.map_or_else(|| FailureRun::new(now), |run| run.after(counting, now)))
    }

    const fn proven(self) -> Self {
        Self { trust: Trust::Proven, ..self }
    }

    fn recovered(self) -> Self {
        let is_recovery = self.backoffs > 0 || self.failing.is_some();
        let recoveries = self.recoveries.wrapping_add(is_recovery.into());
        Self { failing: None, backoffs: 0, recoveries, ..self }
    }
}

impl Trust {
    const fn after_timeout(self) -> Self {
        match self {
            Self::Untried | Self::Proven => Self::Suspect,
            Self::Suspect | Self::Hanging => Self::Hanging,
        }
    }
}

/// The stored form. A first failure of a lane that was never limited is written as `failing_since` and `trust` alone.
#[derive(Default, Deserialize, Serialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
    #[serde(default)]
    trust: Trust,
    #[serde(default, skip_serializing_if = "is_zero")]
    backoffs: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    recoveries: u32,
}

impl From<Stored> for Health {
    fn from(stored: Stored) -> Self {
        let failing = stored.failing_since.map(|since| FailureRun {
            since,
            counted_at: stored.counted_at.unwrap_or(since),
            last_at: stored.failed_at.unwrap_or(since),
            count: stored.failures.max(1),
        });
        Self { failing, trust: stored.trust, backoffs: stored.backoffs, recoveries: stored.recoveries }
    }
}

impl From<Health> for Stored {
    fn from(health: Health) -> Self {
        let later = |run: FailureRun, at: Timestamp| (at != run.since).then_some(at);
        Self {
            failing_since: health.failing_since(),
            failed_at: health.failing.and_then(|run| later(run, run.last_at)),
            counted_at: health.failing.and_then(|run| later(run, run.counted_at)),
            failures: health.failing.map_or(0, |run| if run.count == 1 { 0 } else { run.count }),
            trust: health.trust,
            backoffs: health.backoffs,
            recoveries: health.recoveries,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn start() -> Timestamp {
        Timestamp::from_secs(1_700_000_000)
    }

    fn after(health: Health, report: Report, now: Timestamp) -> Health {
        health.after(report, Counting::default(), now)
    }

    #[test]
    fn a_success_ends_the_count_and_takes_back_a_pending_verdict() {
        let failing = after(Health::default(), Report::Failure, start());
        let verdict = DisableReason::Failing { since: start() };
        assert!(failing.confirms(&verdict));
        let mended = after(failing, Report::Success, start().plus(HOUR));
        assert_eq!(mended.failing_since(), None);
        assert!(!mended.confirms(&verdict));
        assert!(!after(mended, Report::Failure, start().plus(2 * HOUR)).confirms(&verdict));
        assert!(mended.confirms(&DisableReason::Gone));
    }

    #[test]
    fn a_lane_is_unproven_until_an_attempt_ends_in_time_and_hanging_after_two_timeouts() {
        let steps = [
            (Report::NoAttempt, LaneClass::Unproven),
            (Report::Limit, LaneClass::Proven),
            (Report::Failure, LaneClass::Proven),
            (Report::Timeout, LaneClass::Unproven),
            (Report::Timeout, LaneClass::Hanging),
            (Report::Timeout, LaneClass::Hanging),
            (Report::NoAttempt, LaneClass::Hanging),
            (Report::Success, LaneClass::Proven),
        ];
        let mut health = Health::default();
        for (report, class) in steps {
            health = after(health, report, start());
            assert_eq!(health.class(), class, "after {report:?}");
        }
    }

    #[test]
    fn a_limit_is_neither_a_failure_nor_a_success() {
        let failing = after(Health::default(), Report::Failure, start());
        let limited = after(failing, Report::Limit, start().plus(HOUR));
        assert_eq!(limited, failing);
    }

    #[test]
    fn the_backoffs_of_attempts_that_were_made_together_count_once() {
        let first = Health::default();
        let volley = (0..16).fold(first, |health, _| health.after_backoff(first.backoffs()));
        assert_eq!(volley.backoffs(), 1);
        let second = volley.after_backoff(1).after_backoff(1);
        assert_eq!(second.backoffs(), 2);
        let mended = after(second, Report::Success, start());
        assert_eq!((mended.backoffs(), mended.recoveries()), (0, 1));
        // A late answer to an attempt of before the success: the next success tells of progress again.
        let late = mended.after_backoff(2);
        assert_eq!((late.backoffs(), after(late, Report::Success, start()).recoveries()), (1, 2));
    }

    #[test]
    fn a_success_after_a_failure_or_a_backoff_is_a_recovery() {
        let reports = [Report::Success, Report::Failure, Report::Success, Report::Success];
        let health =
            reports.into_iter().fold(Health::default(), |health, report| after(health, report, start()));
        assert_eq!(health.recoveries(), 1);
        let limited = after(health, Report::Limit, start()).after_backoff(0);
        let timed_out = after(limited, Report::Timeout, start());
        assert_eq!(
            after(timed_out, Report::Success, start()).recoveries(),
            2,
            "both were before one success"
        );
    }

    #[test]
    fn health_of_earlier_forms_is_read() {
        let old: Health = serde_json::from_str(r#"{"failing_since":1700000000000,"trust":"doubted"}"#)
            .expect("the form before counts were kept");
        let expected = after(Health::default(), Report::Timeout, start());
        assert_eq!(old, expected);
        assert_eq!(serde_json::from_str::<Health>("{}").expect("nothing known"), Health::default());
    }
}
