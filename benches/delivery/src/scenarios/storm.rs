//! *storm*: one tenant publishes as many events as quickly as it can. What a quiet tenant gets, from the first of them to
//! the delivery of the last, is compared with rounds without.

use crate::Error;
use crate::scenarios::Bench;
use crate::scenarios::quiet::turn;
use crate::service::Group;

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    let service = bench.service("storm").await?;
    let quiet = Group::new(&service.hooks, &bench.receiver, "quiet", 1).await?;
    // As quiet as it will be: one that published much a moment ago counts as one that does not use little.
    turn(bench, &quiet, bench.round()).await?;
    let flood = Group::new(&service.hooks, &bench.receiver, "flood", 1).await?;
    let rate = service.warm_up(&bench.receiver, &flood).await?;
    for _ in 0..bench.options.rounds {
        let ((), got_alone) = turn(bench, &quiet, bench.round()).await?;
        let storm = service.burst(&bench.receiver, &flood, bench.events(rate));
        let (storm, got_beside) = turn(bench, &quiet, storm).await?;
        bench.figures.add("the flood", "1/s", storm?.rate);
        got_alone.note(bench, "alone");
        got_beside.note(bench, "beside the flood");
        bench.figures.add("p99 against alone", "", got_beside.p99_ms / got_alone.p99_ms);
    }
    service.shutdown().await;
    Ok(())
}
