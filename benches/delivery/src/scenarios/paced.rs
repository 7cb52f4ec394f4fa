//! *paced*: events at a fourth of the rate that the store could deliver, against the floor at the same rate.

use crate::Error;
use crate::arrivals::Taken;
use crate::clock::{Cost, Stopwatch};
use crate::load::paced;
use crate::scenarios::{Bench, FLOOR_WARM_UP};
use crate::service::{Group, Service, publish};

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    let service = bench.service("paced").await?;
    let group = Group::new(&service.hooks, &bench.receiver, "paced", 1).await?;
    let rate = service.warm_up(&bench.receiver, &group).await? / 4.0;
    bench.floor.burst(&bench.floor_urls(1), FLOOR_WARM_UP).await?;
    bench.receiver.take("floor").await?;
    for _ in 0..bench.options.rounds {
        let floor = of_floor(bench, rate).await?;
        let store = of_store(bench, rate, &service, &group).await?;
        bench.figures.add("events a second", "1/s", rate);
        note(bench, floor, store);
    }
    service.shutdown().await;
    Ok(())
}

async fn of_floor(bench: &Bench, rate: f64) -> Result<(Cost, Taken), Error> {
    let url = bench.receiver.url("ok", "floor", 0);
    let stopwatch = Stopwatch::start();
    let (count, ()) = paced(rate, bench.round(), |number| {
        let (floor, url) = (bench.floor.clone(), url.clone());
        async move { floor.send(&url, number).await }
    })
    .await?;
    let cost = stopwatch.stop(count);
    Ok((cost, bench.receiver.take("floor").await?))
}

async fn of_store(bench: &Bench, rate: f64, service: &Service, to: &Group) -> Result<(Cost, Taken), Error> {
    let stopwatch = Stopwatch::start();
    let (count, ()) = paced(rate, bench.round(), |number| {
        let tenant = to.tenant.clone();
        async move { publish(&tenant, number).await }
    })
    .await?;
    bench.receiver.expect(&to.name, count).await?;
    service.recorded().await;
    let cost = stopwatch.stop(count);
    Ok((cost, bench.receiver.take(&to.name).await?))
}

fn note(bench: &mut Bench, floor: (Cost, Taken), store: (Cost, Taken)) {
    let mut add = |name: &str, unit, value| bench.figures.add(name, unit, value);
    add("floor, p50", "ms", floor.1.p50_ms);
    add("store, p50", "ms", store.1.p50_ms);
    add("floor, p99", "ms", floor.1.p99_ms);
    add("store, p99", "ms", store.1.p99_ms);
    add("store, CPU a delivery", "µs", store.0.cpu_us);
    add("CPU against the floor's", "", store.0.cpu_us / floor.0.cpu_us);
}
