//! Rows that cannot be read stop nothing else: their deliveries wait for a version that can read them, until they expire.

use std::sync::Arc;
use std::time::Duration;

use hookwire::model::{DeliveryState, End};
use hookwire::store::{Claim, ClaimRequest, HolderId, Quota, StatsScope, Store, TendRequest};
use hookwire::{DeliveryQuery, HookId};
use tokio_postgres::Client;
use tracing::subscriber::DefaultGuard;

use crate::fleet::{World, publication};
use crate::log::Log;
use crate::support::{Schema, stop_clock};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Tenant `a` with two webhooks and `b` with one, each with an event for all its webhooks, and a log of warnings.
struct Broken {
    a: World,
    b: World,
    client: Client,
    schema: Schema,
    log: Log,
    _guard: DefaultGuard,
}

impl Broken {
    /// Publishes, and then runs `sql`, which breaks a row of `a`.
    async fn by(sql: &str) -> Self {
        let schema = Schema::migrated().await;
        let client = schema.client().await;
        stop_clock(&client).await;
        let store: Arc<dyn Store> = Arc::new(schema.store().await);
        let a = World::new(Arc::clone(&store), "a", 2).await;
        let b = World::new(store, "b", 1).await;
        for world in [&a, &b] {
            world.store.publish(&[publication(world, "m1", &world.hooks)], None).await.expect("published");
        }
        client.batch_execute(sql).await.expect("a broken row");
        let log = Log::default();
        let guard = log.record_thread();
        Self { a, b, client, schema, log, _guard: guard }
    }

    /// Claims until there is nothing to be had at once: the deliveries by tenant and webhook.
    async fn claim_all(&self) -> Vec<String> {
        let mut claimed = Vec::new();
        loop {
            let now = self.a.store.claim(&request()).await.expect("a bad row fails no claim");
            claimed.extend(now.deliveries.iter().map(of));
            if now.next_in != Some(Duration::ZERO) {
                claimed.sort_unstable();
                return claimed;
            }
        }
    }

    async fn tend(&self) {
        let request = TendRequest { keep: Duration::ZERO, keep_payloads: Duration::ZERO, limit: 2 };
        while self.a.store.tend(&request).await.expect("a bad row fails no upkeep").more {}
    }

    /// Goes on by a store that has just connected, as after an upgrade.
    async fn reconnect(&mut self) {
        self.advance(Duration::from_millis(1)).await;
        self.a.store = Arc::new(self.schema.store().await);
        self.tend().await;
    }

    async fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).expect("a short time");
        self.client.execute("UPDATE test_clock SET now = now + $1", &[&by]).await.expect("a clock");
    }

    async fn states(&self) -> Vec<DeliveryState> {
        let listed = self.a.store.deliveries(&self.a.tenant, &DeliveryQuery::new()).await.expect("a log");
        listed.items.iter().map(|it| it.state).collect()
    }

    fn warnings(&self) -> usize {
        self.log.text().matches("cannot be read").count()
    }
}

fn request() -> ClaimRequest {
    let (holder, quota) = (HolderId::new(1), Quota::default());
    ClaimRequest {
        holder,
        lease: Duration::from_secs(60),
        limit: 100,
        max_bytes: usize::MAX,
        quota,
        start_within: Duration::from_secs(1),
    }
}

fn of(claim: &Claim) -> String {
    format!("{}/{}", claim.tenant, claim.hook.hook_id())
}

const BAD_EVENT: &str = "UPDATE event SET payload = '{' WHERE tenant = 'a'";
const BAD_RETRY: &str = "UPDATE delivery SET retry = '5' FROM lane WHERE lane.id = lane AND tenant = 'a'";
const BAD_WEBHOOK: &str = "UPDATE lane SET webhook = '5' WHERE tenant = 'a' AND hook = 1";
const BAD_HEALTH: &str = "UPDATE lane SET health = '5' WHERE tenant = 'a' AND hook = 1";

#[tokio::test]
async fn a_delivery_that_cannot_be_read_is_set_aside_and_told_once() {
    for sql in [BAD_EVENT, BAD_RETRY] {
        let broken = Broken::by(sql).await;
        assert_eq!(broken.claim_all().await, ["b/1"], "{sql}");
        assert!(broken.claim_all().await.is_empty(), "{sql}");
        assert_eq!(broken.warnings(), 2, "{sql}: {}", broken.log.text());
        broken.tend().await;
        assert_eq!(broken.states().await, [DeliveryState::Pending; 2], "{sql}: it has not ended");
        let stats = broken.a.store.stats(&StatsScope::Tenant(broken.a.tenant.clone())).await;
        assert_eq!(stats.expect("counts").pending(), 2, "{sql}");
        broken.advance(DAY).await;
        broken.tend().await;
        let ended =
            "SELECT count(*) FROM delivery JOIN lane ON lane.id = lane WHERE tenant = 'a' AND state = 5";
        let left: i64 = broken.client.query_one(ended, &[]).await.expect("a count").get(0);
        let expired = broken.states().await.iter().all(|it| *it == DeliveryState::Ended(End::Expired));
        assert!(left == 2 && expired, "{sql}: it ends in its time");
    }
}

#[tokio::test]
async fn what_was_set_aside_is_tried_again_by_a_store_that_connects() {
    let mut broken = Broken::by(BAD_EVENT).await;
    assert_eq!(broken.claim_all().await, ["b/1"]);
    broken.reconnect().await;
    assert!(broken.claim_all().await.is_empty());
    assert_eq!(broken.warnings(), 4, "once for each store: {}", broken.log.text());
    broken.client.batch_execute("UPDATE event SET payload = '1'").await.expect("mended");
    assert!(broken.claim_all().await.is_empty(), "it is not looked at all the time");
    broken.reconnect().await;
    assert_eq!(broken.claim_all().await, ["a/1", "a/2"]);
}

#[tokio::test]
async fn a_webhook_that_cannot_be_read_rests_and_is_told_once() {
    for sql in [BAD_WEBHOOK, BAD_HEALTH] {
        let mut broken = Broken::by(sql).await;
        assert_eq!(broken.claim_all().await, ["a/2", "b/1"], "{sql}");
        broken.tend().await;
        assert!(broken.claim_all().await.is_empty(), "{sql}");
        assert_eq!(broken.warnings(), 1, "{sql}: {}", broken.log.text());
        broken.advance(HOUR).await;
        assert_eq!(broken.claim_all().await, ["a/2", "b/1"], "{sql}: their leases have ended");
        assert_eq!(broken.warnings(), 1, "{sql}: {}", broken.log.text());
        let mend = "UPDATE lane SET (health, webhook) = (SELECT health, webhook FROM lane WHERE tenant = 'b')
            WHERE tenant = 'a' AND hook = 1";
        broken.client.batch_execute(mend).await.expect("mended");
        broken.reconnect().await;
        assert!(broken.claim_all().await.iter().any(|it| it == "a/1"), "{sql}");
    }
}

#[tokio::test]
async fn a_tenant_that_cannot_be_read_can_be_erased() {
    for sql in [BAD_EVENT, BAD_WEBHOOK, BAD_HEALTH] {
        let broken = Broken::by(sql).await;
        broken.claim_all().await;
        while broken.a.store.erase(&broken.a.tenant, 1).await.expect("erased").more {}
        assert!(broken.states().await.is_empty(), "{sql}");
        let registry = broken.a.store.registry(&broken.a.tenant).await.expect("a registry");
        assert!(registry.webhooks.is_empty() && registry.next_hook_id == HookId::new(3), "{sql}");
        broken
            .b
            .store
            .publish(&[publication(&broken.b, "m2", &broken.b.hooks)], None)
            .await
            .expect("published");
    }
}
