//! The decisions after an attempt: pure functions from its outcome to the next state of the delivery and of its
//! webhook's lane, and to whether the webhook is disabled.
//!
//! ```
//! use hookwire::delivery::{self, DisablePolicy, Health, Next, Report};
//! use hookwire::model::{End, Outcome, Timestamp};
//! use hookwire::retry::{Jitter, RetryPolicy};
//! use http::StatusCode;
//!
//! let answer = Outcome::answered(StatusCode::OK, None, "");
//! let rules = delivery::Rules { retry: &RetryPolicy::default(), disable: &DisablePolicy::default() };
//! let now = Timestamp::from_secs(1_700_000_000);
//! let decision = delivery::decide(1, &answer, &Health::default(), rules, Jitter::NONE, now);
//! assert_eq!(decision.next, Next::End(End::Delivered));
//! assert_eq!(decision.report, Report::Success);
//! ```

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::model::{DisableReason, End, Outcome, Timestamp};
use crate::retry::{Jitter, RetryPolicy};

/// The consequences of an attempt for the delivery and for the lane of its webhook.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// The next step of the delivery.
    pub next: Next,
    /// The report that updates the lane's health.
    pub report: Report,
    /// The time for which the lane backs off, during which nothing is sent to the webhook.
    pub backoff: Option<Duration>,
    /// The reason to disable the webhook, if there is one.
    pub disable: Option<DisableReason>,
}

/// The next step of a claimed delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores carry out each of them")]
pub enum Next {
    /// It waits for this time until its next attempt.
    Again(Duration),
    /// It ends.
    End(End),
    /// Its lease is extended to end this time from now.
    Extend(Duration),
    /// It is due again at once, as if it had not been claimed.
    Release,
}

/// The result of an attempt as far as it concerns the health of its receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores hand it to `Health::after`")]
pub enum Report {
    /// An attempt failed before the deadline.
    Failure,
    /// No attempt was made.
    NoAttempt,
    /// An attempt succeeded.
    Success,
    /// The deadline passed.
    Timeout,
}

/// The policy by which a webhook that only fails is disabled.
///
/// It is disabled once it has failed for both the time without a success and the span of failures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DisablePolicy {
    after: Duration,
    min_span: Duration,
}

impl DisablePolicy {
    /// Sets the time without a success, from the first failure, after which a webhook is disabled. Default 5 days, as
    /// in Svix.
    #[must_use]
    pub fn with_after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Sets the minimum time between the first failure and the last one. Default 12 h, as in Svix.
    #[must_use]
    pub fn with_min_span(self, min_span: Duration) -> Self {
        Self { min_span, ..self }
    }

    /// Returns the reason to disable the webhook if a failure at `now` follows only failures since `since`.
    fn judge(self, since: Timestamp, now: Timestamp) -> Option<DisableReason> {
        let failing = now.since(since);
        (failing >= self.after && failing >= self.min_span).then_some(DisableReason::Failing { since })
    }
}

impl Default for DisablePolicy {
    fn default() -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 60 * 60);
        Self { after: hours(5 * 24), min_span: hours(12) }
    }
}

/// The health of a lane's receiver, from the outcomes of its attempts.
///
/// A store keeps it with the lane and changes it only by [`after`](Self::after) while it holds the lane's lock, so that
/// no concurrent report is lost. Most attempts do not change it, and then nothing is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Health {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    #[serde(default)]
    trust: Trust,
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

impl Health {
    /// Returns the health after `report`, which came at `now`.
    #[must_use]
    pub fn after(self, report: Report, now: Timestamp) -> Self {
        let failing_since = Some(self.failing_since.unwrap_or(now));
        match report {
            Report::Failure => Self { failing_since, trust: Trust::Proven },
            Report::NoAttempt => self,
            Report::Success => Self { failing_since: None, trust: Trust::Proven },
            Report::Timeout => Self { failing_since, trust: self.trust.after_timeout() },
        }
    }

    /// Returns the time since which every attempt has failed.
    pub const fn failing_since(&self) -> Option<Timestamp> {
        self.failing_since
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
            DisableReason::Failing { since } => self.failing_since == Some(*since),
            DisableReason::Gone => true,
        }
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

/// The policies for retries and for disabling.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an argument list by name")]
pub struct Rules<'a> {
    /// The policy for retries.
    pub retry: &'a RetryPolicy,
    /// The policy for disabling.
    pub disable: &'a DisablePolicy,
}

/// Decides the consequences of the outcome of attempt `number`, counted from 1, on a lane with this `health`.
///
/// 2xx is success. Everything else is retried until the schedule ends, including 3xx and refused addresses. 410
/// disables the webhook at once. The whole lane backs off after a `Retry-After` with 429 or 503.
pub fn decide(
    number: u32,
    outcome: &Outcome,
    health: &Health,
    rules: Rules<'_>,
    jitter: Jitter,
    now: Timestamp,
) -> Decision {
    if outcome.is_success() {
        let next = Next::End(End::Delivered);
        return Decision { next, report: Report::Success, backoff: None, disable: None };
    }
    let hint = retry_hint(outcome);
    let next = match rules.retry.delay_after(number, jitter, hint) {
        Some(delay) => Next::Again(delay),
        None => Next::End(End::Exhausted),
    };
    let report = if outcome.is_timeout() { Report::Timeout } else { Report::Failure };
    let backoff = hint.map(|hint| hint.min(rules.retry.max_retry_after()));
    Decision { next, report, backoff, disable: reason_to_disable(outcome, health, rules.disable, now) }
}

/// Reads `Retry-After` only with the two statuses for which RFC 9110 and RFC 6585 give it this meaning.
fn retry_hint(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Answered {
            status: StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE,
            retry_after,
            ..
        } => *retry_after,
        Outcome::Answered { .. } | Outcome::Failed { .. } => None,
    }
}

fn reason_to_disable(
    outcome: &Outcome,
    health: &Health,
    policy: &DisablePolicy,
    now: Timestamp,
) -> Option<DisableReason> {
    match outcome {
        Outcome::Answered { status: StatusCode::GONE, .. } => Some(DisableReason::Gone),
        _ => health.failing_since.and_then(|since| policy.judge(since, now)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::FailureKind;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn start() -> Timestamp {
        Timestamp::from_secs(1_700_000_000)
    }

    fn answered(status: u16, retry_after: Option<Duration>) -> Outcome {
        let status = StatusCode::from_u16(status).expect("status");
        Outcome::answered(status, retry_after, "")
    }

    fn failed(kind: FailureKind) -> Outcome {
        Outcome::Failed { kind, detail: String::new() }
    }

    fn decide_at(number: u32, outcome: &Outcome, health: &Health, now: Timestamp) -> Decision {
        let retry = RetryPolicy::default();
        let disable = DisablePolicy::default();
        decide(number, outcome, health, Rules { retry: &retry, disable: &disable }, Jitter::NONE, now)
    }

    fn decision(number: u32, outcome: &Outcome) -> Decision {
        decide_at(number, outcome, &Health::default(), start())
    }

    #[test]
    fn success_ends_the_delivery() {
        let expected = Decision {
            next: Next::End(End::Delivered),
            report: Report::Success,
            backoff: None,
            disable: None,
        };
        assert_eq!(decision(1, &answered(204, Some(HOUR))), expected);
    }

    #[test]
    fn every_failure_is_tried_again_until_the_schedule_ends() {
        for outcome in [answered(302, None), answered(400, None), failed(FailureKind::Refused)] {
            let first = decision(1, &outcome);
            assert_eq!(first.next, Next::Again(Duration::from_secs(5)), "{outcome}");
            assert_eq!(first.report, Report::Failure);
            assert_eq!(decision(9, &outcome).next, Next::Again(24 * HOUR));
            assert_eq!(decision(10, &outcome).next, Next::End(End::Exhausted));
        }
        assert_eq!(decision(1, &failed(FailureKind::Timeout)).report, Report::Timeout);
    }

    #[test]
    fn retry_after_counts_with_429_and_503_alone_and_backs_the_lane_off() {
        for (status, honoured) in [(429, true), (503, true), (500, false), (302, false)] {
            let decision = decision(1, &answered(status, Some(HOUR)));
            let delay = if honoured { HOUR } else { Duration::from_secs(5) };
            assert_eq!(decision.next, Next::Again(delay), "{status}");
            assert_eq!(decision.backoff, honoured.then_some(HOUR), "{status}");
        }
        let absurd = answered(503, Some(Duration::from_secs(99_999_999_999)));
        assert_eq!(decision(1, &absurd).backoff, Some(24 * HOUR));
    }

    #[test]
    fn gone_disables_at_once_and_keeps_the_delivery() {
        let decision = decision(1, &answered(410, None));
        assert_eq!(decision.disable, Some(DisableReason::Gone));
        assert_eq!(decision.next, Next::Again(Duration::from_secs(5)));
    }

    #[test]
    fn five_days_of_failures_disable_and_a_moment_less_does_not() {
        let health = Health::default().after(Report::Failure, start());
        let just = start().plus(5 * 24 * HOUR);
        let disable = |now| decide_at(1, &answered(500, None), &health, now).disable;
        assert_eq!(disable(just), Some(DisableReason::Failing { since: start() }));
        assert_eq!(disable(just.minus(Duration::from_millis(1))), None);
    }

    #[test]
    fn a_short_time_to_disable_still_wants_failures_that_lie_apart() {
        let policy = DisablePolicy::default().with_after(HOUR);
        assert_eq!(policy.judge(start(), start().plus(11 * HOUR)), None);
        assert!(policy.judge(start(), start().plus(12 * HOUR)).is_some());
        assert!(policy.with_min_span(HOUR).judge(start(), start().plus(HOUR)).is_some());
    }

    #[test]
    fn a_success_ends_the_count_and_takes_back_a_pending_verdict() {
        let failing = Health::default().after(Report::Failure, start());
        let verdict = DisableReason::Failing { since: start() };
        assert!(failing.confirms(&verdict));
        let mended = failing.after(Report::Success, start().plus(HOUR));
        assert_eq!(mended.failing_since(), None);
        assert!(!mended.confirms(&verdict));
        assert!(!mended.after(Report::Failure, start().plus(2 * HOUR)).confirms(&verdict));
        assert!(mended.confirms(&DisableReason::Gone));
    }

    #[test]
    fn a_lane_is_unproven_until_an_attempt_ends_in_time_and_hanging_after_two_timeouts() {
        let steps = [
            (Report::NoAttempt, LaneClass::Unproven),
            (Report::Failure, LaneClass::Proven),
            (Report::Timeout, LaneClass::Unproven),
            (Report::Timeout, LaneClass::Hanging),
            (Report::Timeout, LaneClass::Hanging),
            (Report::NoAttempt, LaneClass::Hanging),
            (Report::Success, LaneClass::Proven),
        ];
        let mut health = Health::default();
        for (report, class) in steps {
            health = health.after(report, start());
            assert_eq!(health.class(), class, "after {report:?}");
        }
    }

    proptest! {
        #[test]
        fn every_decision_either_ends_or_waits_within_bounds(
            number in 0_u32..30,
            status in 100_u16..600,
            hint in proptest::option::of(any::<u32>()),
            failing_for in proptest::option::of(0_u64..1_000_000),
        ) {
            let since = failing_for.map(|age| start().minus(Duration::from_secs(age)));
            let health = since.map_or_else(Health::default, |at| Health::default().after(Report::Failure, at));
            let outcome = answered(status, hint.map(|s| Duration::from_secs(s.into())));
            let decision = decide_at(number, &outcome, &health, start());
            match decision.next {
                Next::End(End::Delivered) => prop_assert!((200..300).contains(&status)),
                Next::End(end) => prop_assert!(end == End::Exhausted && !(1..10).contains(&number)),
                Next::Again(delay) => prop_assert!(delay >= Duration::from_secs(5) && delay <= 24 * HOUR),
                other => prop_assert!(false, "{other:?}"),
            }
            prop_assert!(decision.backoff.is_none_or(|backoff| backoff <= 24 * HOUR));
            prop_assert!(decision.disable.is_none() || !(200..300).contains(&status));
        }
    }
}
