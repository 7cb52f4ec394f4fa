//! New databases on the server that `DATABASE_URL` names.

use std::sync::atomic::{AtomicUsize, Ordering};

use delivery::Error;
use tokio_postgres::{Client, NoTls};
use url::Url;

/// Creates a database, whatever an earlier run has left, and returns its URL.
pub(crate) async fn create() -> Result<String, Error> {
    static CREATED: AtomicUsize = AtomicUsize::new(0);
    let server =
        std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL names no server; use scripts/bench")?;
    let name = format!("hookwire_peers_{}", CREATED.fetch_add(1, Ordering::Relaxed));
    let client = connect(&server).await?;
    client.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), &[]).await?;
    client.execute(&format!("CREATE DATABASE {name}"), &[]).await?;
    let mut url = Url::parse(&server)?;
    url.set_path(&name);
    Ok(url.into())
}

/// A connection to the database of this URL.
pub(crate) async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
