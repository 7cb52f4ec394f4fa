//! Events that a trigger publishes, whoever writes: here it is `psql`, by `trigger.sql`.

use tokio::process::Command;
use transactions::{Error, Service};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = Service::start().await?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/trigger.sql");
    let psql = Command::new("psql").args([&service.url, "--quiet", "--file", script]).status().await?;
    assert!(psql.success());
    // Nobody wakes the dispatcher: it looks twice a second.
    service.ends_with(4712).await
}
