//! *idle*: one event at a time, from publish to receipt, beside the floor and a bare commit.

use tokio::time::sleep;

use crate::arrivals::{millis, percentile};
use crate::load::PAUSE;
use crate::scenarios::{Bench, FLOOR_WARM_UP};
use crate::service::{Group, Service, publish};
use crate::stores::Commits;
use crate::{Error, clock};

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    let service = bench.service("idle").await?;
    let group = Group::new(&service.hooks, &bench.receiver, "idle", 1).await?;
    service.warm_up(&bench.receiver, &group).await?;
    bench.floor.burst(&bench.floor_urls(1), FLOOR_WARM_UP).await?;
    bench.receiver.take("floor").await?;
    let commits = bench.stores.commits().await?;
    for _ in 0..bench.options.rounds {
        let floor = bench.floor.idle_p50(&bench.receiver, bench.options.round / 2).await?;
        let commit = commit_p50(bench, &commits).await?;
        let store = store_p50(bench, &service, &group).await?;
        bench.figures.add("floor, p50", "ms", floor);
        bench.figures.add("a synced commit, p50", "ms", commit);
        bench.figures.add("publish to receipt, p50", "ms", store);
        bench.figures.add("beyond the floor and a commit", "ms", store - floor - commit);
    }
    service.shutdown().await;
    Ok(())
}

async fn commit_p50(bench: &Bench, commits: &Commits) -> Result<f64, Error> {
    let end = clock::now() + bench.options.round / 2;
    let mut times = Vec::new();
    while clock::now() < end {
        times.push(commits.commit().await?);
        sleep(PAUSE).await;
    }
    times.sort_unstable();
    Ok(millis(percentile(&times, 50)))
}

async fn store_p50(bench: &Bench, service: &Service, group: &Group) -> Result<f64, Error> {
    let end = clock::now() + bench.options.round;
    for number in 1.. {
        publish(&group.tenant, number).await?;
        bench.receiver.expect(&group.name, number).await?;
        service.recorded().await;
        sleep(PAUSE).await;
        if clock::now() >= end {
            break;
        }
    }
    Ok(bench.receiver.take(&group.name).await?.p50_ms)
}
