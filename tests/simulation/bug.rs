//! A store with one planted bug, for `catches`.

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

/// The kinds of planted bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A claim takes more of one webhook than the quota allows.
    ClaimsOverTheLimit,
    /// Disabling a webhook does nothing and succeeds.
    ForgetsToDisable,
    /// A write that is lost succeeds.
    DropsEvents,
    /// A claimed delivery counts as delivered before it is sent.
    SettlesBeforeTheAnswer,
    /// A settlement takes effect even if another holder has the delivery by then.
    SkipsTheFence,
    /// Dispatchers are not notified of new work, nor told when some will be due.
    ForgetsToWake,
}

/// A bug in the store, which all processes share.
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
            PublishAnswer::Stored(Receipt {
                published_at: item.event.time,
                targets: item.routing.targets.len(),
                skipped: item.routing.skipped.len(),
            })
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
    let outcome = Outcome::answered(StatusCode::OK, None, "");
    let at = Timestamp::from_millis(now);
    let number = claim.attempts + 1;
    Settlement {
        attempt: Some(Attempt { number, at, took: Duration::ZERO, uncounted: 0, outcome }),
        report: Report::Success,
        ..Settlement::new(claim, Next::End(End::Delivered))
    }
}
