//! What is asked of a file with a million rows. Of times, only ratios count, within one run.
//!
//! ```sh
//! cargo bench --bench backlog # HOOKWIRE_ROWS=100000 for a quick look
//! cargo bench --bench backlog -- opening # claims, opening, recovering or retention alone
//! HOOKWIRE_RATE=10 cargo bench --bench backlog -- retention # a day; 200 events a second without the variable
//! ```
//!
//! - `claims`: what a backlog of one dead webhook costs everybody else;
//! - `opening`: how long a large file takes to open after a kill;
//! - `recovering`: what delivering again all that was missed takes;
//! - `retention`: whether the file stays as large as it is. It runs if it is named.

#![allow(clippy::print_stdout)]

#[path = "sqlite/opening.rs"]
mod opening;
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hookwire::clock::ManualClock;
use hookwire::store::{Durability, SqliteOptions, SqliteStore, Store};
use rusqlite::Connection;

use support::backlog::{self, Database};
use support::retention::{self, Motion};
use support::{Directory, Error, parts, recovering, setting};

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    if opening::is_victim().await? {
        return Ok(ExitCode::FAILURE);
    }
    let rows = setting("HOOKWIRE_ROWS", 1_000_000);
    let files = Files(Directory::new("backlog")?);
    let mut is_met = true;
    for part in parts(&["claims", "opening", "recovering"]) {
        is_met &= match &*part {
            "claims" => backlog::run("SqliteStore", rows, &files).await?,
            "opening" => opening::run(rows, &files.file("opening")).await?,
            "recovering" => recovering::run("SqliteStore", rows, &files).await?,
            "retention" => {
                let aged = Aged { file: files.file("aged.db"), clock: ManualClock::default() };
                retention::run("SqliteStore", setting("HOOKWIRE_RATE", 200), &aged).await?
            }
            other => return Err(format!("there is no part {other}").into()),
        };
    }
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file for each store.
struct Files(Directory);

impl Files {
    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Without the disk's own time, which would hide the difference.
fn options() -> SqliteOptions {
    SqliteStore::options().durability(Durability::ProcessCrash)
}

impl Database for Files {
    type Snapshot = Connection;

    async fn open(&self, name: &str) -> Result<Arc<dyn Store>, Error> {
        Ok(Arc::new(options().open(self.file(name)).await?))
    }

    /// Its last owner may be about to close it.
    async fn reopen(&self, name: &str) -> Result<Arc<dyn Store>, Error> {
        let options = options().wait_for_owner(Duration::from_secs(60));
        Ok(Arc::new(options.open(self.file(name)).await?))
    }

    async fn snapshot(&self, name: &str) -> Result<Connection, Error> {
        let connection = Connection::open(self.file(name))?;
        connection.execute_batch("BEGIN; SELECT count(*) FROM tenant")?;
        Ok(connection)
    }
}

/// A file whose time is set.
struct Aged {
    file: PathBuf,
    clock: ManualClock,
}

impl Motion for Aged {
    async fn store(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(Arc::new(options().clock(self.clock.clone()).open(&self.file).await?))
    }

    async fn advance(&self, by: Duration) -> Result<(), Error> {
        self.clock.advance(by);
        Ok(())
    }

    /// With what is in the log.
    async fn size(&self) -> Result<u64, Error> {
        let log = self.file.with_extension("db-wal");
        let log = std::fs::metadata(log).map_or(0, |log| log.len());
        Ok(std::fs::metadata(&self.file)?.len() + log)
    }

    async fn tell(&self, _: usize) -> Result<String, Error> {
        Ok(String::new())
    }
}
