//! *tarpits*: forty tenants with ten webhooks each, all of which answer 200 after 2.7 s, want many times the requests that
//! may be under way. What a quiet tenant gets is compared with a service that has none of them.

use hookwire::Tenant;

use crate::Error;
use crate::load::paced;
use crate::scenarios::Bench;
use crate::scenarios::quiet::{Quiet, turn};
use crate::service::{Group, Service, publish, tenant};

const TENANTS: usize = 40;
const WEBHOOKS: usize = 10;
const MANNER: &str = "slow-2700";
/// The events a second of all the slow tenants together: 400 deliveries, of which 24 are possible.
const RATE: f64 = 40.0;

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    let without = bench.service("without").await?;
    let alone = Group::new(&without.hooks, &bench.receiver, "alone", 1).await?;
    let with = bench.service("with").await?;
    let quiet = Group::new(&with.hooks, &bench.receiver, "quiet", 1).await?;
    // Connections are open and lanes proven. The quiet tenant has been quiet all along: one that published much a moment
    // ago counts as one that does not use little.
    turn(bench, &alone, bench.round()).await?;
    turn(bench, &quiet, bench.round()).await?;
    let slow = slow(bench, &with).await?;
    // The slow ones have taken what they can get.
    beside(bench, &quiet, &slow).await?;
    for _ in 0..bench.options.rounds {
        let ((), got_alone) = turn(bench, &alone, bench.round()).await?;
        let got_beside = beside(bench, &quiet, &slow).await?;
        got_alone.note(bench, "alone");
        got_beside.note(bench, "beside the tarpits");
        bench.figures.add("p99 against alone", "", got_beside.p99_ms / got_alone.p99_ms);
    }
    Ok(())
}

async fn slow(bench: &Bench, service: &Service) -> Result<Vec<Tenant>, Error> {
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        let webhooks = (0..WEBHOOKS).map(|webhook| 1 + number * WEBHOOKS + webhook);
        let urls: Vec<_> = webhooks.map(|webhook| bench.receiver.url(MANNER, "slow", webhook)).collect();
        tenants.push(tenant(&service.hooks, &format!("slow-{number}"), &urls).await?);
    }
    Ok(tenants)
}

/// A turn of the quiet tenant while the slow ones publish.
async fn beside(bench: &Bench, quiet: &Group, slow: &[Tenant]) -> Result<Quiet, Error> {
    let (_, turned) = paced(RATE, turn(bench, quiet, bench.round()), |number| {
        let tenant = slow[number % slow.len()].clone();
        async move { publish(&tenant, number).await }
    })
    .await?;
    bench.receiver.take("slow").await?;
    Ok(turned?.1)
}
