//! Recovering what a webhook has missed, in steps, and however often it is broken off.

use std::sync::Arc;
use std::time::Duration;

use hookwire::model::{PageRequest, Timestamp};
use hookwire::store::{Recovery, Store};
use tokio_postgres::Client;

use crate::fleet::{World, publication};
use crate::support::Schema;

/// Deliveries that were given up.
const MISSED: usize = 5_000;

async fn missed(schema: &Schema) -> (World, Client) {
    let client = schema.client().await;
    let world = World::new(Arc::new(schema.store().await), "acme", 1).await;
    world.store.publish(&[publication(&world, "m1", &world.hooks)], None).await.expect("published");
    let copy = format!(
        "INSERT INTO event (tenant, message, event_id, time, payload, digest, published_at, alive_at, routed_at)
            SELECT tenant, 'c' || n, 1, 0, '1', digest, 0, 0, 0 FROM event, generate_series(1, {MISSED}) AS n;
        INSERT INTO delivery (lane, epoch, event, bytes, state, due, created_at, expires, ended_at)
            SELECT 1, 0, seq, 1, 4, 1, 1, 1, 1 FROM event WHERE message LIKE 'c%';
        UPDATE delivery SET lane = lane.id FROM lane; DELETE FROM delivery WHERE state = 0;
        ANALYZE event, delivery"
    );
    client.batch_execute(&copy).await.expect("rows");
    (world, client)
}

fn step(world: &World, page: &PageRequest) -> Recovery {
    let (hook, since) = (world.hooks[0], Timestamp::from_millis(0));
    Recovery { hook, since, expires: Duration::from_secs(60), page: page.clone() }
}

/// Goes on for so many steps, from the newest, and returns how many were made.
async fn recover(world: &World, steps: usize) -> usize {
    let (mut page, mut made) = (PageRequest::first().with_limit(250), 0);
    for _ in 0..steps {
        let recovered = world.store.recover(&world.tenant, &step(world, &page)).await.expect("recovered");
        assert!(recovered.made <= 250, "{recovered:?}");
        made += recovered.made;
        let Some(next) = recovered.next else { break };
        page = PageRequest::after(next).with_limit(250);
    }
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_made_once_whoever_asks_and_however_often() {
    let schema = Schema::migrated().await;
    let (world, client) = missed(&schema).await;
    assert_eq!(recover(&world, 3).await, 750);
    let other: Arc<dyn Store> = Arc::new(schema.store().await);
    let other = World { store: other, ..world.clone() };
    let (here, there) = tokio::join!(recover(&world, usize::MAX), recover(&other, usize::MAX));
    assert_eq!(here + there, MISSED - 750);
    assert_eq!(recover(&world, usize::MAX).await, 0);
    let count = "SELECT count(*), count(DISTINCT origin), count(*) FILTER (WHERE behind) FROM delivery \
        WHERE origin IS NOT NULL";
    let row = client.query_one(count, &[]).await.expect("counts");
    assert_eq!([0, 1, 2].map(|number| row.get::<_, i64>(number)), [i64::try_from(MISSED).expect("few"); 3]);
}

#[tokio::test]
async fn a_step_looks_at_a_bounded_number_although_none_of_them_is_made() {
    let schema = Schema::migrated().await;
    let (world, client) = missed(&schema).await;
    client.batch_execute("UPDATE delivery SET state = 3").await.expect("delivered");
    let first = PageRequest::first().with_limit(10);
    let recovered = world.store.recover(&world.tenant, &step(&world, &first)).await.expect("recovered");
    assert!(recovered.made == 0 && recovered.next.is_some(), "{recovered:?}");
}
