//! A server whose processes stand still: its connections stay open, and nobody answers.

use std::error::Error;
use std::time::Duration;

use hookwire::store::StoreError;
use hookwire::{ErrorKind, Event, TenantId, Webhooks, assist};
use hookwire_postgres::PostgresStore;
use tokio::time::timeout;

use crate::server::Server;

/// The store's limit for a statement is 10 s.
const BOUNDED: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_to_a_server_that_stands_still_ends_in_an_error_that_says_so() {
    let mut server = Server::start();
    PostgresStore::migrate(&server.url).await.expect("a schema");
    let store = PostgresStore::options().connections(1).connect(&server.url).await.expect("a store");
    let hooks = Webhooks::builder(assist::catalog()).store(store).build().expect("a service");
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    let event = || Event::new(assist::DEVICE_ONLINE, &1).expect("JSON");
    acme.publish(event()).await.expect("published");
    server.order("freeze");
    let error =
        timeout(BOUNDED, acme.publish(event())).await.expect("an answer").expect_err("nobody is there");
    let cause = error.source().and_then(|cause| cause.downcast_ref::<StoreError>()).expect("of the store");
    assert_eq!(*error.kind(), ErrorKind::Store);
    assert!(cause.kind().can_retry_help(), "{error:?}");
    let told = cause.source().expect("a cause").to_string();
    assert!(told.contains("has not answered"), "{told}");
    server.order("thaw");
    acme.publish(event()).await.expect("the broken connection has left the pool");
}
