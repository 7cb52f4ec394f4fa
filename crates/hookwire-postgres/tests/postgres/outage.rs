//! A server that goes away in the middle of everything and comes back: clear errors while it is away, and
//! recovery by itself. The server is the test's own.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hookwire::model::MessageId;
use hookwire::service::Tenant;
use hookwire::store::StoreError;
use hookwire::{ErrorKind, Event, assist};
use hookwire_postgres::PostgresStore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::host::{Host, SOON};
use crate::server::Server;

const PUBLISHERS: usize = 4;
const OUTAGES: usize = 3;

/// The results of the publishers.
#[derive(Debug, Default)]
struct Told {
    confirmed: AtomicUsize,
    refused: AtomicUsize,
    is_over: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_and_returns_loses_nothing_that_was_confirmed() {
    let mut server = Server::start();
    PostgresStore::migrate(&server.url).await.expect("a schema");
    let store = PostgresStore::connect(&server.url).await.expect("a store");
    let host = Host::start(store).await;
    let (told, mut publishers) = (Arc::new(Told::default()), JoinSet::new());
    for publisher in 0..PUBLISHERS {
        publishers.spawn(publish(host.acme.clone(), publisher, Arc::clone(&told)));
    }
    for outage in 1..=OUTAGES {
        grows_to(&told.confirmed, outage * 100).await;
        server.order("crash");
        let refused = told.refused.load(Ordering::Relaxed);
        grows_to(&told.refused, refused + 2 * PUBLISHERS).await;
        must_pass(&host.acme.list().await.expect_err("nobody is there"));
        server.order("start");
    }
    grows_to(&told.confirmed, OUTAGES * 100 + 200).await;
    told.is_over.store(true, Ordering::Relaxed);
    let confirmed: Vec<MessageId> = publishers.join_all().await.into_iter().flatten().collect();
    host.until_delivered().await;
    for id in confirmed {
        let sent = host.receiver.requests().iter().any(|it| it.headers()["webhook-id"] == *id.as_str());
        assert!(sent, "{id} was confirmed, and never sent");
    }
}

async fn grows_to(number: &AtomicUsize, enough: usize) {
    let grows = async {
        while number.load(Ordering::Relaxed) < enough {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, grows).await.expect("it goes on");
}

/// The error must tell that the store is away, and that another try may help.
fn must_pass(error: &hookwire::Error) {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<StoreError>());
    let passes = cause.is_some_and(|cause| cause.kind().can_retry_help());
    assert!(*error.kind() == ErrorKind::Store && passes, "{error:?}");
}

/// Publishes until it is over, each event until it is confirmed, as a host would.
async fn publish(acme: Tenant, publisher: usize, told: Arc<Told>) -> Vec<MessageId> {
    let mut confirmed = Vec::new();
    while !told.is_over.load(Ordering::Relaxed) {
        let id = MessageId::new(format!("p{publisher}-{}", confirmed.len())).expect("short");
        let event = Event::new(assist::DEVICE_ONLINE, &confirmed.len()).expect("JSON").message_id(id.clone());
        while let Err(error) = timeout(SOON, acme.publish(event.clone())).await.expect("an answer") {
            must_pass(&error);
            told.refused.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(5)).await;
        }
        told.confirmed.fetch_add(1, Ordering::Relaxed);
        confirmed.push(id);
    }
    confirmed
}
