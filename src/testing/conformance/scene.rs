//! `Scene`: a store with short methods to create, publish, claim and settle, in which the cases are written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::StoreFixture;
use crate::delivery::Next;
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, End, Event, EventId, HookId, MessageId, Outcome,
    SealedSecrets, StampedEvent, TenantId, Timestamp, Webhook,
};
use crate::registry::{Backlog, RegisteredWebhook, RegistryChange, Revision};
use crate::store::{
    Claim, ClaimRequest, Claimed, HolderId, Publication, PublishAnswer, Published, Quota, Routing, Settled,
    Settlement, Store, TendRequest,
};

pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) const MOMENT: Duration = Duration::from_millis(1);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const ANA: HolderId = HolderId::new(1);
pub(super) const BEN: HolderId = HolderId::new(2);

/// A fixture with short methods in which cases are written. An error in one is the store's fault, and fails the case.
pub(super) struct Scene<'a> {
    pub(super) fixture: &'a dyn StoreFixture,
    pub(super) store: Arc<dyn Store>,
    pub(super) tenant: TenantId,
}

pub(super) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a short name")
}

pub(super) fn message(id: &str) -> MessageId {
    MessageId::new(id).expect("a short id")
}

/// The request of a holder that would take everything.
pub(super) fn greedy(holder: HolderId) -> ClaimRequest {
    let quota = Quota::default().with_in_all(4_000).with_per_tenant(4_000).with_per_webhook(1_000);
    ClaimRequest {
        holder,
        lease: LEASE,
        limit: 1_000,
        max_bytes: usize::MAX,
        quota,
        start_within: Duration::from_secs(1),
    }
}

pub(super) fn event_json(id: &str, payload: &serde_json::Value) -> StampedEvent {
    let event = Event::new(EventId::new(1), payload).expect("JSON");
    event.stamped(|| message(id), Timestamp::from_secs(1_767_225_600))
}

pub(super) fn attempt(number: u32, status: u16) -> Attempt {
    let status = http::StatusCode::from_u16(status).expect("a status");
    let outcome = Outcome::answered(status, None, format!("answer {number}"));
    let at = Timestamp::from_secs(1_767_225_600 + i64::from(number));
    Attempt { number, at, took: Duration::from_millis(7), uncounted: 0, outcome }
}

pub(super) fn ids(claims: &[Claim]) -> BTreeSet<DeliveryId> {
    claims.iter().map(|claim| claim.id).collect()
}

impl<'a> Scene<'a> {
    pub(super) fn new(fixture: &'a dyn StoreFixture) -> Self {
        Self { fixture, store: fixture.store(), tenant: tenant("acme") }
    }

    /// The same store, in the hands of another tenant.
    pub(super) fn of(&self, name: &str) -> Self {
        Self { fixture: self.fixture, store: Arc::clone(&self.store), tenant: tenant(name) }
    }

    pub(super) async fn revision(&self) -> Revision {
        self.store.registry(&self.tenant).await.expect("registry").revision
    }

    pub(super) async fn registered(&self, hook_id: HookId) -> Option<RegisteredWebhook> {
        self.store.registry(&self.tenant).await.expect("registry").get(hook_id).cloned()
    }

    pub(super) async fn change(&self, change: RegistryChange) {
        let revision = self.revision().await;
        self.store.commit(&self.tenant, revision, &change).await.expect("commit at the present revision");
    }

    pub(super) async fn next_webhook(&self) -> RegisteredWebhook {
        let hook_id = self.store.registry(&self.tenant).await.expect("registry").next_hook_id;
        let webhook = json!({"hook_id": hook_id, "name": "hook", "url": "https://hooks.example.com/",
            "subscriptions": [{"event_id": 1}]});
        let webhook: Webhook = serde_json::from_value(webhook).expect("a webhook");
        let secrets = SealedSecrets::new(format!("sealed secrets of {hook_id}"));
        RegisteredWebhook { secrets, ..RegisteredWebhook::new(webhook) }
    }

    pub(super) async fn create(&self) -> HookId {
        let registered = self.next_webhook().await;
        let hook_id = registered.hook_id();
        self.change(RegistryChange::Create(registered)).await;
        hook_id
    }

    pub(super) async fn create_many(&self, number: usize) -> Vec<HookId> {
        let mut hooks = Vec::new();
        for _ in 0..number {
            hooks.push(self.create().await);
        }
        hooks
    }

    /// The webhook as it would be with another URL.
    pub(super) async fn elsewhere(&self, hook_id: HookId) -> Webhook {
        let present = self.registered(hook_id).await.expect("it was created").webhook;
        let mut json = serde_json::to_value(present).expect("JSON");
        json["url"] = "https://elsewhere.example.com/".into();
        serde_json::from_value(json).expect("a webhook")
    }

    pub(super) async fn edit(
        &self,
        hook_id: HookId,
        backlog: Backlog,
        edit: impl FnOnce(&mut RegisteredWebhook),
    ) {
        let mut registered = self.registered(hook_id).await.expect("it was created");
        registered.version = registered.version.next();
        edit(&mut registered);
        self.change(RegistryChange::Update(registered, backlog)).await;
    }

    pub(super) async fn publication(&self, id: &str, targets: &[HookId]) -> Publication {
        let event = event_json(id, &json!({"id": id}));
        let routing = Routing { targets: targets.to_vec(), skipped: Vec::new() };
        Publication::new(self.tenant.clone(), event, self.revision().await, routing, DAY)
    }

    pub(super) async fn write(&self, items: &[Publication]) -> Vec<PublishAnswer> {
        let published = self.store.publish(items, None).await.expect("publish");
        assert!(published.held.is_empty(), "nothing is held for nobody");
        published.answers
    }

    pub(super) async fn publish_held(&self, items: &[Publication], hold: &ClaimRequest) -> Published {
        self.store.publish(items, Some(hold)).await.expect("publish")
    }

    /// Publishes an event to these webhooks, which must succeed.
    pub(super) async fn publish(&self, id: &str, targets: &[HookId]) {
        let item = self.publication(id, targets).await;
        let answers = self.write(&[item]).await;
        assert!(matches!(answers[..], [PublishAnswer::Stored(_)]), "{answers:?}");
    }

    pub(super) async fn publish_many(&self, prefix: &str, number: usize, targets: &[HookId]) {
        for n in 0..number {
            self.publish(&format!("{prefix}{n}"), targets).await;
        }
    }

    pub(super) async fn claim_with(&self, request: &ClaimRequest) -> Claimed {
        self.store.claim(request).await.expect("claim")
    }

    pub(super) async fn claim_of(&self, tenant: &TenantId, request: &ClaimRequest) -> Claimed {
        self.store.claim_of(tenant, request).await.expect("claim")
    }

    pub(super) async fn claim(&self, holder: HolderId) -> Vec<Claim> {
        self.claim_with(&greedy(holder)).await.deliveries
    }

    /// Claims at most so many deliveries, for a holder that would take everything.
    pub(super) async fn claim_few(&self, limit: usize, holder: HolderId) -> Vec<Claim> {
        self.claim_with(&ClaimRequest { limit, ..greedy(holder) }).await.deliveries
    }

    /// Claims what must be one delivery.
    pub(super) async fn claim_one(&self, holder: HolderId) -> Claim {
        let claims = self.claim(holder).await;
        let [claim] = &claims[..] else { panic!("one delivery is due, claimed {}", claims.len()) };
        claim.clone()
    }

    pub(super) async fn settle(&self, settlement: Settlement) -> Settled {
        let settled = self.store.settle(&[settlement]).await.expect("settle");
        let [settled] = settled[..] else { panic!("one answer for one settlement") };
        settled
    }

    pub(super) async fn finish(&self, claim: &Claim, next: Next) {
        let settled = self.settle(Settlement::new(claim, next)).await;
        assert!(settled.is_applied(), "a live claim is settled");
    }

    pub(super) async fn deliver(&self, claim: &Claim) {
        self.finish(claim, Next::End(End::Delivered)).await;
    }

    /// Keeps house until there is no more to do, and returns how many deliveries expired.
    pub(super) async fn tend(&self, keep: Duration) -> usize {
        let mut expired = 0;
        loop {
            let tended = self.store.tend(&TendRequest { keep, keep_payloads: keep, limit: 2 }).await;
            let tended = tended.expect("tend");
            expired += tended.expired;
            if !tended.more {
                return expired;
            }
        }
    }

    pub(super) async fn deliveries(&self, query: DeliveryQuery) -> Vec<Delivery> {
        self.store.deliveries(&self.tenant, &query).await.expect("deliveries").items
    }

    pub(super) async fn attempts(&self, id: DeliveryId) -> Option<Vec<Attempt>> {
        let mut read = self.store.attempts(&self.tenant, &[id]).await.expect("absence is no error");
        assert_eq!(read.len(), 1, "one answer for one delivery");
        read.remove(0)
    }

    pub(super) async fn delivery(&self, id: DeliveryId) -> Option<Delivery> {
        let all = self.deliveries(DeliveryQuery::new()).await;
        all.into_iter().find(|delivery| delivery.id == id)
    }
}
