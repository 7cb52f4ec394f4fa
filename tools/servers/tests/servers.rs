//! Ten thousand deliveries to each server, through restarts, limits and idle connections: nothing is lost, and no
//! attempt fails but for what the server's operator caused. `scripts/test-servers` runs these tests one by one.

#![allow(clippy::print_stdout)]

use hookwire::store::{Durability, MemoryStore, SqliteStore, Store};
use servers::{Allowed, Directory, Disturbance, Error, Load, Server, Service, Software, Tally};
use tokio::time::Instant;

/// Ten thousand deliveries to four webhooks, as many at a time as may be under way.
const FULL: Load = Load { events: 2_500, at_once: 250, disturbances: 5 };
/// The same, one event at a time: few requests are on their way when connections are closed, most are idle. All that are
/// under way, five at most, may break off at a reload, of whatever client: of two reloads fewer than one in a thousand do.
const STEADY: Load = Load { at_once: 1, disturbances: 2, ..FULL };

type Test = Result<(), Error>;

async fn deliver(
    store: impl Store,
    software: Software,
    load: Load,
    how: Disturbance,
) -> Result<Tally, Error> {
    let server = Server::start(software).await?;
    let mut service = Service::start(store, server).await?;
    let began = Instant::now();
    service.deliver(load, how).await?;
    let took = began.elapsed().as_secs();
    let (tally, server) = service.finish().await?;
    println!("{software:?}, {how:?}: {} attempts for {} deliveries, {took} s", tally.attempts, tally.wanted);
    for (words, count) in tally.failure_counts() {
        println!("    {count} failed: {words}");
    }
    assert_eq!(Vec::from_iter(&tally.protocols), [software.protocol()]);
    assert!(tally.processes >= server.starts(), "{} starts, {} processes", server.starts(), tally.processes);
    Ok(tally)
}

async fn holds(software: Software, load: Load, how: Disturbance, allowed: Allowed) -> Test {
    must_hold(&deliver(MemoryStore::new(), software, load, how).await?, allowed)
}

fn must_hold(tally: &Tally, allowed: Allowed) -> Test {
    let faults = tally.faults(allowed);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ").into()) }
}

const fn nginx(http2: bool) -> Software {
    Software::Nginx { http2, limits: false }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_that_reloads_gets_everything_over_http_1() -> Test {
    let directory = Directory::new()?;
    let options = SqliteStore::options().durability(Durability::ProcessCrash);
    let store = options.open(directory.file("hooks.db")).await?;
    must_hold(&deliver(store, nginx(false), STEADY, Disturbance::Reload).await?, Allowed::Broken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_that_reloads_gets_everything_over_http_2() -> Test {
    holds(nginx(true), FULL, Disturbance::Reload, Allowed::Broken).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_that_stops_and_starts_gets_everything() -> Test {
    holds(nginx(true), FULL, Disturbance::Restart, Allowed::Down).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_that_limits_gets_everything() -> Test {
    let software = Software::Nginx { http2: false, limits: true };
    holds(software, FULL, Disturbance::None, Allowed::Limited).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apache_that_reloads_gets_everything_over_http_1() -> Test {
    holds(Software::Apache { http2: false }, STEADY, Disturbance::Reload, Allowed::Broken).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apache_that_reloads_gets_everything_over_http_2() -> Test {
    holds(Software::Apache { http2: true }, FULL, Disturbance::Reload, Allowed::Broken).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_closes_idle_connections_gets_everything() -> Test {
    holds(Software::Node, FULL, Disturbance::Idle, Allowed::Broken).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_stops_and_starts_gets_everything() -> Test {
    holds(Software::Node, FULL, Disturbance::Restart, Allowed::Down).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_that_stops_and_starts_gets_everything() -> Test {
    holds(Software::Python { dropped: 0 }, FULL, Disturbance::Restart, Allowed::Down).await
}

/// The planted fault: the tests above would see it if anything were lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_drops_what_it_accepted_is_told() -> Test {
    let software = Software::Python { dropped: 100 };
    let few = Load { events: 100, at_once: 100, disturbances: 1 };
    let tally = deliver(MemoryStore::new(), software, few, Disturbance::None).await?;
    let fault = "4 deliveries are lost: delivered, and not in the log of the server";
    assert_eq!(tally.faults(Allowed::Down), [fault]);
    Ok(())
}
