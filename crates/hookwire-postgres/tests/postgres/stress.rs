//! Many webhooks, several processes, and whatever users and dispatchers do, at random: what was published is
//! delivered once for each fence, and then nothing waits.
//!
//! `HOOKWIRE_STRESS_SEEDS=100..200` runs other seeds than the usual one.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hookwire::delivery::{Next, Report};
use hookwire::model::{DeliveryId, End, HookId, Status};
use hookwire::registry::{Backlog, RegistryChange};
use hookwire::store::{
    Claim, ClaimRequest, Fence, HolderId, PublishAnswer, Quota, Settled, Settlement, Store, StoreErrorKind,
};
use tokio::task::JoinSet;

use crate::fleet::{World, publication};
use crate::support::Schema;

const STORES: usize = 3;
const HOOKS: usize = 300;
const ROUNDS: usize = 25;

/// Pseudo-random numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % most.max(1)
    }
}

/// The record of all players: the latest fence of each delivery, and whether it has ended.
#[derive(Default)]
struct Book {
    written: usize,
    claimed: HashMap<DeliveryId, (Fence, bool)>,
}

#[derive(Clone)]
struct Player {
    world: World,
    book: Arc<Mutex<Book>>,
    holder: HolderId,
}

impl Player {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panicked")
    }

    fn request(&self, dice: &mut Dice) -> ClaimRequest {
        let quota = Quota::default().with_in_all([20, 400][dice.below(2)]).with_per_tenant(400);
        let quota = quota.with_per_webhook([1, 3, 16][dice.below(3)]);
        let (limit, max_bytes) = ([1, 2, 10, 200][dice.below(4)], [1, 50, usize::MAX][dice.below(3)]);
        ClaimRequest {
            holder: self.holder,
            lease: Duration::from_secs(300),
            limit,
            max_bytes,
            quota,
            start_within: Duration::from_secs(1),
        }
    }

    fn note(&self, claims: &[Claim]) {
        let mut book = self.book();
        for claim in claims {
            let before = book.claimed.insert(claim.id, (claim.fence, false));
            assert!(before.is_none_or(|(fence, over)| fence < claim.fence && !over), "{claim:?} {before:?}");
        }
    }

    async fn publish(&self, dice: &mut Dice) {
        let id = |n| format!("h{:x}-{}-{n}", self.holder.get(), dice.0);
        let ids: Vec<_> = (0..=dice.0 % 3).map(id).collect();
        let most = [3, HOOKS][dice.below(8) / 7];
        let (from, count) = (dice.below(HOOKS), 1 + dice.below(most));
        let hooks: Vec<HookId> = self.world.hooks.iter().cycle().skip(from).take(count).copied().collect();
        let hold = (dice.below(2) == 0).then(|| self.request(dice));
        loop {
            let revision = self.world.store.registry(&self.world.tenant).await.expect("read").revision;
            let mut items: Vec<_> = ids.iter().map(|id| publication(&self.world, id, &hooks)).collect();
            items.iter_mut().for_each(|item| item.routed_at = revision);
            let published = self.world.store.publish(&items, hold.as_ref()).await.expect("published");
            let limit = hold.map_or(0, |it| it.limit);
            assert!(published.held.len() <= limit, "{} held of {limit}", published.held.len());
            self.note(&published.held);
            self.settle(published.held, dice).await;
            let mut is_stale = false;
            for answer in published.answers {
                match answer {
                    PublishAnswer::Stored(receipt) => self.book().written += receipt.targets,
                    PublishAnswer::Duplicate(_) => {}
                    PublishAnswer::Stale(_) => is_stale = true,
                    other => panic!("{other:?}"),
                }
            }
            if !is_stale {
                return;
            }
        }
    }

    async fn settle(&self, claims: Vec<Claim>, dice: &mut Dice) {
        let reports = [Report::Success, Report::Failure, Report::Timeout, Report::NoAttempt];
        let settlement = |claim: &Claim| {
            let next = [Next::Again(Duration::ZERO), Next::Release, Next::End(End::Delivered)];
            let next = next[dice.below(6).min(2)];
            Settlement { report: reports[dice.below(4)], ..Settlement::new(claim, next) }
        };
        let items: Vec<_> = claims.iter().map(settlement).collect();
        // Before it is known to the others: they may claim what goes back before this hears of it.
        let ended = items.iter().filter(|it| matches!(it.next, Next::End(_)));
        self.book().claimed.extend(ended.map(|it| (it.id, (it.fence, true))));
        let settled = self.world.store.settle(&items).await.expect("settled");
        assert!(settled.iter().all(Settled::is_applied), "{settled:?}");
    }

    async fn toggle(&self, dice: &mut Dice) {
        let hook = self.world.hooks[dice.below(HOOKS)];
        for status in [Status::Disabled, Status::Enabled] {
            loop {
                let registry = self.world.store.registry(&self.world.tenant).await.expect("a registry");
                let mut hook = registry.get(hook).expect("it is there").clone();
                hook.webhook = hook.webhook.with_status(status);
                hook.version = hook.version.next();
                let update = RegistryChange::Update(hook, Backlog::Resume);
                match self.world.store.commit(&self.world.tenant, registry.revision, &update).await {
                    Ok(_) => break,
                    Err(error) => assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error:?}"),
                }
            }
        }
    }

    /// Claims, and keeps some for a while.
    async fn play(self, mut dice: Dice) {
        let mut kept = Vec::new();
        for _ in 0..ROUNDS {
            match dice.below(8) {
                0..3 => self.publish(&mut dice).await,
                3 => self.toggle(&mut dice).await,
                4 if dice.below(4) == 0 => {
                    // All that it holds, what it kept too.
                    kept.clear();
                    self.world.store.release(self.holder).await.expect("released");
                }
                _ => {
                    let request = self.request(&mut dice);
                    let claims = self.world.store.claim(&request).await.expect("a claim").deliveries;
                    assert!(claims.len() <= request.limit, "more than asked for");
                    self.note(&claims);
                    kept.extend(claims);
                    let given = kept.split_off(dice.below(kept.len() + 1));
                    self.settle(given, &mut dice).await;
                }
            }
        }
        self.settle(kept, &mut dice).await;
    }

    /// Delivers what is left until a claim says that nothing is to be had now.
    async fn drain(self, mut dice: Dice) {
        // Always the same: another quota would have it look at all lanes anew.
        let request = ClaimRequest { limit: 40, max_bytes: usize::MAX, ..self.request(&mut dice) };
        loop {
            let claimed = self.world.store.claim(&request).await.expect("a claim");
            let is_over = claimed.deliveries.is_empty() && claimed.next_in.is_none_or(|it| !it.is_zero());
            self.note(&claimed.deliveries);
            let ended = claimed.deliveries.iter().map(|it| (it.id, (it.fence, true)));
            self.book().claimed.extend(ended);
            let items = claimed.deliveries.iter().map(|claim| Settlement {
                report: [Report::Success, Report::Failure][dice.below(2)],
                ..Settlement::new(claim, Next::End(End::Delivered))
            });
            self.world.store.settle(&items.collect::<Vec<_>>()).await.expect("settled");
            if is_over {
                return;
            }
        }
    }
}

async fn run(seed: u64) {
    let schema = Schema::migrated().await;
    let mut worlds = vec![World::new(Arc::new(schema.store().await), "acme", HOOKS).await];
    for _ in 1..STORES {
        worlds.push(World { store: Arc::new(schema.store().await), ..worlds[0].clone() });
    }
    let book = Arc::<Mutex<Book>>::default();
    let player = |n: usize| Player {
        world: worlds[n % STORES].clone(),
        book: Arc::clone(&book),
        holder: HolderId::new(1 + n as u128),
    };
    let dice = |n: usize| Dice(seed.wrapping_mul(1_000_003).wrapping_add(n as u64));
    let mut playing: JoinSet<_> = (0..2 * STORES).map(|n| player(n).play(dice(n))).collect();
    while let Some(done) = playing.join_next().await {
        done.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    // One of those who played, who knows what it has no room for, and nobody else.
    player(0).drain(dice(100)).await;
    let waiting = "SELECT count(*) FILTER (WHERE state = 0), count(*) FROM delivery";
    let row = schema.client().await.query_one(waiting, &[]).await.expect("a count");
    let (waiting, written): (i64, i64) = (row.get(0), row.get(1));
    let stuck = "SELECT concat(delivery, lane, clock_ms()) FROM delivery JOIN lane ON lane.id = lane \
        WHERE state = 0 LIMIT 5";
    let stuck = schema.client().await.query(stuck, &[]).await.expect("rows");
    let stuck: Vec<String> = stuck.iter().map(|row| row.get(0)).collect();
    assert_eq!(waiting, 0, "seed {seed}: pending of {written}: {stuck:?}");
    let book = book.lock().expect("nobody panicked");
    assert_eq!(usize::try_from(written).expect("few"), book.written, "seed {seed}");
    let ended = book.claimed.values().filter(|(_, is_over)| *is_over).count();
    assert_eq!(ended, book.written, "seed {seed}: each is delivered once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_at_the_same_time_everything_is_delivered_once() {
    let seeds = std::env::var("HOOKWIRE_STRESS_SEEDS").ok();
    for seed in seeds.as_deref().map_or(1..2, seeds_of) {
        run(seed).await;
    }
}

fn seeds_of(text: &str) -> Range<u64> {
    let (from, to) = text.split_once("..").expect("seeds are to be like 100..200");
    from.parse().expect("a number")..to.parse().expect("a number")
}
