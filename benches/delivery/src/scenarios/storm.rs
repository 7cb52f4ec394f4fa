//! *storm*: one tenant publishes as many events as quickly as it can. What a quiet tenant gets, from the first of them to
//! the delivery of the last, is compared with rounds without.

use crate::Error;
use crate::load::paced;
use crate::scenarios::{Bench, QUIET};
use crate::service::{Group, publish};

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    let service = bench.service("storm").await?;
    let quiet = Group::new(&service.hooks, &bench.receiver, "quiet", 1).await?;
    // As quiet as it will be: one that published much a moment ago counts as one that does not use little.
    turn(bench, &quiet, bench.round()).await?;
    let flood = Group::new(&service.hooks, &bench.receiver, "flood", 1).await?;
    let rate = service.warm_up(&bench.receiver, &flood).await?;
    for _ in 0..bench.options.rounds {
        let ((), p99_without) = turn(bench, &quiet, bench.round()).await?;
        let storm = service.burst(&bench.receiver, &flood, bench.events(rate));
        let (storm, p99_with) = turn(bench, &quiet, storm).await?;
        bench.figures.add("the flood", "1/s", storm?.rate);
        bench.figures.add("alone: p99", "ms", p99_without);
        bench.figures.add("beside the flood: p99", "ms", p99_with);
        bench.figures.add("p99 against alone", "", p99_with / p99_without);
    }
    service.shutdown().await;
    Ok(())
}

/// Has the quiet tenant publish until `end` completes, and returns the time that 99 in 100 took at most.
async fn turn<T>(bench: &Bench, quiet: &Group, end: impl Future<Output = T>) -> Result<(T, f64), Error> {
    let (events, ended) = paced(QUIET, end, |number| {
        let tenant = quiet.tenant.clone();
        async move { publish(&tenant, number).await }
    })
    .await?;
    bench.receiver.expect(&quiet.name, events).await?;
    Ok((ended, bench.receiver.take(&quiet.name).await?.p99_ms))
}
