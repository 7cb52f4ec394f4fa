//! Several processes on one database, played by several stores: nothing is lost, sent twice, or stuck.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hookwire::TenantId;
use hookwire::delivery::{Next, Report};
use hookwire::model::{DeliveryId, End, Event, EventId, HookId, MessageId, Status, Timestamp};
use hookwire::registry::{Backlog, RegisteredWebhook, RegistryChange};
use hookwire::store::{
    Claim, ClaimRequest, HolderId, Publication, PublishAnswer, Quota, Routing, Settled, Settlement, Store,
    StoreErrorKind, TendRequest,
};
use tokio::task::JoinSet;

use crate::support::{Schema, fresh_name};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One process' view of a tenant with some webhooks.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tenant: TenantId,
    pub(crate) hooks: Vec<HookId>,
}

impl World {
    pub(crate) async fn new(store: Arc<dyn Store>, tenant: &str, hooks: usize) -> Self {
        let tenant = TenantId::new(tenant).expect("short");
        let mut world = Self { store, tenant, hooks: Vec::new() };
        for _ in 0..hooks {
            let registry = world.store.registry(&world.tenant).await.expect("a registry");
            let create = RegistryChange::Create(webhook(registry.next_hook_id));
            world.store.commit(&world.tenant, registry.revision, &create).await.expect("created");
            world.hooks.push(registry.next_hook_id);
        }
        world
    }

    /// Claims and delivers until nothing is left, and tells how many were delivered.
    pub(crate) async fn deliver_all(&self) -> usize {
        let mut delivered = BTreeSet::new();
        loop {
            let claims = self.store.claim(&request(99, 100)).await.expect("a claim").deliveries;
            if claims.is_empty() {
                return delivered.len();
            }
            let items: Vec<_> = claims.iter().map(|it| settlement(it, Next::End(End::Delivered))).collect();
            let settled = self.store.settle(&items).await.expect("settled");
            assert!(settled.iter().all(Settled::is_applied), "{settled:?}");
            assert!(claims.iter().all(|claim| delivered.insert(claim.id)), "delivered twice");
        }
    }
}

fn webhook(id: HookId) -> RegisteredWebhook {
    let json = format!(
        r#"{{"hook_id":{id},"name":"hook","url":"https://hooks.example.com/","subscriptions":[{{"event_id":1}}]}}"#
    );
    RegisteredWebhook::new(serde_json::from_str(&json).expect("a webhook"))
}

/// An event for these webhooks, routed at the beginning.
pub(crate) fn publication(world: &World, id: &str, hooks: &[HookId]) -> Publication {
    let event = Event::new(EventId::new(1), &id).expect("JSON");
    let event = event.stamped(|| MessageId::new(id).expect("an id"), Timestamp::from_secs(1));
    let revision = hookwire::registry::Revision::new(u64::try_from(world.hooks.len()).expect("few"));
    let routing = Routing { targets: hooks.to_vec(), skipped: Vec::new() };
    Publication::new(world.tenant.clone(), event, revision, routing, DAY)
}

fn request(holder: u128, limit: usize) -> ClaimRequest {
    let quota = Quota::default().with_in_all(4_000).with_per_tenant(4_000).with_per_webhook(1_000);
    let (holder, lease) = (HolderId::new(holder), Duration::from_secs(60));
    ClaimRequest { holder, lease, limit, max_bytes: usize::MAX, quota, start_within: Duration::from_secs(1) }
}

fn settlement(claim: &Claim, next: Next) -> Settlement {
    Settlement { report: Report::Success, ..Settlement::new(claim, next) }
}

/// Publishes batches for webhooks in an order of its own, and tells how many deliveries that makes.
async fn publish_some(world: World, publisher: usize) -> usize {
    let mut hooks = world.hooks.clone();
    let mut written = 0;
    for round in 0..20 {
        hooks.rotate_left(1 + publisher % 2);
        if publisher % 2 == 1 {
            hooks.reverse();
        }
        let id = |n| format!("m{publisher}-{round}-{n}");
        let mut items: Vec<_> = (0..4).map(|n| publication(&world, &id(n), &hooks[n % 3..])).collect();
        while !items.is_empty() {
            let revision = world.store.registry(&world.tenant).await.expect("a registry").revision;
            items.iter_mut().for_each(|item| item.routed_at = revision);
            let hold = (round % 3 == 0).then(|| request(50 + publisher as u128, 2));
            let published = world.store.publish(&items, hold.as_ref()).await.expect("published");
            let mut again = Vec::new();
            for (item, answer) in items.into_iter().zip(published.answers) {
                match answer {
                    PublishAnswer::Stored(receipt) => written += receipt.targets,
                    PublishAnswer::Stale(_) => again.push(item),
                    other => panic!("{other:?}"),
                }
            }
            let back: Vec<_> = published.held.iter().map(|it| settlement(it, Next::Release)).collect();
            world.store.settle(&back).await.expect("given back");
            items = again;
        }
    }
    written
}

/// Claims and settles in batches of every kind of end.
async fn dispatch_some(world: World, holder: u128) -> BTreeSet<DeliveryId> {
    let mut delivered = BTreeSet::new();
    let reports = [Report::Success, Report::Failure, Report::Timeout, Report::NoAttempt];
    for round in 0..60 {
        let claims = world.store.claim(&request(holder, 40)).await.expect("a claim").deliveries;
        let mut items = Vec::new();
        for (n, claim) in claims.iter().enumerate().rev() {
            let next = match (n + round) % 4 {
                0 => Next::Again(Duration::ZERO),
                1 => Next::Release,
                _ => Next::End(End::Delivered),
            };
            items.push(Settlement { report: reports[n % 4], ..settlement(claim, next) });
        }
        let settled = world.store.settle(&items).await.expect("settled");
        for (item, settled) in items.iter().zip(settled) {
            assert!(settled.is_applied(), "its lease has not ended");
            if item.next == Next::End(End::Delivered) {
                assert!(delivered.insert(item.id), "delivered twice");
            }
        }
    }
    delivered
}

/// Disables and enables a webhook, as its user might.
async fn toggle(world: World) {
    for status in [Status::Disabled, Status::Enabled].repeat(10) {
        loop {
            let registry = world.store.registry(&world.tenant).await.expect("a registry");
            let mut hook = registry.get(world.hooks[1]).expect("it is there").clone();
            hook.webhook = hook.webhook.with_status(status);
            hook.version = hook.version.next();
            let update = RegistryChange::Update(hook, Backlog::Resume);
            match world.store.commit(&world.tenant, registry.revision, &update).await {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error:?}"),
            }
        }
        world.store.tend(&TendRequest { keep: DAY, keep_payloads: DAY, limit: 50 }).await.expect("tended");
    }
}

async fn deadlocks(schema: &Schema) -> i64 {
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    schema.client().await.query_one(sql, &[]).await.expect("a row").get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_share_the_work_without_getting_in_each_others_way() {
    let schema = Schema::migrated().await;
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..3 {
        stores.push(Arc::new(schema.store().await));
    }
    let world = World::new(Arc::clone(&stores[0]), "acme", 6).await;
    let at = |n: usize| World { store: Arc::clone(&stores[n % 3]), ..world.clone() };
    let before = deadlocks(&schema).await;
    let (mut publishing, mut dispatching) = (JoinSet::new(), JoinSet::new());
    (0..4).for_each(|n| drop(publishing.spawn(publish_some(at(n), n))));
    (0..3).for_each(|n| drop(dispatching.spawn(dispatch_some(at(n), 1 + n as u128))));
    let toggling = tokio::spawn(toggle(at(2)));
    let mut published = 0;
    while let Some(done) = publishing.join_next().await {
        published += done.expect("no panic");
    }
    let mut delivered = 0;
    while let Some(done) = dispatching.join_next().await {
        delivered += done.expect("no panic").len();
    }
    toggling.await.expect("no panic");
    delivered += at(1).deliver_all().await;
    assert_eq!(delivered, published, "all of it, each once");
    assert_eq!(deadlocks(&schema).await, before, "nobody waited crosswise");
}

#[tokio::test]
async fn others_hear_of_work_when_they_listen() {
    // A name as long as there can be: the channel's cannot be longer.
    let schema = Schema(format!("{:x<63}", fresh_name()));
    schema.options().migrate(&crate::support::url()).await.expect("a schema");
    let options = || schema.options().listen(true).poll_every(DAY);
    let here: Arc<dyn Store> = Arc::new(options().connect(&crate::support::url()).await.expect("a store"));
    let there = options().connect(&crate::support::url()).await.expect("a store");
    let world = World::new(here, "acme", 1).await;
    let heard = async {
        let mut claimed = there.claim(&request(1, 10)).await.expect("a claim");
        assert!(claimed.deliveries.is_empty(), "nothing is published yet");
        let item = publication(&world, "news", &world.hooks);
        world.store.publish(&[item], None).await.expect("published");
        // News of the creation, and that it listens, may come first.
        while claimed.deliveries.is_empty() {
            there.wake(claimed.mark).await;
            claimed = there.claim(&request(1, 10)).await.expect("a claim");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("nobody heard of it");
}
