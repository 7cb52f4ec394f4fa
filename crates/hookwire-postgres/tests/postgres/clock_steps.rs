//! The database's clock steps: nothing is stranded, nothing is sent twice, and nothing waits for longer than the step or
//! the longest delay.

use std::sync::Arc;
use std::time::Duration;

use hookwire::delivery::Next;
use hookwire::model::{End, Status};
use hookwire::registry::{Backlog, RegistryChange};
use hookwire::store::{Claim, ClaimRequest, HolderId, Quota, Settlement, StatsScope, TendRequest};
use tokio_postgres::Client;

use crate::fleet::{World, publication};
use crate::log::Log;
use crate::support::{Schema, stop_clock};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEARS: Duration = Duration::from_secs(70 * 365 * 24 * 60 * 60);

/// The longest delay that is usual.
const USUAL: Duration = Duration::from_secs(48 * 60 * 60);

/// A world whose clock stands still until it is stepped.
struct Stepped {
    world: World,
    client: Client,
    schema: Schema,
}

impl Stepped {
    async fn new(hooks: usize) -> Self {
        let schema = Schema::migrated().await;
        let client = schema.client().await;
        stop_clock(&client).await;
        let world = World::new(Arc::new(schema.store().await), "acme", hooks).await;
        Self { world, client, schema }
    }

    async fn step(&self, by: Duration, is_ahead: bool) {
        let by = i64::try_from(by.as_millis()).expect("a step");
        let by = if is_ahead { by } else { -by };
        self.client.execute("UPDATE test_clock SET now = now + $1", &[&by]).await.expect("a clock");
    }

    async fn reconnect(&mut self) {
        self.world.store = Arc::new(self.schema.store().await);
    }

    async fn publish(&self, id: &str, hook: usize) {
        let mut item = publication(&self.world, id, &self.world.hooks[hook..=hook]);
        item.routed_at = self.world.store.registry(&self.world.tenant).await.expect("a registry").revision;
        self.world.store.publish(&[item], None).await.expect("published");
    }

    async fn claim(&self, holder: u128) -> Vec<Claim> {
        let (holder, quota) = (HolderId::new(holder), Quota::default());
        let request = ClaimRequest {
            holder,
            lease: 60 * SECOND,
            limit: 100,
            max_bytes: usize::MAX,
            quota,
            start_within: Duration::from_secs(1),
        };
        self.world.store.claim(&request).await.expect("a claim").deliveries
    }

    async fn claim_one(&self, holder: u128) -> Claim {
        let claims = self.claim(holder).await;
        let [claim] = &claims[..] else { panic!("one is due, claimed {}", claims.len()) };
        claim.clone()
    }

    async fn settle(&self, item: Settlement) {
        assert!(self.world.store.settle(&[item]).await.expect("settled")[0].is_applied());
    }

    /// Keeps house until there is no more to do, and returns the number of events that were removed.
    async fn tend(&self) -> usize {
        let mut removed = 0;
        loop {
            let tended = self
                .world
                .store
                .tend(&TendRequest { keep: DAY, keep_payloads: DAY, limit: 2 })
                .await
                .expect("tended");
            removed += tended.removed;
            if !tended.more {
                return removed;
            }
        }
    }

    async fn pending(&self) -> u64 {
        self.world.store.stats(&StatsScope::All).await.expect("counts").pending()
    }

    async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.expect("a row").get(0)
    }

    /// Leaves one delivery held, one that waits for a retry in a lane with a backoff, and one that is due.
    async fn fill(&self) -> Claim {
        self.publish("again", 1).await;
        let again = self.claim_one(1).await;
        let next = Next::Again(5 * SECOND);
        self.settle(Settlement { backoff: Some(30 * SECOND), ..Settlement::new(&again, next) }).await;
        self.publish("held", 0).await;
        let held = self.claim_one(1).await;
        self.publish("due", 2).await;
        held
    }
}

fn messages(claims: &[Claim]) -> Vec<&str> {
    let mut messages: Vec<_> = claims.iter().map(|it| it.event.message_id.as_str()).collect();
    messages.sort_unstable();
    messages
}

#[tokio::test]
async fn what_was_created_or_changed_while_the_clock_was_ahead_is_delivered_at_once() {
    let stepped = Stepped::new(1).await;
    stepped.step(HOUR, true).await;
    let world = World::new(Arc::clone(&stepped.world.store), "globex", 1).await;
    let registry = stepped.world.store.registry(&stepped.world.tenant).await.expect("a registry");
    let mut hook = registry.webhooks[0].clone();
    (hook.webhook, hook.version) = (hook.webhook.with_status(Status::Enabled), hook.version.next());
    let update = RegistryChange::Update(hook, Backlog::Resume);
    stepped.world.store.commit(&stepped.world.tenant, registry.revision, &update).await.expect("changed");
    stepped.step(HOUR, false).await;
    stepped.publish("changed", 0).await;
    world.store.publish(&[publication(&world, "created", &world.hooks)], None).await.expect("published");
    assert_eq!(messages(&stepped.claim(1).await), ["changed", "created"]);
}

async fn a_step_back(by: Duration, reconnects: bool) {
    let mut stepped = Stepped::new(3).await;
    let held = stepped.fill().await;
    stepped.step(by, false).await;
    if reconnects {
        stepped.reconnect().await;
    }
    assert!(stepped.claim(2).await.is_empty(), "nothing is due by that clock");
    stepped.tend().await;
    if by <= USUAL {
        assert!(stepped.claim(2).await.is_empty(), "a short step is waited for");
        stepped.settle(Settlement::new(&held, Next::End(End::Delivered))).await;
        stepped.step(by + 30 * SECOND, true).await;
    }
    let claims = stepped.claim(2).await;
    assert_eq!(messages(&claims), ["again", "due"], "{by:?}");
    for claim in &claims {
        stepped.settle(Settlement::new(claim, Next::End(End::Delivered))).await;
    }
    if by > USUAL {
        stepped.settle(Settlement::new(&held, Next::End(End::Delivered))).await;
    }
    assert_eq!(stepped.pending().await, 0, "{by:?}");
    stepped.step(DAY + SECOND, true).await;
    assert_eq!(stepped.tend().await, 3, "{by:?}: the log is kept no longer than else");
}

async fn a_step_ahead(by: Duration, reconnects: bool) {
    let mut stepped = Stepped::new(3).await;
    let held = stepped.fill().await;
    stepped.step(by, true).await;
    if reconnects {
        stepped.reconnect().await;
    }
    stepped.settle(Settlement::new(&held, Next::End(End::Delivered))).await;
    let claims = stepped.claim(2).await;
    // Here deliveries may wait for a day.
    assert_eq!(messages(&claims), if by < DAY { vec!["again", "due"] } else { vec![] }, "{by:?}");
    for claim in &claims {
        stepped.settle(Settlement::new(claim, Next::End(End::Delivered))).await;
    }
    stepped.tend().await;
    assert_eq!(stepped.pending().await, 0, "{by:?}");
    stepped.publish("new", 1).await;
    assert_eq!(messages(&stepped.claim(2).await), ["new"], "{by:?}");
}

#[tokio::test]
async fn a_clock_that_steps_back_strands_nothing_and_sends_nothing_twice() {
    for by in [HOUR, DAY, YEARS] {
        a_step_back(by, false).await;
        a_step_back(by, true).await;
    }
}

#[tokio::test]
async fn a_clock_that_steps_ahead_strands_nothing() {
    for by in [HOUR, DAY, YEARS] {
        a_step_ahead(by, false).await;
        a_step_ahead(by, true).await;
    }
}

#[tokio::test]
async fn what_lies_too_far_ahead_is_brought_back_in_steps_and_told() {
    let stepped = Stepped::new(2).await;
    for n in 0..7 {
        stepped.publish(&format!("m{n}"), n % 2).await;
    }
    stepped.step(YEARS, false).await;
    assert!(stepped.claim(1).await.is_empty(), "nothing is due by that clock");
    let log = Log::default();
    let guard = log.record_thread();
    stepped.tend().await;
    drop(guard);
    assert!(log.text().contains("clock was ahead"), "{}", log.text());
    assert_eq!(stepped.claim(1).await.len(), 7);
    let far = "SELECT max(expires) - max(clock_ms()) FROM delivery";
    assert_eq!(stepped.number(far).await, 24 * 60 * 60 * 1000, "everything ends in its time");
}

#[tokio::test]
async fn nothing_is_brought_back_that_was_to_wait_for_so_long() {
    let stepped = Stepped::new(1).await;
    stepped.publish("patient", 0).await;
    let claim = stepped.claim_one(1).await;
    stepped.settle(Settlement::new(&claim, Next::Again(7 * DAY))).await;
    let log = Log::default();
    let guard = log.record_thread();
    stepped.tend().await;
    drop(guard);
    assert!(!log.text().contains("clock was ahead"), "{}", log.text());
    assert!(stepped.claim(1).await.is_empty());
    assert_eq!(stepped.number("SELECT min(due - clock_ms()) FROM delivery").await, 7 * 24 * 60 * 60 * 1000);
}
