//! A process that is killed again and again: the deliveries under way run alone, then are put off, and are not lost.

use std::time::Duration;

use hookwire::clock::ManualClock;
use hookwire::model::{DeliveryQuery, DeliveryState, End, HookId};
use hookwire::store::{Claim, Durability, SqliteStore, StatsScope, Store};

use super::{Directory, acme, claim, create, delivered, left_by_a_kill, publication};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A process on a file, and the clock of all of them.
struct Process {
    directory: Directory,
    clock: ManualClock,
    store: SqliteStore,
}

impl Process {
    /// The first one, with two deliveries that wait.
    async fn start() -> Self {
        let process = Self::on(Directory::new(), ManualClock::default()).await;
        let hook = create(&process.store).await;
        process.publish("first", hook).await;
        process.publish("second", hook).await;
        process
    }

    async fn on(directory: Directory, clock: ManualClock) -> Self {
        let options = SqliteStore::options().durability(Durability::ProcessCrash).clock(clock.clone());
        let store = options.open(directory.file()).await.expect("opened");
        Self { directory, clock, store }
    }

    async fn publish(&self, id: &str, hook: HookId) {
        let mut item = publication(&self.store, id, hook).await;
        item.expires = 30 * 24 * HOUR;
        self.store.publish(&[item], None).await.expect("published");
    }

    /// Kills it, and starts the next one a second later.
    async fn killed(self) -> Self {
        let left = left_by_a_kill(&self.directory);
        self.clock.advance(SECOND);
        Self::on(left, self.clock.clone()).await
    }

    /// Stops it in good order, and starts the next one.
    async fn restarted(self) -> Self {
        drop(self.store);
        Self::on(self.directory, self.clock).await
    }

    /// Claims what is due and kills it meanwhile, so many times.
    async fn killed_under_way(mut self, times: usize) -> Self {
        for _ in 0..times {
            assert!(!claim(&self.store).await.is_empty(), "something is due");
            self = self.killed().await;
        }
        self
    }

    async fn claimed(&self) -> Vec<String> {
        names(&claim(&self.store).await)
    }

    /// Delivers what is due until nothing is, and tells in which steps.
    async fn deliver(&self) -> Vec<Vec<String>> {
        let mut steps = Vec::new();
        loop {
            let claims = claim(&self.store).await;
            if claims.is_empty() {
                return steps;
            }
            steps.push(names(&claims));
            self.store.settle(&claims.iter().map(delivered).collect::<Vec<_>>()).await.expect("settled");
        }
    }
}

fn names(claims: &[Claim]) -> Vec<String> {
    claims.iter().map(|claim| claim.event.message_id.to_string()).collect()
}

/// The first kill is of a process whose claims were not noted: nothing had been killed before.
const UNNOTED: usize = 1;

#[tokio::test]
async fn what_was_under_way_at_three_kills_in_a_row_runs_alone() {
    let process = Process::start().await.killed_under_way(UNNOTED + 2).await;
    assert_eq!(process.claimed().await, ["first", "second"], "two kills may be chance");
    let process = process.killed().await;
    assert_eq!(process.deliver().await, [["first"], ["second"]]);
    let process = process.killed().await;
    assert!(process.deliver().await.is_empty());
}

#[tokio::test]
async fn what_is_under_way_at_each_kill_holds_up_nobody_and_comes_later_and_later() {
    let process = Process::start().await.killed_under_way(UNNOTED + 3).await;
    assert_eq!(process.claimed().await, ["first"]);
    let process = process.killed().await;
    assert_eq!(process.claimed().await, ["first"], "it was under way at four");
    let mut process = process.killed().await;
    assert_eq!(process.deliver().await, [["second"]], "the other is not held up");
    for hours in [1, 2, 4, 8, 16, 24, 24] {
        process.clock.advance(hours * HOUR - 2 * SECOND);
        assert!(process.claimed().await.is_empty(), "not before {hours} hours");
        process.clock.advance(2 * SECOND);
        assert_eq!(process.claimed().await, ["first"]);
        process = process.killed().await;
    }
}

#[tokio::test]
async fn what_was_only_there_is_delivered_in_the_end() {
    let mut process = Process::start().await.killed_under_way(UNNOTED + 5).await;
    for _ in 0..20 {
        claim(&process.store).await;
        process = process.killed().await;
    }
    let mut delivered = process.deliver().await.concat();
    process.clock.advance(24 * HOUR);
    delivered.extend(process.deliver().await.concat());
    delivered.sort_unstable();
    assert_eq!(delivered, ["first", "second"]);
    let ended = DeliveryQuery::new().state(DeliveryState::Ended(End::Delivered));
    assert_eq!(process.store.deliveries(&acme(), &ended).await.expect("a log").items.len(), 2);
    assert_eq!(process.store.stats(&StatsScope::All).await.expect("counted").pending(), 0);
}

#[tokio::test]
async fn a_stop_in_good_order_blames_nobody() {
    let process = Process::start().await.killed_under_way(UNNOTED + 3).await.restarted().await;
    assert_eq!(process.claimed().await, ["first", "second"]);
}
