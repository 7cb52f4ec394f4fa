//! Connections that are cut in the middle of work: clear errors, and recovery by itself.

use std::sync::Arc;
use std::time::Duration;

use hookwire::model::{DeliveryQuery, PageRequest};
use hookwire::store::{PublishAnswer, Store};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fleet::{World, publication};
use crate::support::{Schema, client, url};

/// As many as a pool has.
const MOST_CONNECTIONS: usize = 8;

async fn terminate(name: &str) {
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    client(&url()).await.query(terminate, &[&name]).await.expect("terminated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_stays_and_work_goes_on() {
    let schema = Schema::migrated().await;
    let url = format!("{}?application_name={}", url(), schema.0);
    let store = Arc::new(schema.options().connect(&url).await.expect("a store"));
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>, "acme", 3).await;
    let progress = Arc::new(watch::Sender::new(0));
    let mut publishing = tokio::task::JoinSet::new();
    for publisher in 0..4 {
        let (world, progress) = (world.clone(), Arc::clone(&progress));
        publishing.spawn(async move { publish_through(&world, publisher, &progress).await });
    }
    let mut progressing = progress.subscribe();
    for round in 1..=5 {
        let _ = progressing.wait_for(|published| *published >= round * 25).await.expect("it goes on");
        terminate(&schema.0).await;
    }
    let mut confirmed = 0;
    while let Some(done) = publishing.join_next().await {
        confirmed += done.expect("no panic");
    }
    // Calls that meet a connection which was cut fail once each.
    let query = DeliveryQuery::new().page(PageRequest::first().with_limit(1));
    let mut mended = 0;
    while mended < MOST_CONNECTIONS {
        match store.deliveries(&world.tenant, &query).await {
            Ok(_) => mended += 1,
            Err(error) => assert!(error.kind().can_retry_help(), "{error:?}"),
        }
    }
    assert_eq!(world.deliver_all().await, confirmed * 3, "all that was confirmed, once");
}

/// Publishes what can be, trying again as a host would, and tells how much was confirmed.
async fn publish_through(world: &World, publisher: usize, progress: &watch::Sender<usize>) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    for n in 0..50 {
        let item = publication(world, &format!("p{publisher}-{n}"), &world.hooks);
        loop {
            assert!(Instant::now() < deadline, "the store does not recover");
            match world.store.publish(std::slice::from_ref(&item), None).await {
                Ok(published) => match &published.answers[..] {
                    [PublishAnswer::Stored(_) | PublishAnswer::Duplicate(_)] => break,
                    [PublishAnswer::Failed(error)] if error.kind().can_retry_help() => {}
                    other => panic!("{other:?}"),
                },
                Err(error) => assert!(error.kind().can_retry_help(), "{error:?}"),
            }
        }
        progress.send_modify(|published| *published += 1);
    }
    50
}
