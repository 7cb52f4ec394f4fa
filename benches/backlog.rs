//! What a backlog of one dead webhook costs everybody else. Only ratios count, within one run.
//!
//! ```sh
//! cargo bench --bench backlog # HOOKWIRE_ROWS=100000 for a quick look
//! ```

mod support;

use std::process::ExitCode;
use std::sync::Arc;

use hookwire::store::{Durability, SqliteStore, Store};

use support::{Directory, Error, backlog, setting};

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let rows = setting("HOOKWIRE_ROWS", 1_000_000);
    let directory = Directory::new("backlog")?;
    // Without the disk's own time, which would hide the difference.
    let open = async |name: &str| -> Result<Arc<dyn Store>, Error> {
        let options = SqliteStore::options().durability(Durability::ProcessCrash);
        let store = options.open(directory.path().join(name)).await?;
        Ok(Arc::new(store) as _)
    };
    let is_met = backlog::run("SqliteStore", rows, open).await?;
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
