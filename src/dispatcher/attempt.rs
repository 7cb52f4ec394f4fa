//! One attempt of a claimed delivery, from the claim to the settlement that records it.

use std::sync::Arc;
use std::time::Duration;

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

/// Makes the request and sends it, both within the one deadline of an attempt.
async fn send(core: &Core, claim: &Claim, at: Timestamp) -> Outcome {
    let started = Instant::now();
    let deadline = core.policy().deadline();
    let prepared = core.prepare(&claim.tenant, &claim.hook, &claim.event, at);
    // A signer that hangs is no fault of the receiver, so the failure is not a timeout: that would slow its lane.
    let request = match timeout(deadline, catch_panic(prepared)).await {
        Ok(Some(Ok(request))) => request,
        Ok(Some(Err(outcome))) => return outcome,
        Ok(None) => return failed(FailureKind::Prepare, "the signer panicked"),
        Err(_) => return failed(FailureKind::Prepare, "the signer took longer than the deadline"),
    };
    let left = deadline.saturating_sub(started.elapsed());
    match timeout(left + PATIENCE, catch_panic(core.send(request, left))).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => failed(FailureKind::Prepare, "the transport panicked"),
        Err(_) => failed(FailureKind::Timeout, "the transport kept no deadline"),
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
