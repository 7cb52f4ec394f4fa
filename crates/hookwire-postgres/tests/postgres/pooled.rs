//! PgBouncer between the store and the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookwire::model::DeliveryQuery;
use hookwire::service::Tenant;
use hookwire::{Event, assist};
use hookwire_postgres::{ConnectError, PostgresOptions, PostgresStore};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::host::Host;
use crate::server::Server;
use crate::support::client;

const PUBLISHERS: usize = 8;
const EACH: usize = 125;

/// All settings that transactions of the store change.
const SETTINGS: &str = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN (
    'default_transaction_isolation', 'enable_bitmapscan', 'enable_seqscan', 'idle_in_transaction_session_timeout', 'jit',
    'lock_timeout', 'plan_cache_mode', 'search_path', 'statement_timeout', 'synchronous_commit')";

async fn settings(client: &Client) -> String {
    let messages = client.simple_query(SETTINGS).await.expect("settings");
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.expect("one row").to_owned()
}

/// What another client of the pool sees until it is over, each setting once.
async fn watch(client: Client, is_over: Arc<AtomicBool>) -> Vec<String> {
    let mut seen = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        seen.push(settings(&client).await);
        seen.sort();
        seen.dedup();
        sleep(Duration::from_millis(1)).await;
    }
    seen
}

async fn publish(acme: Tenant) {
    for number in 0..EACH {
        let event = Event::new(assist::DEVICE_ONLINE, &number).expect("JSON");
        acme.publish(event).await.expect("published");
    }
}

/// Publishes through a pool that another client uses too, and delivers all.
async fn publish_and_deliver(server: &Server, options: PostgresOptions) {
    let other = client(&server.url).await;
    let before = settings(&other).await;
    PostgresStore::migrate(&server.url).await.expect("a schema");
    let store = options.connect(&server.url).await.expect("a store");
    let host = Host::start(store).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(other, Arc::clone(&is_over)));
    let publishers: JoinSet<()> = (0..PUBLISHERS).map(|_| publish(host.acme.clone())).collect();
    publishers.join_all().await;
    host.until_delivered().await;
    assert!(host.receiver.requests().len() >= PUBLISHERS * EACH);
    host.acme.deliveries(&DeliveryQuery::new()).await.expect("a list");
    is_over.store(true, Ordering::Relaxed);
    assert_eq!(watching.await.expect("no panic"), [before], "settings of ours are seen by others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_pooler_of_transactions_all_is_delivered_and_no_other_client_sees_our_settings() {
    let server = Server::start_pooled("transaction");
    publish_and_deliver(&server, PostgresStore::options().listen(true)).await;
    let told = PostgresStore::options().pooler();
    told.connect(&server.url).await.expect("a store that knows of the pooler");
    let refused = format!("{}?options=-c%20geqo%3Doff", server.url);
    let error = PostgresStore::connect(&refused).await.expect_err("the pooler passes no options");
    assert!(matches!(error, ConnectError::Pooler(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_pooler_of_sessions_all_is_delivered() {
    publish_and_deliver(&Server::start_pooled("session"), PostgresStore::options().connections(4)).await;
}

#[tokio::test]
async fn a_pooler_that_keeps_no_transaction_together_is_refused_by_name() {
    let server = Server::start_pooled("statement");
    let error = PostgresStore::connect(&server.url).await.expect_err("no transactions");
    assert!(matches!(error, ConnectError::Pooler(_)), "{error:?}");
}

#[tokio::test]
async fn a_pooler_whose_server_is_away_is_told_from_one_that_refuses() {
    let mut server = Server::start_pooled("transaction");
    server.order("crash");
    let error = PostgresStore::connect(&server.url).await.expect_err("nobody is there");
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
}
