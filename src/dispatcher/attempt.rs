use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::catch_panic::catch_panic;
use super::shared::Leased;
use crate::delivery::{self, Decision, Next};
use crate::model::{Attempt, FailureKind, Outcome, Timestamp};
use crate::retry::Jitter;
use crate::service::{Core, failed};
use crate::store::{Claim, Disable, Settlement};

/// How long a delivery waits whose claim came too late to be sent.
const LATER: Duration = Duration::from_secs(1);

/// How much longer than the deadline a transport is waited for that does not keep it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Makes one attempt, and tells what to record. A claim whose lease leaves no time for it, or whose webhook
/// was changed in this process since, is given back.
pub(super) async fn attempt(core: Arc<Core>, leased: Leased) -> Settlement {
    let Leased { claim, until } = leased;
    if core.is_outdated(&claim) {
        return Settlement::new(&claim, Next::Release);
    }
    // Beyond its lease it might be sent a second time at once.
    if until.saturating_duration_since(Instant::now()) < core.policy().deadline() + PATIENCE {
        // The store is slow: claiming it again at once would only make it slower.
        return Settlement::new(&claim, Next::Again(LATER));
    }
    let (at, started) = (core.now(), Instant::now());
    let outcome = send(&core, &claim, at).await;
    let number = claim.attempts.saturating_add(1);
    tell(&claim, number, &outcome);
    settlement(&core, &claim, Attempt { number, at, took: started.elapsed(), outcome })
}

/// Tells the log, and of a name that leads inside by now with the address, which no tenant is shown.
fn tell(claim: &Claim, number: u32, outcome: &Outcome) {
    let (tenant, webhook) = (&claim.tenant, claim.hook.hook_id());
    let message = &claim.event.message_id;
    match outcome {
        Outcome::Failed { kind: FailureKind::Refused, detail } => {
            warn!(%tenant, %webhook, %message, number, detail, "an attempt was refused by its address");
        }
        outcome => debug!(%tenant, %webhook, %message, number, %outcome, "attempt"),
    }
}

/// Signs and sends, both within the one deadline of an attempt.
async fn send(core: &Core, claim: &Claim, at: Timestamp) -> Outcome {
    let started = Instant::now();
    let body = core.body(&claim.hook.options, &claim.event, &claim.tenant);
    let signed = match sign(core, claim, &body, at).await {
        Ok(signed) => signed,
        Err(detail) => return failed(FailureKind::Prepare, detail),
    };
    let left = core.policy().deadline().saturating_sub(started.elapsed());
    let (url, options) = (claim.hook.webhook.url(), &claim.hook.options);
    let answer = catch_panic(core.attempt(url, (options, signed), body, left));
    match timeout(left + PATIENCE, answer).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => failed(FailureKind::Prepare, "the transport panicked"),
        Err(_) => failed(FailureKind::Timeout, "the transport kept no deadline"),
    }
}

/// A signer that hangs is no fault of the receiver, so its lane is not held to be hanging.
async fn sign(core: &Core, claim: &Claim, body: &Bytes, at: Timestamp) -> Result<HeaderMap, String> {
    let signed = core.sign((&claim.tenant, &claim.hook), &claim.event.message_id, body, at);
    match timeout(core.policy().deadline(), catch_panic(signed)).await {
        Ok(Some(signed)) => signed.map_err(|error| error.detail()),
        Ok(None) => Err("the signer panicked".to_owned()),
        Err(_) => Err("the signer took longer than the deadline".to_owned()),
    }
}

fn settlement(core: &Core, claim: &Claim, attempt: Attempt) -> Settlement {
    let jitter = Jitter::of((&claim.event.message_id, claim.hook.hook_id(), attempt.number));
    let (rules, now) = (core.policy().rules(), core.now());
    let decision = delivery::decide(attempt.number, &attempt.outcome, &claim.health, rules, jitter, now);
    let Decision { next, report, backoff, disable } = decision;
    let disable = disable.map(|reason| Disable { reason, version: claim.hook.version });
    if let Some(Disable { reason, .. }) = &disable {
        let (tenant, webhook) = (&claim.tenant, claim.hook.hook_id());
        info!(%tenant, %webhook, %reason, "the webhook is disabled, unless it was changed meanwhile");
    }
    Settlement { attempt: Some(attempt), report, backoff, disable, ..Settlement::new(claim, next) }
}
