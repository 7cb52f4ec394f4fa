//! The scenarios, one file each.

mod burst;
mod far;
mod fleet;
mod hanging;
mod host;
mod idle;
mod paced;
mod quiet;
mod recovery;
mod storm;
mod tarpits;

use crate::Error;
use crate::clock::Cost;
use crate::figures::Figures;
use crate::floor::Floor;
use crate::options::{Options, Scenario};
use crate::process::Receiver;
use crate::service::{self, Service};
use crate::stores::Stores;

/// The requests by which the floor opens its connections, and is measured for the first time.
const FLOOR_WARM_UP: usize = 2_000;

/// What all scenarios have.
#[derive(Debug)]
pub(crate) struct Bench {
    options: Options,
    receiver: Receiver,
    floor: Floor,
    pub(crate) stores: Stores,
    pub(crate) figures: Figures,
}

pub(crate) async fn run(bench: &mut Bench) -> Result<(), Error> {
    match bench.options.scenario {
        Scenario::Burst => burst::run(bench).await,
        Scenario::Far => far::run(bench).await,
        Scenario::Fleet => fleet::run(bench).await,
        Scenario::Hanging => hanging::run(bench).await,
        Scenario::Host => host::run(bench).await,
        Scenario::Idle => idle::run(bench).await,
        Scenario::Paced => paced::run(bench).await,
        Scenario::Recovery => recovery::run(bench).await,
        Scenario::Storm => storm::run(bench).await,
        Scenario::Tarpits => tarpits::run(bench).await,
    }
}

impl Bench {
    pub(crate) async fn new(options: Options) -> Result<Self, Error> {
        Ok(Self {
            receiver: Receiver::start().await?,
            floor: Floor::new()?,
            stores: Stores::new(options.store)?,
            figures: Figures::default(),
            options,
        })
    }

    /// A running service on a new store.
    async fn service(&self, name: &str) -> Result<Service, Error> {
        Service::start(service::hooks(self.stores.open(name).await?)?)
    }

    /// The URLs of so many webhooks, for the floor.
    fn floor_urls(&self, webhooks: usize) -> Vec<String> {
        (0..webhooks).map(|number| self.receiver.url("ok", "floor", number)).collect()
    }

    /// The number of events that take about a round at so many a second.
    fn events(&self, rate: f64) -> usize {
        let events = rate * self.options.round.as_secs_f64();
        (events as usize).max(1)
    }

    /// Adds what a round has cost by the floor and by the store, under names that begin so.
    fn compare(&mut self, begin: &str, floor: Cost, store: Cost) {
        let mut add = |name: &str, unit, value| self.figures.add(format!("{begin}{name}"), unit, value);
        add("floor", "1/s", floor.rate);
        add("store", "1/s", store.rate);
        add("share of the floor's rate", "", store.rate / floor.rate);
        add("floor, CPU a delivery", "µs", floor.cpu_us);
        add("store, CPU a delivery", "µs", store.cpu_us);
        add("CPU against the floor's", "", store.cpu_us / floor.cpu_us);
    }

    /// Waits for the length of a round.
    async fn round(&self) {
        tokio::time::sleep(self.options.round).await;
    }
}
