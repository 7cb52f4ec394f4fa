//! One attempt of a claimed delivery, from the claim to the settlement that records it. Panics and overlong calls of
//! signer and transport end here as failures.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::shared::{Leased, Shared};
use super::slow_start::{Answer, Turn};
use crate::catch_panic::catch_panic;
use crate::delivery::{self, Decision, Facts, Next, Report};
use crate::model::{Attempt, FailureKind, Outcome, Timestamp};
use crate::retry::Jitter;
use crate::service::{Core, failed};
use crate::store::{Claim, Disable, Settlement};

/// The delay of a delivery whose claim came too late to be sent.
const LATE_DELAY: Duration = Duration::from_secs(1);

/// The time beyond the deadline after which a transport that does not keep it is broken off.
const TRANSPORT_GRACE: Duration = Duration::from_secs(1);

/// Makes one attempt, and returns the settlement that records it. A claim is released without an attempt if its lease
/// leaves no time for one, if its webhook was changed in this process since, if it comes too late for the webhook's rate,
/// or if our own side has failed since.
pub(super) async fn attempt(
    core: &Core,
    shared: &Shared,
    leased: &Leased,
    turn: Option<&Turn>,
) -> Settlement {
    let Leased { claim, until, .. } = leased;
    if core.is_outdated(claim) {
        return Settlement::new(claim, Next::Release);
    }
    // An attempt that outlives its lease may run beside another attempt of the same delivery.
    if until.saturating_duration_since(Instant::now()) < core.policy().deadline() + TRANSPORT_GRACE {
        // The store is slow. Claiming the delivery again at once would make it slower.
        return Settlement::new(claim, Next::Again(LATE_DELAY));
    }
    let Some(_running) = shared.begin(*until) else { return Settlement::new(claim, Next::Release) };
    let at = core.now();
    let started = Instant::now();
    let Some(outcome) = send(core, shared, leased, at).await else {
        return Settlement::new(claim, Next::Release);
    };
    let outcome = shared.judge(claim, started, outcome);
    let number = claim.attempts.saturating_add(1);
    log(claim, number, &outcome, shared.unprepared.is_news(claim, &outcome));
    let attempt = Attempt { number, at, took: started.elapsed(), uncounted: 0, outcome };
    settlement(core, claim, attempt, turn.is_some_and(Turn::has_progress))
}

/// Returns how the result of an attempt affects the number of concurrent attempts of its lane.
pub(super) const fn answer(settlement: &Settlement) -> Answer {
    match settlement.report {
        Report::Success => Answer::Success,
        Report::Limit => Answer::Limit,
        Report::Failure | Report::NoAttempt | Report::Timeout if settlement.backoff.is_some() => {
            Answer::Limit
        }
        Report::Failure | Report::NoAttempt | Report::Timeout => Answer::Other,
    }
}

/// Logs the outcome. A refusal by the address guard is a warning and names the address, which no tenant is shown. So is
/// a request that could not be made, unless the last one of its webhook could not be made either.
fn log(claim: &Claim, number: u32, outcome: &Outcome, is_news: bool) {
    let tenant = &claim.tenant;
    let webhook = claim.hook.hook_id();
    let message = &claim.event.message_id;
    match outcome {
        Outcome::Failed { kind: FailureKind::Refused, detail } => {
            warn!(%tenant, %webhook, %message, number, detail, "an attempt was refused by its address");
        }
        Outcome::Failed { kind: FailureKind::Prepare, detail } if is_news => {
            warn!(%tenant, %webhook, %message, number, detail, "no request can be made; deliveries wait");
        }
        outcome => debug!(%tenant, %webhook, %message, number, %outcome, "attempt"),
    }
}

/// Makes the request and sends it, both within the one deadline of an attempt. `None` if it may not begin any more.
async fn send(core: &Core, shared: &Shared, leased: &Leased, at: Timestamp) -> Option<Outcome> {
    let started = Instant::now();
    let deadline = core.policy().deadline();
    let request = match prepare(core, &leased.claim, at, deadline).await {
        Ok(request) => request,
        Err(outcome) => return Some(outcome),
    };
    if !shared.may_begin(leased) {
        return None;
    }
    let left = deadline.saturating_sub(started.elapsed());
    Some(match timeout(left + TRANSPORT_GRACE, catch_panic(pin!(core.send(request, left)))).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => failed(FailureKind::Prepare, "the transport panicked"),
        Err(_) => failed(FailureKind::Timeout, "the transport kept no deadline"),
    })
}

/// Makes the request. A hanging signer is not the receiver's fault. The failure is not a timeout, which would demote the
/// lane.
async fn prepare(
    core: &Core,
    claim: &Claim,
    at: Timestamp,
    deadline: Duration,
) -> Result<Request<Bytes>, Outcome> {
    let prepared = pin!(core.prepare(&claim.tenant, &claim.hook, &claim.event, at));
    match timeout(deadline, catch_panic(prepared)).await {
        Ok(Some(prepared)) => prepared,
        Ok(None) => Err(failed(FailureKind::Prepare, "the signer panicked")),
        Err(_) => Err(failed(FailureKind::Prepare, "the signer took longer than the deadline")),
    }
}

fn settlement(core: &Core, claim: &Claim, attempt: Attempt, has_progress: bool) -> Settlement {
    let facts = Facts {
        number: attempt.number,
        outcome: &attempt.outcome,
        retry: claim.retry,
        health: &claim.health,
        has_progress,
    };
    let jitter = Jitter::of((&claim.event.message_id, claim.hook.hook_id(), attempt.number));
    let rules = core.policy().rules();
    let Decision { next, retry, report, backoff, disable } =
        delivery::decide(facts, rules, jitter, core.now());
    let disable = disable.map(|reason| Disable { reason, version: claim.hook.version });
    let attempt = Some(Attempt { uncounted: retry.in_a_row(), ..attempt });
    let counting = rules.counting();
    Settlement { attempt, retry, report, counting, backoff, disable, ..Settlement::new(claim, next) }
}
