//! The scenarios of `benches/delivery` that a peer can do.

use std::sync::Arc;
use std::time::Duration;

use delivery::Error;
use delivery::arrivals::millis;
use delivery::clock::{self, Stopwatch};
use delivery::figures::Figures;
use delivery::floor::Floor;
use delivery::load::{self, PAUSE, paced};
use delivery::process::Receiver;
use tokio::time::sleep;

use crate::options::Options;
use crate::peer::Peer;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scenario {
    Burst,
    Hanging,
    Idle,
    Paced,
}

impl Scenario {
    pub(crate) const NAMES: [(&'static str, Self); 4] =
        [("burst", Self::Burst), ("hanging", Self::Hanging), ("idle", Self::Idle), ("paced", Self::Paced)];
}

/// The webhooks that answer, beside the one that hangs.
const HEALTHY: usize = 9;
/// The requests by which the floor opens its connections, and is measured for the first time.
const FLOOR_WARM_UP: usize = 2_000;
/// The deliveries by which a peer does.
const WARM_UP: usize = 300;
/// The time after which what has not arrived counts as not made, and as having taken so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all scenarios have.
struct Bench<'a> {
    options: &'a Options,
    receiver: Receiver,
    floor: Floor,
    figures: Figures,
}

pub(crate) async fn run(options: &Options) -> Result<Figures, Error> {
    let receiver = Receiver::start().await?;
    let mut bench = Bench { options, receiver, floor: Floor::new()?, figures: Figures::default() };
    match options.scenario {
        Scenario::Burst => {
            bench.burst(1, "1 webhook").await?;
            bench.burst(10, "10 webhooks").await?;
        }
        Scenario::Hanging => bench.hanging().await?,
        Scenario::Idle => bench.idle().await?,
        Scenario::Paced => bench.paced().await?,
    }
    Ok(bench.figures)
}

/// What a burst came to.
struct Burst {
    /// Deliveries a second.
    rate: f64,
    /// CPU time of this process a delivery, in microseconds.
    cpu_us: f64,
    /// What arrived, in percent.
    made: f64,
}

impl Bench<'_> {
    async fn burst(&mut self, webhooks: usize, title: &str) -> Result<(), Error> {
        let group = format!("burst-{webhooks}");
        let peer = self.open(&group, webhooks, "ok").await?;
        let rate = self.warm_up(&peer, &group, webhooks).await?;
        let floor_rate = self.floor_burst(FLOOR_WARM_UP, webhooks).await?.rate;
        for _ in 0..self.options.rounds {
            let floor = self.floor_burst(self.events(floor_rate), webhooks).await?;
            let events = self.events(rate / webhooks as f64);
            let of_peer = self.deliver(&peer, &group, events, webhooks).await?;
            let mut add = |name: &str, unit, value| self.figures.add(format!("{title}: {name}"), unit, value);
            add("floor", "1/s", floor.rate);
            add("deliveries a round", "", (events * webhooks) as f64);
            add("peer", "1/s", of_peer.rate);
            add("made", "%", of_peer.made);
            add("share of the floor's rate", "", of_peer.rate / floor.rate);
            add("peer, CPU a delivery", "µs", of_peer.cpu_us);
            add("CPU against the floor's", "", of_peer.cpu_us / floor.cpu_us);
        }
        Ok(())
    }

    async fn idle(&mut self) -> Result<(), Error> {
        let peer = self.open("idle", 1, "ok").await?;
        self.warm_up(&peer, "idle", 1).await?;
        self.floor_burst(FLOOR_WARM_UP, 1).await?;
        for _ in 0..self.options.rounds {
            let floor = self.floor.idle_p50(&self.receiver, self.options.round / 2).await?;
            let end = clock::now() + self.options.round;
            let mut number = 0;
            while number == 0 || clock::now() < end {
                number += 1;
                peer.publish(number).await?;
                self.receiver.wait("idle", number, PATIENCE).await?;
                sleep(PAUSE).await;
            }
            let taken = self.receiver.take("idle").await?;
            self.figures.add("floor, p50", "ms", floor);
            self.figures.add("publish to receipt, p50", "ms", taken.p50_ms);
            self.figures.add("publish to receipt, p99", "ms", taken.p99_ms);
        }
        Ok(())
    }

    async fn paced(&mut self) -> Result<(), Error> {
        let peer = self.open("paced", 1, "ok").await?;
        let rate = self.warm_up(&peer, "paced", 1).await? / 4.0;
        for _ in 0..self.options.rounds {
            let stopwatch = Stopwatch::start();
            let events = self.publish_paced(&peer, rate).await?;
            self.receiver.wait("paced", events, PATIENCE).await?;
            let cost = stopwatch.stop(events);
            let taken = self.receiver.take("paced").await?;
            self.figures.add("events a second", "1/s", rate);
            self.figures.add("made", "%", percent(taken.count - taken.again, events));
            self.figures.add("peer, p50", "ms", taken.p50_ms);
            self.figures.add("peer, p99", "ms", taken.p99_ms);
            self.figures.add("peer, CPU a delivery", "µs", cost.cpu_us);
        }
        Ok(())
    }

    async fn hanging(&mut self) -> Result<(), Error> {
        let peer = self.open("capacity", 10, "ok").await?;
        let rate = self.warm_up(&peer, "capacity", 10).await? / 10.0 / 4.0;
        drop(peer);
        for round in 0..self.options.rounds {
            self.figures.add("events a second, to ten each", "1/s", rate);
            for (title, manner) in [("none hangs", "ok"), ("one hangs", "hang")] {
                let group = format!("{manner}-{round}");
                let peer = self.open(&group, HEALTHY, manner).await?;
                let events = self.publish_paced(&peer, rate).await?;
                self.receiver.wait(&group, events * HEALTHY, PATIENCE).await?;
                let taken = self.receiver.take(&group).await?;
                let made = percent(taken.count - taken.again, events * HEALTHY);
                self.figures.add(format!("{title}: events"), "", events as f64);
                self.figures.add(format!("{title}: the nine others made"), "%", made);
                let at_least = if made < 99.0 { millis(PATIENCE) } else { 0.0 };
                self.figures.add(format!("{title}: p99"), "ms", taken.p99_ms.max(at_least));
            }
        }
        Ok(())
    }

    /// A peer with webhooks of this group. [`HEALTHY`] ones have a tenth of another group, which answers in this manner.
    async fn open(&self, group: &str, webhooks: usize, manner: &str) -> Result<Arc<Peer>, Error> {
        let mut urls: Vec<_> = (0..webhooks).map(|number| self.receiver.url("ok", group, number)).collect();
        if webhooks == HEALTHY {
            urls.push(self.receiver.url(manner, "tenth", HEALTHY));
        }
        Ok(Arc::new(Peer::open(self.options.peer, &urls).await?))
    }

    /// Opens connections, and returns the deliveries a second after that.
    async fn warm_up(&self, peer: &Arc<Peer>, group: &str, webhooks: usize) -> Result<f64, Error> {
        self.deliver(peer, group, WARM_UP / webhooks, webhooks).await?;
        Ok(self.deliver(peer, group, WARM_UP / webhooks, webhooks).await?.rate)
    }

    /// Publishes events as quickly as callers can, and waits until each is received by all webhooks, or nothing more comes.
    async fn deliver(
        &self,
        peer: &Arc<Peer>,
        group: &str,
        events: usize,
        webhooks: usize,
    ) -> Result<Burst, Error> {
        let stopwatch = Stopwatch::start();
        let publisher = Arc::clone(peer);
        load::all(events, move |number| {
            let peer = Arc::clone(&publisher);
            async move { peer.publish(number).await }
        })
        .await?;
        let expected = events * webhooks;
        let mut arrived = 0;
        loop {
            let now = self.receiver.wait(group, expected.min(arrived + 50), PATIENCE).await?;
            if now >= expected || now == arrived {
                break;
            }
            arrived = now;
        }
        let taken = self.receiver.take(group).await?;
        let cost = stopwatch.stop(taken.count.max(1));
        let made = percent(taken.count - taken.again, expected);
        Ok(Burst { rate: cost.rate, cpu_us: cost.cpu_us, made })
    }

    async fn publish_paced(&self, peer: &Arc<Peer>, rate: f64) -> Result<usize, Error> {
        let (events, ()) = paced(rate, sleep(self.options.round), |number| {
            let peer = Arc::clone(peer);
            async move { peer.publish(number).await }
        })
        .await?;
        Ok(events)
    }

    async fn floor_burst(&self, count: usize, webhooks: usize) -> Result<clock::Cost, Error> {
        let urls: Vec<_> = (0..webhooks).map(|number| self.receiver.url("ok", "floor", number)).collect();
        let cost = self.floor.burst(&urls, count).await?;
        self.receiver.take("floor").await?;
        Ok(cost)
    }

    /// The number of events that take about a round at so many a second.
    fn events(&self, rate: f64) -> usize {
        ((rate * self.options.round.as_secs_f64()) as usize).max(1)
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}
