//! Retention in fast motion: the tables stay as they are, however long it goes on.

use std::sync::Arc;
use std::time::Duration;

use hookwire::delivery::Next;
use hookwire::model::{End, HookId};
use hookwire::registry::RegistryChange;
use hookwire::store::{ClaimRequest, Counted, HolderId, Hour, Publication, Quota, Settlement, TendRequest};
use tokio_postgres::Client;

use crate::fleet::{World, publication};
use crate::support::{Schema, stop_clock};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The events of ten minutes.
const EACH: usize = 20;

struct Motion {
    world: World,
    client: Client,
}

impl Motion {
    /// Publishes and delivers the events of ten minutes, and keeps house.
    async fn ten_minutes(&self, round: usize, keep_payloads: Duration) {
        let items: Vec<_> = (0..EACH).map(|n| self.publication(&format!("m{round}-{n}"))).collect();
        self.world.store.publish(&items, None).await.expect("published");
        let (holder, lease, quota) = (HolderId::new(1), MINUTE, Quota::default().with_per_webhook(100));
        let request = ClaimRequest {
            holder,
            lease,
            limit: 100,
            max_bytes: usize::MAX,
            quota,
            start_within: Duration::from_secs(1),
        };
        let claims = self.world.store.claim(&request).await.expect("a claim").deliveries;
        let done: Vec<_> = claims.iter().map(|it| Settlement::new(it, Next::End(End::Delivered))).collect();
        self.world.store.settle(&done).await.expect("settled");
        let on = "UPDATE test_clock SET now = now + 600000";
        self.client.batch_execute(on).await.expect("a clock");
        let request = TendRequest { keep: HOUR, keep_payloads, limit: 100 };
        while self.world.store.tend(&request).await.expect("tended").more {}
    }

    fn publication(&self, id: &str) -> Publication {
        publication(&self.world, id, &self.world.hooks[..1])
    }

    async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.expect("a number").get(0)
    }

    /// The bytes of all tables and indexes, once PostgreSQL has tidied up.
    async fn size(&self) -> i64 {
        for table in ["event", "delivery", "attempt", "lane"] {
            self.client.batch_execute(&format!("VACUUM {table}")).await.expect("tidied up");
        }
        let size = "SELECT sum(pg_total_relation_size(to_regclass(name)))::bigint \
            FROM unnest(ARRAY['event', 'delivery', 'attempt', 'lane']) AS name";
        self.number(size).await
    }
}

async fn motion(schema: &Schema) -> Motion {
    let client = schema.client().await;
    stop_clock(&client).await;
    Motion { world: World::new(Arc::new(schema.store().await), "acme", 1).await, client }
}

#[tokio::test]
async fn the_tables_stay_flat() {
    let schema = Schema::migrated().await;
    let motion = motion(&schema).await;
    let mut sizes = Vec::new();
    // A day.
    for round in 0..144 {
        motion.ten_minutes(round, HOUR).await;
        let most = i64::try_from(7 * EACH).expect("few");
        for table in ["event", "delivery"] {
            let rows = motion.number(&format!("SELECT count(*) FROM {table}")).await;
            assert!(rows <= most, "{rows} of {table} after {round}");
        }
        // As often as PostgreSQL does by itself.
        if round % 6 == 5 {
            sizes.push(motion.size().await);
        }
    }
    let then = sizes[3];
    assert!(sizes[4..].iter().all(|now| *now <= then + then / 10), "{sizes:?}");
}

#[tokio::test]
async fn payloads_go_before_their_events() {
    let schema = Schema::migrated().await;
    let motion = motion(&schema).await;
    let pending = publication(&motion.world, "pending", &[HookId::new(1)]);
    motion.ten_minutes(0, 10 * MINUTE).await;
    motion.world.store.publish(&[pending], None).await.expect("published");
    let on = "UPDATE test_clock SET now = now + 1200000";
    motion.client.batch_execute(on).await.expect("a clock");
    let request = TendRequest { keep: HOUR, keep_payloads: 10 * MINUTE, limit: 7 };
    let mut stripped = 0;
    loop {
        let tended = motion.world.store.tend(&request).await.expect("tended");
        stripped += tended.stripped;
        if !tended.more {
            break;
        }
    }
    assert_eq!(stripped, EACH);
    let left = "SELECT count(*) FILTER (WHERE payload <> '') FROM event";
    assert_eq!(motion.number(left).await, 1, "what has not ended keeps its payload");
    assert_eq!(motion.number("SELECT count(*) FROM event").await, i64::try_from(EACH).expect("few") + 1);
    // A plan of upkeep goes through none that are done with.
    for round in 1..8 {
        motion.ten_minutes(round, 10 * MINUTE).await;
    }
    let again = motion.publication("m7-0");
    let answers = motion.world.store.publish(&[again], None).await.expect("published").answers;
    assert!(matches!(answers[..], [hookwire::store::PublishAnswer::Duplicate(_)]), "{answers:?}");
}

#[tokio::test]
async fn nothing_that_was_counted_outlives_its_webhook_or_its_time() {
    let schema = Schema::migrated().await;
    let motion = motion(&schema).await;
    let World { store, tenant, hooks } = World::new(Arc::clone(&motion.world.store), "acme", 1).await;
    let hooks = [hooks[0], motion.world.hooks[0]];
    motion.ten_minutes(0, HOUR).await;
    // An hour of 1970, and one of 2084.
    let counted = |hook, hour| Counted {
        tenant: tenant.clone(),
        hook,
        hour: Hour::new(hour),
        attempts: 1,
        successes: 0,
        last_success_at: None,
    };
    let counts: Vec<_> =
        hooks.iter().flat_map(|hook| [counted(*hook, 1), counted(*hook, 1_000_000)]).collect();
    store.count(HolderId::new(1), &counts).await.expect("counted");
    let rows = async || motion.number("SELECT count(*) FROM statistic").await;
    assert_eq!(rows().await, 4);
    let request = TendRequest { keep: HOUR, keep_payloads: HOUR, limit: 100 };
    store.tend(&request).await.expect("tended");
    assert_eq!(rows().await, 2, "old hours go");
    let revision = store.registry(&tenant).await.expect("a registry").revision;
    store.commit(&tenant, revision, &RegistryChange::Delete(hooks[0])).await.expect("deleted");
    assert_eq!(rows().await, 1, "of a webhook that is deleted");
    while store.erase(&tenant, 10).await.expect("erased").more {}
    assert_eq!(rows().await, 0, "of one that is erased with its log");
}
