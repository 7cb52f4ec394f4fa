//! The cost of one dead webhook's backlog for everybody else, in PostgreSQL. Only ratios count, within one run.
//!
//! ```sh
//! scripts/with-postgres cargo bench --package hookwire-postgres --bench postgres_backlog # HOOKWIRE_ROWS=100000
//! ```

mod support;

use std::process::ExitCode;
use std::sync::Arc;

use hookwire::store::Store;
use tokio_postgres::Client;

use support::backlog::{self, Database};
use support::{Error, Server, schema, setting};

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let rows = setting("HOOKWIRE_ROWS", 1_000_000);
    let is_met = backlog::run("PostgresStore", rows, &Server::wanted()?).await?;
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Database for Server {
    type Snapshot = Client;

    async fn open(&self, name: &str) -> Result<Arc<dyn Store>, Error> {
        Self::open(self, name).await
    }

    async fn snapshot(&self, name: &str) -> Result<Client, Error> {
        let client = self.client().await?;
        let look =
            format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {}.tenant", schema(name));
        client.batch_execute(&look).await?;
        Ok(client)
    }
}
