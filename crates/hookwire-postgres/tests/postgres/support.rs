//! A database for tests: each has a schema of its own, and a clock that stands still until it is moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::model::StampedEvent;
use hookwire::store::Store;
use hookwire::testing::conformance::StoreFixture;
use hookwire_postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::{Client, NoTls};

/// The server under test.
pub(crate) fn url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL names no server; run `scripts/with-postgres cargo test --workspace`")
}

/// A connection of the host's own.
pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// A name that no other test uses, of this run or another.
pub(crate) fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("hookwire_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A schema of its own, which goes with this value.
pub(crate) struct Schema(pub(crate) String);

impl Schema {
    pub(crate) async fn migrated() -> Self {
        let schema = Self(fresh_name());
        schema.options().migrate(&url()).await.expect("a schema");
        schema
    }

    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresStore::options().schema(&self.0).connections(4)
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        self.options().connect(&url()).await.expect("a store")
    }

    /// A connection whose tables are those of this schema.
    pub(crate) async fn client(&self) -> Client {
        let client = client(&url()).await;
        client.batch_execute(&format!("SET search_path TO \"{}\"", self.0)).await.expect("a path");
        client
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let drop_schema = format!("SET lock_timeout TO '10s'; DROP SCHEMA IF EXISTS \"{}\" CASCADE", self.0);
        let clean = move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let _ = client(&url()).await.batch_execute(&drop_schema).await;
            });
        };
        let _ = std::thread::spawn(clean).join();
    }
}

/// A store on a clock that moves when told.
pub(crate) struct Fixture {
    store: Arc<PostgresStore>,
    client: Client,
    _schema: Schema,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let schema = Schema::migrated().await;
        let client = schema.client().await;
        stop_clock(&client).await;
        Self { store: Arc::new(schema.store().await), client, _schema: schema }
    }
}

/// Replaces the only clock of a schema by one that stands still.
pub(crate) async fn stop_clock(client: &Client) {
    let stop = "CREATE TABLE test_clock AS SELECT clock_ms() AS now;
        CREATE OR REPLACE FUNCTION clock_ms() RETURNS bigint LANGUAGE sql VOLATILE
            SET search_path FROM CURRENT AS 'SELECT now FROM test_clock'";
    client.batch_execute(stop).await.expect("a clock");
}

#[async_trait]
impl StoreFixture for Fixture {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as _
    }

    async fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).expect("a short time");
        self.client.execute("UPDATE test_clock SET now = now + $1", &[&by]).await.expect("a clock");
    }

    async fn step(&self, seconds: i64) {
        self.client
            .execute("UPDATE test_clock SET now = now + $1", &[&(seconds * 1000)])
            .await
            .expect("a clock");
    }

    fn has_own_time(&self) -> bool {
        false
    }

    async fn write_unrouted(&self, tenant: &TenantId, event: StampedEvent) {
        let document = document(tenant, &event);
        self.client.execute("SELECT publish($1)", &[&document]).await.expect("published");
    }
}

/// The parameter of `publish`.
pub(crate) fn document(tenant: &TenantId, event: &StampedEvent) -> String {
    let mut document = serde_json::to_string(event).expect("JSON");
    let tenant = serde_json::to_string(tenant).expect("JSON");
    document.insert_str(1, &format!("\"tenant\":{tenant},"));
    document
}
