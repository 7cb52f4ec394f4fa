//! What is asked of a database with a million rows. Of times, only ratios count, within one run.
//!
//! ```sh
//! scripts/with-postgres cargo bench --package hookwire-postgres --bench postgres_backlog # HOOKWIRE_ROWS=100000
//! ```
//!
//! `-- claims`, `recovering` or `retention` runs one part, as in the benchmark `backlog` of hookwire.

mod support;

use std::process::ExitCode;
use std::sync::Arc;

use hookwire::store::Store;
use tokio_postgres::Client;

use support::aged::Aged;
use support::backlog::{self, Database};
use support::{Error, Server, parts, recovering, retention, schema, setting};

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let rows = setting("HOOKWIRE_ROWS", 1_000_000);
    let server = Server::wanted()?;
    let mut is_met = true;
    for part in parts(&["claims", "recovering"]) {
        is_met &= match &*part {
            "claims" => backlog::run("PostgresStore", rows, &server).await?,
            "recovering" => recovering::run("PostgresStore", rows, &server).await?,
            "retention" => {
                let aged = Aged::new(&server, "aged").await?;
                retention::run("PostgresStore", setting("HOOKWIRE_RATE", 200), &aged).await?
            }
            other => return Err(format!("there is no part {other}").into()),
        };
    }
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Database for Server {
    type Snapshot = Client;

    async fn open(&self, name: &str) -> Result<Arc<dyn Store>, Error> {
        Self::open(self, name).await
    }

    async fn reopen(&self, name: &str) -> Result<Arc<dyn Store>, Error> {
        Self::reopen(self, name).await
    }

    async fn snapshot(&self, name: &str) -> Result<Client, Error> {
        let client = self.client().await?;
        let look =
            format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {}.tenant", schema(name));
        client.batch_execute(&look).await?;
        Ok(client)
    }
}
