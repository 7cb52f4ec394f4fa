//! *fleet*: one, two and four processes deliver what this one publishes, over PostgreSQL. Nothing may be sent twice.

use std::sync::Arc;

use hookwire::Tenant;

use crate::clock::Stopwatch;
use crate::load;
use crate::options::StoreKind;
use crate::process::Process;
use crate::scenarios::Bench;
use crate::service::{self, publish, tenant};
use crate::{Error, WORKER, stores};

const STORE: &str = "fleet";
const SIZES: [usize; 3] = [1, 2, 4];
const TENANTS: usize = 10;
/// The events by which processes open their connections, and are measured for the first time.
const WARM_UP: usize = 600;

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    if bench.options.store != StoreKind::Postgres {
        return Err("a fleet needs --store postgres".into());
    }
    let tenants = tenants(bench).await?;
    let rate = deliver(bench, &tenants, 1, WARM_UP).await?.0;
    let events = bench.events(rate);
    for _ in 0..bench.options.rounds {
        let mut of_one = f64::NAN;
        for size in SIZES {
            let (rate, again) = deliver(bench, &tenants, size, events).await?;
            of_one = if size == 1 { rate } else { of_one };
            bench.figures.add(format!("processes: {size}"), "1/s", rate);
            bench.figures.add(format!("processes: {size}, against 1"), "", rate / of_one);
            bench.figures.add(format!("processes: {size}, sent twice"), "", again as f64);
        }
    }
    Ok(())
}

/// Tenants with a webhook each, on a new store.
async fn tenants(bench: &Bench) -> Result<Arc<[Tenant]>, Error> {
    let hooks = service::hooks(Arc::new(stores::new_postgres(STORE).await?))?;
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        let url = bench.receiver.url("ok", "fleet", number);
        tenants.push(tenant(&hooks, &format!("tenant-{number}"), &[url]).await?);
    }
    Ok(tenants.into())
}

/// Publishes so many events for so many processes. Returns the deliveries a second, and how many came twice.
async fn deliver(
    bench: &Bench,
    to: &Arc<[Tenant]>,
    size: usize,
    events: usize,
) -> Result<(f64, usize), Error> {
    let mut processes = Vec::new();
    for _ in 0..size {
        processes.push(Process::start(&[WORKER, STORE]).await?.0);
    }
    publish_all(to, WARM_UP).await?;
    bench.receiver.expect("fleet", WARM_UP).await?;
    let stopwatch = Stopwatch::start();
    publish_all(to, events).await?;
    bench.receiver.expect("fleet", WARM_UP + events).await?;
    let rate = stopwatch.stop(events).rate;
    for process in processes {
        process.ask("stop").await?;
    }
    Ok((rate, bench.receiver.take("fleet").await?.again))
}

async fn publish_all(to: &Arc<[Tenant]>, events: usize) -> Result<(), Error> {
    let to = Arc::clone(to);
    load::all(events, move |number| {
        let tenant = to[number % to.len()].clone();
        async move { publish(&tenant, number).await }
    })
    .await
}
