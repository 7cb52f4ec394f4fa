//! `publish_in` on connections to the database that `DATABASE_URL` names: without a transaction, within one, and within one
//! that has failed.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use hookwire::model::EventType;
use hookwire::testing::{RecordingTransport, published};
use hookwire::{Catalog, Event, EventId, Tenant, TenantId, Webhooks};
use hookwire_postgres::{PostgresStore, PublishError};
use hookwire_sqlx::publish_in;
use sqlx::{Connection, Executor, PgConnection};

const PAID: EventId = EventId::new(1);

/// A tenant that no other test has, and a connection of the host's.
struct Host {
    store: Arc<PostgresStore>,
    tenant: Tenant,
    connection: PgConnection,
}

impl Host {
    async fn new(name: &str) -> Self {
        let url = std::env::var("DATABASE_URL").expect("scripts/with-postgres scripts/transactions sets it");
        PostgresStore::migrate(&url).await.expect("migrated");
        let store = Arc::new(PostgresStore::connect(&url).await.expect("connected"));
        let paid = EventType::new(PAID, "invoice.paid", "Invoice paid", "a sample");
        let catalog = Catalog::builder().event(paid).build().expect("sound");
        let builder = Webhooks::builder(catalog).store(Arc::clone(&store));
        let hooks = builder.transport(RecordingTransport::new()).build().expect("sound");
        let run = UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
        let tenant = hooks.tenant(TenantId::new(format!("{name}-{run}")).expect("valid"));
        let connection = PgConnection::connect(&url).await.expect("connected");
        Self { store, tenant, connection }
    }

    async fn publish(&mut self, event: Event) -> Result<(), PublishError> {
        publish_in(&self.store, &mut self.connection, &self.tenant, &event).await.map(drop)
    }

    /// What others see of what was published.
    async fn published(&self) -> usize {
        published(&self.tenant).await.expect("read").len()
    }

    async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        self.connection.execute(sql).await.map(drop)
    }
}

fn event() -> Event {
    Event::new(PAID, "invoice 4711").expect("JSON")
}

/// An event that `Tenant::check` refuses, and one that the database does.
fn refused() -> [Event; 2] {
    [event().actor("maria\0"), Event::new(PAID, &"x".repeat(2_000_000)).expect("JSON")]
}

#[tokio::test]
async fn without_a_transaction_an_event_is_committed_at_once() {
    let mut host = Host::new("alone").await;
    for nth in 1..=2 {
        host.publish(event()).await.expect("published");
        assert_eq!(host.published().await, nth);
    }
    // The connection is in no transaction afterwards.
    host.run("BEGIN; ROLLBACK").await.expect("usable");
    assert_eq!(host.published().await, 2);
}

#[tokio::test]
async fn a_refused_event_leaves_a_connection_without_a_transaction_usable() {
    let mut host = Host::new("refused").await;
    for event in refused() {
        let refused = host.publish(event).await;
        assert!(matches!(refused, Err(PublishError::Refused { .. })), "{refused:?}");
    }
    assert_eq!(host.published().await, 0);
    host.publish(event()).await.expect("published");
    assert_eq!(host.published().await, 1);
}

#[tokio::test]
async fn a_refused_event_leaves_a_transaction_as_it_was() {
    let mut host = Host::new("kept").await;
    host.run("BEGIN").await.expect("begun");
    host.publish(event()).await.expect("published");
    for event in refused() {
        let refused = host.publish(event).await;
        assert!(matches!(refused, Err(PublishError::Refused { .. })), "{refused:?}");
    }
    assert_eq!(host.published().await, 0, "nobody sees it before the commit");
    host.run("COMMIT").await.expect("committed");
    assert_eq!(host.published().await, 1);
}

#[tokio::test]
async fn an_event_of_a_failed_transaction_is_an_error() {
    let mut host = Host::new("failed").await;
    host.run("BEGIN").await.expect("begun");
    host.run("SELECT 1 / 0").await.expect_err("it fails the transaction");
    let failed = host.publish(event()).await;
    assert!(matches!(failed, Err(PublishError::Failed(_))), "{failed:?}");
    // PostgreSQL answers so without an error, although it rolls back.
    host.run("COMMIT").await.expect("rolled back");
    assert_eq!(host.published().await, 0);
    host.publish(event()).await.expect("published");
    assert_eq!(host.published().await, 1);
}
