//! What a backlog of one dead webhook costs everybody else. Only ratios count, within one run.
//!
//! ```sh
//! cargo bench --bench backlog # HOOKWIRE_ROWS=100000 for a quick look
//! ```

mod support;

use std::process::ExitCode;
use std::sync::Arc;

use hookwire::store::{Durability, SqliteStore, Store};
use rusqlite::Connection;

use support::backlog::{self, Database};
use support::{Directory, Error, setting};

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let rows = setting("HOOKWIRE_ROWS", 1_000_000);
    let files = Files(Directory::new("backlog")?);
    let is_met = backlog::run("SqliteStore", rows, &files).await?;
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file for each store.
struct Files(Directory);

impl Database for Files {
    type Snapshot = Connection;

    /// Without the disk's own time, which would hide the difference.
    async fn open(&self, name: &str) -> Result<Arc<dyn Store>, Error> {
        let options = SqliteStore::options().durability(Durability::ProcessCrash);
        Ok(Arc::new(options.open(self.0.path().join(name)).await?))
    }

    async fn snapshot(&self, name: &str) -> Result<Connection, Error> {
        let connection = Connection::open(self.0.path().join(name))?;
        connection.execute_batch("BEGIN; SELECT count(*) FROM tenant")?;
        Ok(connection)
    }
}
