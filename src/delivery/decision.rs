//! [`decide`]: what follows from an attempt. Whether there is a next one, how long the lane backs off, and whether the
//! webhook is disabled.

use std::time::Duration;

use http::StatusCode;

use super::disabling::{Counting, DisablePolicy};
use super::health::{Health, Report};
use crate::model::{DisableReason, End, Outcome, Timestamp};
use crate::retry::{Jitter, RetryPolicy, RetryState, Uncounted};

/// The shortest backoff of a lane after a limit, and the longest that it is lengthened to without being asked for.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5 * 60));

/// The shortest and the longest delay after a failure on the sender's side.
const LOCAL_DELAY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60 * 60));

/// The consequences of an attempt for the delivery and for the lane of its webhook.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// The next step of the delivery.
    pub next: Next,
    /// The position of the delivery in its schedule.
    pub retry: RetryState,
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

/// The facts of an attempt that has been made.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an argument list by name")]
pub struct Facts<'a> {
    /// The number of the attempt, counted from 1.
    pub number: u32,
    /// The outcome of the attempt.
    pub outcome: &'a Outcome,
    /// The position of the delivery in its schedule before the attempt.
    pub retry: RetryState,
    /// The health of the lane when the delivery was claimed.
    pub health: &'a Health,
    /// Whether another attempt of the lane has succeeded while this one was under way.
    pub has_progress: bool,
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

impl Rules<'_> {
    /// Returns how failures are counted under these policies.
    pub fn counting(&self) -> Counting {
        self.disable.counting(self.retry)
    }
}

/// Decides the consequences of an attempt.
///
/// 2xx is success. Everything else is retried until the schedule ends, including 3xx and refused addresses. 410
/// disables the webhook at once. The whole lane backs off after a `Retry-After` with 429 or 503. The table of the
/// [module](crate::delivery) tells which failures use a step of the schedule and which count towards disabling.
pub fn decide(facts: Facts<'_>, rules: Rules<'_>, jitter: Jitter, now: Timestamp) -> Decision {
    let Facts { number, outcome, retry, health, has_progress } = facts;
    if outcome.is_success() {
        let next = Next::End(End::Delivered);
        return Decision {
            next,
            retry: retry.counted(),
            report: Report::Success,
            backoff: None,
            disable: None,
        };
    }
    if outcome.is_local() {
        return after_local_failure(retry);
    }
    let backoff = retry_hint(outcome).map(|hint| backoff(hint, health, rules.retry));
    let has_progress = has_progress || retry.has_progress(number, health.recoveries());
    let is_counted = backoff.is_none() || !has_progress;
    let retry = match backoff {
        Some(_) => retry.limited(health.recoveries(), is_counted),
        None => retry.failed(health.recoveries()),
    };
    let next = match backoff {
        Some(delay) if !is_counted => Next::Again(delay),
        _ => step(rules.retry.delay_after(retry.step(number), jitter, backoff)),
    };
    let report = report(outcome);
    let ends = matches!(next, Next::End(_));
    let disable = reason_to_disable(outcome, ends, &health.after(report, rules.counting(), now), rules, now);
    Decision { next, retry, report, backoff, disable }
}

fn after_local_failure(retry: RetryState) -> Decision {
    let retry = retry.uncounted(Uncounted::Local);
    let delay = doubled(LOCAL_DELAY, retry.in_a_row().saturating_sub(1));
    Decision { next: Next::Again(delay), retry, report: Report::NoAttempt, backoff: None, disable: None }
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

/// Returns the backoff that the receiver asked for. It becomes longer while backoffs bring no success.
fn backoff(hint: Duration, health: &Health, policy: &RetryPolicy) -> Duration {
    hint.min(policy.max_retry_after()).max(doubled(BACKOFF, health.backoffs()))
}

/// Returns the first of the two delays, doubled so many times, but at most the second.
fn doubled((shortest, longest): (Duration, Duration), times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    shortest.saturating_mul(factor).min(longest)
}

fn step(delay: Option<Duration>) -> Next {
    delay.map_or(Next::End(End::Exhausted), Next::Again)
}

fn report(outcome: &Outcome) -> Report {
    match outcome {
        Outcome::Answered { status: StatusCode::TOO_MANY_REQUESTS, .. } => Report::Limit,
        outcome if outcome.is_timeout() => Report::Timeout,
        _ => Report::Failure,
    }
}

fn reason_to_disable(
    outcome: &Outcome,
    is_exhausted: bool,
    after: &Health,
    rules: Rules<'_>,
    now: Timestamp,
) -> Option<DisableReason> {
    match outcome {
        Outcome::Answered { status: StatusCode::GONE, .. } => Some(DisableReason::Gone),
        Outcome::Answered { status: StatusCode::TOO_MANY_REQUESTS, .. } => None,
        _ => is_exhausted.then(|| after.judge(*rules.disable, now)).flatten(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::FailureKind;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const SECOND: Duration = Duration::from_secs(1);

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

    fn decide_at(facts: Facts<'_>, now: Timestamp) -> Decision {
        let retry = RetryPolicy::default();
        let disable = DisablePolicy::default();
        decide(facts, Rules { retry: &retry, disable: &disable }, Jitter::NONE, now)
    }

    /// An attempt of a delivery all of whose attempts counted, while no other attempt of the lane succeeded.
    fn facts<'a>(number: u32, outcome: &'a Outcome, health: &'a Health) -> Facts<'a> {
        Facts { number, outcome, retry: RetryState::default(), health, has_progress: false }
    }

    /// The decision on an attempt at which all before it counted, on a new lane.
    fn decision(number: u32, outcome: &Outcome) -> Decision {
        let health = Health::default();
        decide_at(facts(number, outcome, &health), start())
    }

    /// The health after failures that lie a day apart and end now.
    fn failing_for(days: u32, now: Timestamp) -> Health {
        let failure = |health: Health, day| {
            health.after(Report::Failure, Counting::default(), now.minus(24 * HOUR * day))
        };
        (1..=days).rev().fold(Health::default(), failure)
    }

    #[test]
    fn success_ends_the_delivery() {
        let expected = Decision {
            next: Next::End(End::Delivered),
            retry: RetryState::default(),
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
            assert_eq!(first.next, Next::Again(5 * SECOND), "{outcome}");
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
            let delay = if honoured { HOUR } else { 5 * SECOND };
            assert_eq!(decision.next, Next::Again(delay), "{status}");
            assert_eq!(decision.backoff, honoured.then_some(HOUR), "{status}");
        }
        let absurd = answered(503, Some(Duration::from_secs(99_999_999_999)));
        assert_eq!(decision(1, &absurd).backoff, Some(24 * HOUR));
    }

    #[test]
    fn the_first_limit_after_others_were_delivered_uses_no_step() {
        let (unavailable, limit) = (answered(502, None), answered(429, Some(SECOND)));
        let failing = Health::default().after(Report::Failure, Counting::default(), start());
        let retry = decide_at(facts(9, &unavailable, &failing), start()).retry;
        let mended = failing.after(Report::Success, Counting::default(), start());
        let at = |health| decide_at(Facts { retry, ..facts(10, &limit, health) }, start()).next;
        assert_eq!((at(&mended), at(&failing)), (Next::Again(SECOND), Next::End(End::Exhausted)));
    }

    #[test]
    fn gone_disables_at_once_and_keeps_the_delivery() {
        let decision = decision(1, &answered(410, None));
        assert_eq!(decision.disable, Some(DisableReason::Gone));
        assert_eq!(decision.next, Next::Again(5 * SECOND));
    }

    #[test]
    fn a_webhook_is_judged_when_a_delivery_is_exhausted() {
        let health = failing_for(5, start());
        let disable = |number, outcome: &Outcome| decide_at(facts(number, outcome, &health), start()).disable;
        let since = start().minus(5 * 24 * HOUR);
        assert_eq!(disable(10, &answered(500, None)), Some(DisableReason::Failing { since }));
        assert_eq!(disable(10, &failed(FailureKind::Timeout)), Some(DisableReason::Failing { since }));
        assert_eq!(disable(9, &answered(500, None)), None, "it is tried once more");
        assert_eq!(disable(10, &answered(429, None)), None, "a limit is not a failure");
    }

    #[test]
    fn a_failure_after_a_long_silence_disables_nothing() {
        let health = failing_for(5, start());
        let outcome = answered(502, None);
        let facts = facts(10, &outcome, &health);
        assert_eq!(decide_at(facts, start().plus(30 * 24 * HOUR)).disable, None);
    }

    #[test]
    fn a_failure_on_the_senders_side_uses_no_step_and_reports_nothing() {
        let mut retry = RetryState::default();
        let health = failing_for(5, start());
        let mut delays = Vec::new();
        for number in 1..=13 {
            let outcome = failed(if number == 7 { FailureKind::Local } else { FailureKind::Prepare });
            let decision = decide_at(Facts { retry, ..facts(number, &outcome, &health) }, start());
            assert_eq!((decision.report, decision.disable), (Report::NoAttempt, None));
            retry = decision.retry;
            if let Next::Again(delay) = decision.next {
                delays.push(delay.as_secs());
            }
        }
        assert_eq!(delays, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
        let outcome = answered(500, None);
        let first = decide_at(Facts { retry, ..facts(14, &outcome, &health) }, start());
        assert_eq!((first.next, first.retry.in_a_row()), (Next::Again(5 * SECOND), 0));
    }

    #[test]
    fn a_limit_uses_no_step_while_the_webhook_makes_progress() {
        let outcome = answered(429, Some(SECOND));
        let first = decision(1, &outcome);
        assert_eq!(first.next, Next::Again(5 * SECOND), "without progress it is counted");
        let stuck = Health::default().after_backoff(0);
        let mended = stuck.after(Report::Success, Counting::default(), start());
        let limited = |number, retry, health: &Health| {
            decide_at(Facts { retry, ..facts(number, &outcome, health) }, start())
        };
        let second = limited(2, first.retry, &stuck);
        assert_eq!(second.next, Next::Again(Duration::from_secs(300)), "still without");
        let third = limited(3, second.retry, &mended);
        assert_eq!((third.next, third.retry.in_a_row()), (Next::Again(SECOND), 1));
        let fourth = limited(4, third.retry, &mended);
        assert_eq!(
            fourth.next,
            Next::Again(Duration::from_secs(1800)),
            "the same success is no new progress"
        );
        assert_eq!(fourth.retry.in_a_row(), 0);
    }

    #[test]
    fn a_limit_after_a_failure_uses_no_step_if_the_webhook_has_made_progress_since() {
        let stuck = Health::default().after_backoff(0);
        let mended = stuck.after(Report::Success, Counting::default(), start());
        let after_failure = |before: &Health, now: &Health| {
            let failure = answered(502, None);
            let retry = decide_at(facts(9, &failure, before), start()).retry;
            let limit = answered(429, Some(SECOND));
            decide_at(Facts { retry, ..facts(10, &limit, now) }, start()).next
        };
        assert_eq!(after_failure(&stuck, &mended), Next::Again(SECOND), "the last step is left");
        assert_eq!(after_failure(&stuck, &stuck), Next::End(End::Exhausted));
        let limit = answered(429, Some(SECOND));
        let beside = Facts { has_progress: true, ..facts(10, &limit, &stuck) };
        assert_eq!(decide_at(beside, start()).next, Next::Again(2 * SECOND), "one beside it was delivered");
        assert_eq!(after_failure(&mended, &mended), Next::End(End::Exhausted));
    }

    #[test]
    fn a_backoff_lasts_a_second_and_doubles_while_none_brings_a_success() {
        let outcome = answered(503, Some(Duration::ZERO));
        let mut health = Health::default();
        let mut waits = Vec::new();
        for _ in 0..11 {
            let facts = facts(1, &outcome, &health);
            waits.extend(decide_at(facts, start()).backoff.map(|backoff| backoff.as_secs()));
            health = health.after_backoff(health.backoffs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn a_503_counts_towards_disabling_and_a_429_does_not() {
        assert_eq!(decision(1, &answered(503, Some(HOUR))).report, Report::Failure);
        assert_eq!(decision(1, &answered(503, None)).report, Report::Failure);
        assert_eq!(decision(1, &answered(429, Some(HOUR))).report, Report::Limit);
        assert_eq!(decision(1, &answered(429, None)).report, Report::Limit);
    }

    proptest! {
        #[test]
        fn every_decision_either_ends_or_waits_within_bounds(
            number in 0_u32..30,
            status in 100_u16..600,
            hint in proptest::option::of(any::<u32>()),
            failing_days in 0_u32..9,
        ) {
            let health = failing_for(failing_days, start());
            let outcome = answered(status, hint.map(|s| Duration::from_secs(s.into())));
            let facts = facts(number, &outcome, &health);
            let decision = decide_at(facts, start());
            match decision.next {
                Next::End(End::Delivered) => prop_assert!((200..300).contains(&status)),
                Next::End(end) => prop_assert!(end == End::Exhausted && !(1..10).contains(&number)),
                Next::Again(delay) => prop_assert!(delay >= 5 * SECOND && delay <= 24 * HOUR),
                other => prop_assert!(false, "{other:?}"),
            }
            prop_assert!(decision.backoff.is_none_or(|backoff| backoff >= SECOND && backoff <= 24 * HOUR));
            prop_assert!(decision.disable.is_none() || !(200..300).contains(&status));
        }
    }
}
