//! One process of a fleet over PostgreSQL: delivers what others publish, until it is told to stop.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::service::{self, Service};
use crate::{Error, stores};

/// Delivers from the store of that name. Says `ready`, and `stopped` after a line, once all that it has begun is recorded.
pub(crate) async fn run(name: &str) -> Result<(), Error> {
    let store = stores::postgres(name).await?;
    let service = Service::start(service::hooks(Arc::new(store))?)?;
    println!("ready");
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let order = orders.next_line().await?;
    service.shutdown().await;
    if order.is_some() {
        println!("stopped");
    }
    Ok(())
}
