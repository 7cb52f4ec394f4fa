//! Concurrent calls to publish: an error of one is no error of the others.

use std::sync::Arc;
use std::time::Duration;

use hookwire::store::{Publication, PublishAnswer, Store, StoreErrorKind};
use tokio::task::{JoinHandle, JoinSet};
use tokio_postgres::{Client, Transaction};

use crate::fleet::{World, publication};
use crate::support::{Schema, document, url};

const LOCK: &str = "SELECT FROM lane FOR UPDATE";

async fn lock<'a>(client: &'a mut Client) -> Transaction<'a> {
    let locking = client.transaction().await.expect("a transaction");
    locking.batch_execute(LOCK).await.expect("a lock");
    locking
}

fn item(world: &World, id: &str) -> Publication {
    publication(world, id, &world.hooks)
}

/// Publishes one item by a call of its own.
async fn publish(store: Arc<dyn Store>, item: Publication) -> PublishAnswer {
    let published = store.publish(&[item], None).await.expect("an answer");
    published.answers.into_iter().next().expect("one")
}

fn spawn(world: &World, id: &str) -> JoinHandle<PublishAnswer> {
    tokio::spawn(publish(Arc::clone(&world.store), item(world, id)))
}

/// Waits until somebody waits for a lock.
async fn until_one_waits(client: &Client, schema: &Schema) {
    let waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%lane%' \
        AND pid IN (SELECT pid FROM pg_locks JOIN pg_class ON pg_class.oid = relation \
            WHERE relnamespace = $1::text::regnamespace)";
    while client.query(waiting, &[&schema.0]).await.expect("rows").is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_large_batch_lets_others_come_in_between() {
    let schema = Schema::migrated().await;
    let world = World::new(Arc::new(schema.store().await), "acme", 1).await;
    let batch: Vec<_> = (0..6_000).map(|n| item(&world, &format!("b{n}"))).collect();
    let store = Arc::clone(&world.store);
    let batch = tokio::spawn(async move { store.publish(&batch, None).await.expect("published") });
    let client = schema.client().await;
    while client.query("SELECT FROM event LIMIT 1", &[]).await.expect("rows").is_empty() {
        tokio::task::yield_now().await;
    }
    let answer = publish(Arc::clone(&world.store), item(&world, "small")).await;
    assert!(matches!(answer, PublishAnswer::Stored(_)), "{answer:?}");
    assert!(!batch.is_finished(), "it waited for all of it");
    let answers = batch.await.expect("no panic").answers;
    assert!(answers.len() == 6_000 && answers.iter().all(|it| matches!(it, PublishAnswer::Stored(_))));
}

#[tokio::test]
async fn who_waits_too_long_for_others_is_told_and_writes_nothing() {
    let schema = Schema::migrated().await;
    let options = schema.options().publish_timeout(Duration::from_millis(300));
    let world = World::new(Arc::new(options.connect(&url()).await.expect("a store")), "acme", 1).await;
    let (mut client, watching) = (schema.client().await, schema.client().await);
    let locking = lock(&mut client).await;
    let first = spawn(&world, "first");
    until_one_waits(&watching, &schema).await;
    // Its tenant's events are written by one transaction at a time.
    let error = world.store.publish(&[item(&world, "second")], None).await.expect_err("no answer");
    assert_eq!(error.kind(), StoreErrorKind::Overloaded);
    locking.rollback().await.expect("given up");
    let first = first.await.expect("no panic");
    assert!(matches!(first, PublishAnswer::Stored(_)), "what is being written is awaited: {first:?}");
    let events = watching.query("SELECT FROM event", &[]).await.expect("rows");
    assert_eq!(events.len(), 1, "the other is not written later");
}

#[tokio::test]
async fn one_that_has_to_wait_for_a_lock_makes_no_others_fail() {
    let schema = Schema::migrated().await;
    let world = World::new(Arc::new(schema.store().await), "acme", 1).await;
    let (mut client, mut host) = (schema.client().await, schema.client().await);
    let watching = schema.client().await;
    let open = host.transaction().await.expect("a transaction");
    let document = document(&world.tenant, &item(&world, "m3").event);
    open.query_one("SELECT publish($1)", &[&document]).await.expect("published");
    let locking = lock(&mut client).await;
    let first = spawn(&world, "first");
    until_one_waits(&watching, &schema).await;
    let mut others = JoinSet::new();
    for n in 0..6 {
        let (store, item) = (Arc::clone(&world.store), item(&world, &format!("m{n}")));
        others.spawn(async move { (n, publish(store, item).await) });
    }
    tokio::task::yield_now().await;
    locking.rollback().await.expect("given up");
    first.await.expect("no panic");
    while let Some(done) = others.join_next().await {
        let (n, answer) = done.expect("no panic");
        assert_eq!(matches!(answer, PublishAnswer::Stored(_)), n != 3, "{n}: {answer:?}");
    }
    open.rollback().await.expect("rolled back");
}
