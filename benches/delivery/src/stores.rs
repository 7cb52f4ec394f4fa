//! Where a run keeps its stores, and what a commit costs there without hookwire.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hookwire::store::{Durability, MemoryStore, SqliteStore, Store};
use hookwire_postgres::{PostgresOptions, PostgresStore};
use rusqlite::Connection;
use tokio_postgres::{Client, NoTls};
use url::Url;

use crate::options::StoreKind;
use crate::process::Proxy;
use crate::{Error, clock};

/// The stores of one kind, each by a name of its own.
#[derive(Debug)]
pub(crate) struct Stores {
    kind: StoreKind,
    directory: Directory,
}

impl Stores {
    pub(crate) fn new(kind: StoreKind) -> Result<Self, Error> {
        Ok(Self { kind, directory: Directory::new()? })
    }

    /// A new store, whatever an earlier run has left.
    pub(crate) async fn open(&self, name: &str) -> Result<Arc<dyn Store>, Error> {
        Ok(match self.kind {
            StoreKind::Memory => Arc::new(MemoryStore::new()),
            StoreKind::Postgres => Arc::new(new_postgres(name).await?),
            StoreKind::Sqlite => self.sqlite(name, Durability::PowerLoss).await?,
            StoreKind::SqliteProcessCrash => self.sqlite(name, Durability::ProcessCrash).await?,
        })
    }

    /// The same, whose server is behind a proxy with this delay. A store without a server is as near as ever.
    pub(crate) async fn open_far(
        &self,
        name: &str,
        delay: Duration,
    ) -> Result<(Arc<dyn Store>, Option<Proxy>), Error> {
        if self.kind != StoreKind::Postgres {
            return Ok((self.open(name).await?, None));
        }
        drop(new_postgres(name).await?);
        let mut url = Url::parse(&database_url()?)?;
        let server = format!("{}:{}", url.host_str().ok_or("a host")?, url.port().unwrap_or(5432));
        let proxy = Proxy::start(&server, delay).await?;
        url.set_host(Some("127.0.0.1"))?;
        url.set_port(Some(proxy.port)).map_err(|()| "a URL with a port")?;
        Ok((Arc::new(options(name).connect(url.as_str()).await?), Some(proxy)))
    }

    async fn sqlite(&self, name: &str, durability: Durability) -> Result<Arc<dyn Store>, Error> {
        let path = self.directory.0.join(name).with_extension("db");
        Ok(Arc::new(SqliteStore::options().durability(durability).open(path).await?))
    }

    /// Prepares commits of one row where the stores are; in memory there are none.
    pub(crate) async fn commits(&self) -> Result<Commits, Error> {
        Ok(match self.kind {
            StoreKind::Memory => Commits::None,
            StoreKind::Postgres => {
                let client = client().await?;
                client.batch_execute(COMMIT_TABLE).await?;
                Commits::Postgres(client)
            }
            StoreKind::Sqlite => self.sqlite_commits("FULL")?,
            StoreKind::SqliteProcessCrash => self.sqlite_commits("NORMAL")?,
        })
    }

    fn sqlite_commits(&self, synchronous: &str) -> Result<Commits, Error> {
        let connection = Connection::open(self.directory.0.join("commits.db"))?;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; CREATE TABLE t (v INTEGER)"
        ))?;
        Ok(Commits::Sqlite(connection))
    }

    /// The database and its version.
    pub(crate) async fn database(&self) -> Result<String, Error> {
        Ok(match self.kind {
            StoreKind::Memory => "none".to_owned(),
            StoreKind::Postgres => {
                let row = client().await?.query_one("SHOW server_version", &[]).await?;
                format!("PostgreSQL {}", row.try_get::<_, String>(0)?)
            }
            StoreKind::Sqlite | StoreKind::SqliteProcessCrash => format!("SQLite {}", rusqlite::version()),
        })
    }
}

const COMMIT_TABLE: &str =
    "DROP TABLE IF EXISTS hookwire_bench_commit; CREATE TABLE hookwire_bench_commit (v bigint)";

/// The least that a commit of one row takes.
#[derive(Debug)]
pub(crate) enum Commits {
    None,
    Postgres(Client),
    Sqlite(Connection),
}

impl Commits {
    pub(crate) async fn commit(&self) -> Result<Duration, Error> {
        let began = clock::now();
        match self {
            Self::None => return Ok(Duration::ZERO),
            Self::Postgres(client) => {
                client.execute("INSERT INTO hookwire_bench_commit VALUES (1)", &[]).await?;
            }
            Self::Sqlite(connection) => {
                connection.execute("INSERT INTO t VALUES (1)", [])?;
            }
        }
        Ok(clock::now() - began)
    }
}

/// A connection to the server.
pub(crate) async fn client() -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(&database_url()?, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn database_url() -> Result<String, Error> {
    Ok(std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL names no server; use scripts/bench")?)
}

pub(crate) async fn new_postgres(name: &str) -> Result<PostgresStore, Error> {
    let afresh = format!("DROP SCHEMA IF EXISTS {} CASCADE", schema(name));
    client().await?.batch_execute(&afresh).await?;
    options(name).migrate(&database_url()?).await?;
    postgres(name).await
}

/// The store of that name, which is there already.
pub(crate) async fn postgres(name: &str) -> Result<PostgresStore, Error> {
    Ok(options(name).connect(&database_url()?).await?)
}

fn options(name: &str) -> PostgresOptions {
    PostgresStore::options().schema(schema(name))
}

fn schema(name: &str) -> String {
    format!("hookwire_bench_{name}")
}

/// A directory that goes with the value.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("hookwire-delivery-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
