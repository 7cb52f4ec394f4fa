//! Calls of which one part fails: the others keep what they have done.

use std::sync::Arc;
use std::time::Duration;

use hookwire::store::{
    ClaimRequest, Claimed, HolderId, PublishAnswer, Quota, Store, StoreError, StoreErrorKind,
};

use tokio::task::JoinSet;

use crate::fleet::{World, publication};
use crate::support::{Schema, stop_clock};

async fn claim(store: &Arc<dyn Store>, holder: u128) -> Result<Claimed, StoreError> {
    let (lease, quota) = (Duration::from_secs(30), Quota::default());
    let request = ClaimRequest {
        holder: HolderId::new(holder),
        lease,
        limit: 100,
        max_bytes: usize::MAX,
        quota,
        start_within: Duration::from_secs(1),
    };
    store.claim(&request).await
}

async fn world(schema: &Schema) -> World {
    World::new(Arc::new(schema.store().await), "acme", 1).await
}

#[tokio::test]
async fn what_was_claimed_is_given_although_unrouted_events_cannot_be_taken() {
    let schema = Schema::migrated().await;
    let (client, world) = (schema.client().await, world(&schema).await);
    world.store.publish(&[publication(&world, "m1", &world.hooks)], None).await.expect("published");
    let break_routing = r#"SELECT publish('{"tenant":"acme","event_id":1,"payload":1}');
        ALTER TABLE tenant RENAME COLUMN router_fence TO gone"#;
    client.batch_execute(break_routing).await.expect("a broken table");
    let claimed = claim(&world.store, 1).await.expect("the deliveries");
    assert_eq!((claimed.deliveries.len(), claimed.unrouted.len()), (1, 0));
    claim(&world.store, 1).await.expect_err("nothing but the fault");
}

#[tokio::test]
async fn an_item_that_the_database_refuses_fails_alone() {
    let schema = Schema::migrated().await;
    let world = world(&schema).await;
    let mut bad = publication(&world, "bad", &world.hooks);
    Arc::make_mut(&mut bad.event).actor = Some("nobody\0".to_owned());
    bad.digest = bad.event.digest();
    let published = world.store.publish(&[bad], None).await.expect("an answer");
    let [PublishAnswer::Failed(error)] = &published.answers[..] else { panic!("{published:?}") };
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_lane_that_somebody_keeps_locked_lets_nobody_spin() {
    let schema = Schema::migrated().await;
    let (mut client, world) = (schema.client().await, world(&schema).await);
    stop_clock(&client).await;
    client.batch_execute("UPDATE lane SET wake_at = 0").await.expect("a timer");
    let locking = client.transaction().await.expect("a transaction");
    locking.batch_execute("SELECT FROM lane FOR UPDATE").await.expect("a lock");
    let next_in = claim(&world.store, 1).await.expect("a claim").next_in;
    assert!(next_in.is_some_and(|it| !it.is_zero()), "{next_in:?}");
    drop(locking);
}

#[tokio::test]
async fn a_lane_that_nobody_can_read_stops_no_others() {
    let schema = Schema::migrated().await;
    let client = schema.client().await;
    let world = World::new(Arc::new(schema.store().await), "acme", 3).await;
    world.store.publish(&[publication(&world, "m1", &world.hooks)], None).await.expect("published");
    let spoil = "UPDATE lane SET health = '7' WHERE hook = 1; UPDATE lane SET webhook = '7' WHERE hook = 2";
    client.batch_execute(spoil).await.expect("broken rows");
    assert_eq!(claim(&world.store, 1).await.expect("a claim").deliveries.len(), 1);
}

#[tokio::test]
async fn what_gathers_while_another_is_written_is_written_together_and_each_by_its_own_right() {
    let schema = Schema::migrated().await;
    let (mut client, world) = (schema.client().await, world(&schema).await);
    let locking = client.transaction().await.expect("a transaction");
    locking.batch_execute("SELECT FROM lane FOR UPDATE").await.expect("a lock");
    let mut calls = JoinSet::new();
    for n in 0..20 {
        let mut item = publication(&world, &format!("m{n}"), &world.hooks);
        Arc::make_mut(&mut item.event).actor = (n == 7).then(|| "nobody\0".to_owned());
        item.digest = item.event.digest();
        let store = Arc::clone(&world.store);
        calls.spawn(async move { (n, store.publish(&[item], None).await.expect("an answer").answers) });
    }
    tokio::task::yield_now().await;
    locking.rollback().await.expect("the lock is given up");
    while let Some(done) = calls.join_next().await {
        let (n, answers) = done.expect("no panic");
        let is_stored = matches!(answers[..], [PublishAnswer::Stored(_)]);
        assert!(answers.len() == 1 && is_stored == (n != 7), "{n}: {answers:?}");
    }
    for n in 20..40 {
        let (store, item) = (Arc::clone(&world.store), publication(&world, &format!("m{n}"), &world.hooks));
        calls.spawn(async move { (n, store.publish(&[item], None).await.expect("an answer").answers) });
    }
    calls.join_all().await;
    let transactions =
        "SELECT count(DISTINCT xmin::text) FROM event WHERE length(message) = 3 AND message >= 'm20'";
    let client = schema.client().await;
    let transactions: i64 = client.query_one(transactions, &[]).await.expect("a count").get(0);
    assert!(transactions < 20, "{transactions} transactions for 20 calls");
}
