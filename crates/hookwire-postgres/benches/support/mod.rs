//! A server to measure on, beside what all benchmarks share.

#[path = "../../../../benches/support/mod.rs"]
mod shared;

pub(crate) mod aged;

use std::sync::Arc;

use hookwire::store::Store;
use hookwire_postgres::PostgresStore;
use tokio_postgres::{Client, NoTls};

pub(crate) use shared::*;

/// The server that `DATABASE_URL` names, where each store has a schema of its own.
#[derive(Debug)]
pub(crate) struct Server(String);

impl Server {
    pub(crate) fn wanted() -> Result<Self, Error> {
        let url = std::env::var("DATABASE_URL");
        Ok(Self(url.map_err(|_| "DATABASE_URL names no server; use scripts/bench")?))
    }

    pub(crate) async fn client(&self) -> Result<Client, Error> {
        let (client, connection) = tokio_postgres::connect(&self.0, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub(crate) async fn reopen(&self, name: &str) -> Result<Arc<dyn Store>, Error> {
        Ok(Arc::new(PostgresStore::options().schema(schema(name)).connect(&self.0).await?))
    }

    /// A new store, whatever an earlier run has left.
    pub(crate) async fn open(&self, name: &str) -> Result<Arc<dyn Store>, Error> {
        let schema = schema(name);
        let afresh = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
        self.client().await?.batch_execute(&afresh).await?;
        PostgresStore::options().schema(schema).migrate(&self.0).await?;
        self.reopen(name).await
    }
}

/// The schema of a store.
pub(crate) fn schema(name: &str) -> String {
    format!("hookwire_bench_{name}")
}
