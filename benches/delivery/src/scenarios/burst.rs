//! *burst*: events as quickly as 64 callers bring them, until all are delivered and recorded, for one webhook and for ten
//! webhooks an event.

use crate::Error;
use crate::scenarios::{Bench, FLOOR_WARM_UP};
use crate::service::Group;

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    to(bench, 1, "1 webhook").await?;
    to(bench, 10, "10 webhooks").await
}

async fn to(bench: &mut Bench, webhooks: usize, title: &str) -> Result<(), Error> {
    let service = bench.service(&format!("burst_{webhooks}")).await?;
    let group = Group::new(&service.hooks, &bench.receiver, &format!("burst-{webhooks}"), webhooks).await?;
    let rate = service.warm_up(&bench.receiver, &group).await?;
    let urls = bench.floor_urls(webhooks);
    let floor_rate = bench.floor.burst(&urls, FLOOR_WARM_UP).await?.rate;
    for _ in 0..bench.options.rounds {
        let floor = bench.floor.burst(&urls, bench.events(floor_rate)).await?;
        let events = bench.events(rate / webhooks as f64);
        let store = service.burst(&bench.receiver, &group, events).await?;
        bench.receiver.take("floor").await?;
        bench.compare(&format!("{title}: "), floor, store);
    }
    service.shutdown().await;
    Ok(())
}
