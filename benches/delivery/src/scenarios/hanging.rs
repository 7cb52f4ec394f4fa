//! *hanging*: each event goes to ten webhooks. Of two services in turns, one has a receiver among the ten that never
//! answers. What the nine others get is compared.

use hookwire::Tenant;

use crate::Error;
use crate::load::paced;
use crate::scenarios::Bench;
use crate::scenarios::quiet::PATIENCE;
use crate::service::{Group, Service, publish, tenant};

/// The webhooks whose receivers answer in both services.
const HEALTHY: usize = 9;

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    let (without, rate) = capacity(bench).await?;
    let sound = ten(bench, &without, "ok").await?;
    let with = bench.service("with").await?;
    let troubled = ten(bench, &with, "hang").await?;
    // Lanes are proven, and connections open.
    for tenant in [&sound, &troubled] {
        turn(bench, tenant, rate).await?;
    }
    for _ in 0..bench.options.rounds {
        let (made_without, p99_without) = turn(bench, &sound, rate).await?;
        let (made_with, p99_with) = turn(bench, &troubled, rate).await?;
        bench.figures.add("events a second, to ten each", "1/s", rate);
        bench.figures.add("none hangs: the nine others made", "%", made_without);
        bench.figures.add("one hangs: the nine others made", "%", made_with);
        bench.figures.add("none hangs: p99", "ms", p99_without);
        bench.figures.add("one hangs: p99", "ms", p99_with);
        bench.figures.add("p99 against none", "", p99_with / p99_without);
    }
    Ok(())
}

/// The service without the receiver that hangs, and a fourth of the events a second that it could deliver to ten.
async fn capacity(bench: &Bench) -> Result<(Service, f64), Error> {
    let service = bench.service("without").await?;
    let group = Group::new(&service.hooks, &bench.receiver, "capacity", 10).await?;
    let rate = service.warm_up(&bench.receiver, &group).await?;
    Ok((service, rate / 10.0 / 4.0))
}

/// A tenant with ten webhooks, the last of which answers in this manner.
async fn ten(bench: &Bench, service: &Service, manner: &str) -> Result<Tenant, Error> {
    let mut urls: Vec<_> = (0..HEALTHY).map(|number| bench.receiver.url("ok", "nine", number)).collect();
    urls.push(bench.receiver.url(manner, "tenth", HEALTHY));
    tenant(&service.hooks, "ten", &urls).await
}

/// Publishes for a round. Returns how much the nine got, in percent, and the time that 99 in 100 of it took at most.
async fn turn(bench: &Bench, tenant: &Tenant, rate: f64) -> Result<(f64, f64), Error> {
    let (events, ()) = paced(rate, bench.round(), |number| {
        let tenant = tenant.clone();
        async move { publish(&tenant, number).await }
    })
    .await?;
    bench.receiver.wait("nine", events * HEALTHY, PATIENCE).await?;
    let nine = bench.receiver.take("nine").await?;
    let made = nine.count - nine.again;
    Ok((100.0 * made as f64 / (events * HEALTHY) as f64, nine.p99_ms))
}
