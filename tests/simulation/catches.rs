//! Planted bugs, each with a seed that finds it: a simulation that never fails proves nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hookwire::delivery::{Next, Report};
use hookwire::model::{Attempt, DeliveryId, End, Outcome, Timestamp};
use hookwire::registry::RegistryChange;
use hookwire::store::{
    Claim, ClaimRequest, Claimed, Fence, MemoryStore, Publication, PublishAnswer, Published, Receipt,
    Settled, Settlement, Store, StoreError,
};
use http::StatusCode;

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A claim takes more of one webhook than the quota allows.
    ClaimsOverTheLimit,
    /// Disabling is answered as if it had been done.
    ForgetsToDisable,
    /// A failing write is answered as if it had been done.
    DropsEvents,
    /// What was claimed reads as delivered before it was sent.
    SettlesBeforeTheAnswer,
    /// A settlement counts whoever holds the delivery by then.
    SkipsTheFence,
    /// Nobody hears of new work, nor when there will be some.
    ForgetsToWake,
}

/// A bug, shared by all processes as the store is.
#[derive(Debug)]
pub(crate) struct Bug {
    kind: Kind,
    newest: Mutex<BTreeMap<DeliveryId, Fence>>,
    publishes: AtomicU64,
}

impl Bug {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, newest: Mutex::default(), publishes: AtomicU64::new(0) }
    }

    pub(crate) fn request(&self, request: &ClaimRequest) -> ClaimRequest {
        match self.kind {
            Kind::ClaimsOverTheLimit => {
                ClaimRequest { quota: request.quota.with_per_webhook(16), ..*request }
            }
            _ => *request,
        }
    }

    pub(crate) fn forgets(&self, change: &RegistryChange) -> bool {
        let RegistryChange::Update(new, _) = change else { return false };
        self.kind == Kind::ForgetsToDisable && !new.webhook.status().is_enabled()
    }

    pub(crate) async fn held(
        &self,
        memory: &MemoryStore,
        claims: &[Claim],
        now: i64,
    ) -> Result<(), StoreError> {
        self.newest.lock().expect("whole").extend(claims.iter().map(|claim| (claim.id, claim.fence)));
        if self.kind == Kind::SettlesBeforeTheAnswer {
            let settlements: Vec<_> = claims.iter().map(|claim| delivered(claim, now)).collect();
            memory.settle(&settlements).await?;
        }
        Ok(())
    }

    pub(crate) fn forget(&self, claimed: &mut Claimed) {
        if self.forgets_to_wake() {
            claimed.next_in = None;
        }
    }

    pub(crate) fn forgets_to_wake(&self) -> bool {
        self.kind == Kind::ForgetsToWake
    }

    pub(crate) fn publish(&self, items: &[Publication]) -> Option<Published> {
        let fails = self.kind == Kind::DropsEvents && self.publishes.fetch_add(1, Ordering::SeqCst) % 7 == 6;
        let stored = |item: &Publication| {
            let (targets, skipped) = (item.routing.targets.len(), item.routing.skipped.len());
            PublishAnswer::Stored(Receipt { published_at: item.event.time, targets, skipped })
        };
        fails.then(|| Published { answers: items.iter().map(stored).collect(), held: Vec::new() })
    }

    pub(crate) async fn settle(
        &self,
        memory: &MemoryStore,
        items: &[Settlement],
    ) -> Result<Vec<Settled>, StoreError> {
        let mut items = items.to_vec();
        if self.kind == Kind::SkipsTheFence {
            let newest = self.newest.lock().expect("whole");
            items
                .iter_mut()
                .for_each(|item| item.fence = newest.get(&item.id).copied().unwrap_or(item.fence));
        }
        memory.settle(&items).await
    }
}

fn delivered(claim: &Claim, now: i64) -> Settlement {
    let outcome = Outcome::Answered { status: StatusCode::OK, retry_after: None, body: String::new() };
    let (number, at) = (claim.attempts + 1, Timestamp::from_millis(now));
    Settlement {
        id: claim.id,
        fence: claim.fence,
        attempt: Some(Attempt { number, at, took: Duration::ZERO, outcome }),
        next: Next::End(End::Delivered),
        report: Report::Success,
        backoff: None,
        disable: None,
    }
}

/// Whether the world of this seed is sound, and complains in these words once the bug is in.
fn catches(kind: Kind, seed: u64, words: &str) {
    assert!(crate::play(seed, None).violations.is_empty(), "the world is sound without the bug");
    let violations = crate::play(seed, Some(Bug::new(kind))).violations;
    assert!(violations.iter().any(|what| what.contains(words)), "{kind:?} went unseen: {violations:?}");
}

#[test]
fn a_claim_over_the_limit_is_caught() {
    catches(Kind::ClaimsOverTheLimit, 1, "over the limit");
}

#[test]
fn a_webhook_that_is_called_after_it_was_disabled_is_caught() {
    catches(Kind::ForgetsToDisable, 0, "after disabling it returned");
}

#[test]
fn an_event_that_is_dropped_on_a_store_error_is_caught() {
    catches(Kind::DropsEvents, 1, "was confirmed and is lost");
}

#[test]
fn a_delivery_that_is_settled_before_the_answer_is_caught() {
    catches(Kind::SettlesBeforeTheAnswer, 0, "no receiver saw what the log tells");
}

#[test]
fn a_fence_that_is_not_checked_is_caught() {
    catches(Kind::SkipsTheFence, 29, "with a stale fence took effect");
}

#[test]
fn a_wake_that_is_forgotten_is_caught() {
    catches(Kind::ForgetsToWake, 0, "dispatchers sleep while work waits");
}
