//! *recovery*: a receiver is down while many deliveries wait for it, and comes back. Measured from then on until it has all.

use hookwire::{Tenant, Webhooks};

use crate::Error;
use crate::clock::Stopwatch;
use crate::load;
use crate::note::Note;
use crate::scenarios::{Bench, FLOOR_WARM_UP};
use crate::service::{self, Group, Service};

/// The events that are published in one call.
const BATCH: usize = 250;

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    let urls = bench.floor_urls(1);
    let floor_rate = bench.floor.burst(&urls, FLOOR_WARM_UP).await?.rate;
    for round in 0..bench.options.rounds {
        let floor = bench.floor.burst(&urls, bench.events(floor_rate)).await?.rate;
        bench.receiver.take("floor").await?;
        let hooks = service::hooks(bench.stores.open(&format!("recovery_{round}")).await?)?;
        come_back(bench, hooks, floor).await?;
    }
    Ok(())
}

async fn come_back(bench: &mut Bench, hooks: Webhooks, floor: f64) -> Result<(), Error> {
    let group = Group::new(&hooks, &bench.receiver, "recovery", 1).await?;
    let pending = bench.options.pending;
    publish_all(&group.tenant, pending).await?;
    bench.receiver.set_down(true).await?;
    let service = Service::start(hooks)?;
    bench.round().await;
    bench.receiver.set_down(false).await?;
    let stopwatch = Stopwatch::start();
    bench.receiver.expect(&group.name, pending).await?;
    let rate = stopwatch.stop(pending).rate;
    service.recorded().await;
    let taken = bench.receiver.take(&group.name).await?;
    service.shutdown().await;
    bench.figures.add("pending", "", pending as f64);
    bench.figures.add("all delivered after", "s", pending as f64 / rate);
    bench.figures.add("store", "1/s", rate);
    bench.figures.add("share of the floor's rate", "", rate / floor);
    bench.figures.add("sent twice", "", taken.again as f64);
    Ok(())
}

/// Publishes while nobody delivers.
async fn publish_all(tenant: &Tenant, events: usize) -> Result<(), Error> {
    let tenant = tenant.clone();
    load::all(events.div_ceil(BATCH), move |batch| {
        let tenant = tenant.clone();
        async move {
            let numbers = batch * BATCH..events.min((batch + 1) * BATCH);
            let notes: Vec<_> = numbers.map(Note::event).collect::<Result<_, _>>()?;
            for sent in tenant.publish_all(notes).await {
                sent?;
            }
            Ok(())
        }
    })
    .await
}
