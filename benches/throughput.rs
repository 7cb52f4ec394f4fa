//! Deliveries a second of the whole library, from publish to recorded, against a bare HTTP client that posts
//! the same bodies to the same receiver at the same concurrency. Only ratios count, within one run.
//!
//! ```sh
//! cargo bench --bench throughput # HOOKWIRE_EVENTS=1000 for a quick look, HOOKWIRE_ONLY=Memory to profile
//! ```

mod support;

use std::sync::Arc;

use hookwire::store::{Durability, MemoryStore, SqliteStore, Store};

use support::{Directory, Error, throughput};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let directory = Directory::new("throughput")?;
    let open = async |name, durability| -> Result<Arc<dyn Store>, Error> {
        let options = SqliteStore::options().durability(durability);
        Ok(Arc::new(options.open(directory.path().join(name)).await?) as _)
    };
    let stores: Vec<(&'static str, Arc<dyn Store>)> = vec![
        ("MemoryStore", Arc::new(MemoryStore::new())),
        ("SqliteStore, ProcessCrash", open("crash.db", Durability::ProcessCrash).await?),
        ("SqliteStore, PowerLoss", open("power.db", Durability::PowerLoss).await?),
    ];
    throughput::run(stores).await
}
