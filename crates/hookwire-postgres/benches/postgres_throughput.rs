//! Deliveries a second of the whole library on PostgreSQL, from publish to recorded, against a bare HTTP client
//! that posts the same bodies to the same receiver at the same concurrency. Only ratios count, within one run.
//!
//! ```sh
//! scripts/with-postgres cargo bench --package hookwire-postgres --bench postgres_throughput
//! ```

mod support;

use support::{Error, Server, throughput};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let store = Server::wanted()?.open("throughput").await?;
    throughput::run(vec![("PostgresStore", store)]).await
}
