//! The SQL of settlements changes a lane's health as the pure rule does, from every state.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hookwire::HookId;
use hookwire::delivery::{Counting, Health, LaneClass, Next, Report};
use hookwire::model::{Attempt, End, Outcome, Timestamp};
use hookwire::store::{Claim, ClaimRequest, HolderId, Quota, Settled, Settlement};
use http::StatusCode;
use serde_json::Value;
use tokio_postgres::Client;

use crate::fleet::{World, publication};
use crate::support::{Schema, stop_clock};

const REPORTS: [Report; 5] =
    [Report::Failure, Report::Limit, Report::NoAttempt, Report::Success, Report::Timeout];

/// In milliseconds: too short to be noted, too short to count, enough to count again, and longer than the silence that
/// begins a new count.
const PAUSES: [i64; 4] = [1_000, 120_000, 13 * 3_600_000, 30 * 3_600_000];

/// Receivers that are proven without failures or with three kinds of them, suspect or hanging with those, each by three
/// numbers of backoffs and of recoveries; and untried ones, which have not recovered.
const STATES: usize = (4 + 3 + 3) * 3 * 3 + 3;

/// All states that reports and backoffs lead to, in steps that lie so far apart. Numbers from two on are alike.
fn all_states() -> Vec<Health> {
    let start = Timestamp::from_secs(1_700_000_000);
    let mut states = BTreeMap::from([(kind(Health::default()), (Health::default(), start))]);
    let mut fresh: Vec<_> = states.values().copied().collect();
    while let Some((health, at)) = fresh.pop() {
        for (next, at) in PAUSES.iter().flat_map(|pause| nexts(health, at.as_millis() + pause)) {
            let is_new = !states.contains_key(&kind(next));
            if is_new {
                states.insert(kind(next), (next, at));
                fresh.push((next, at));
            }
        }
    }
    states.into_values().map(|(health, _)| health).collect()
}

/// Each report, and a backoff after it that is the lane's own or came late.
fn nexts(health: Health, at: i64) -> impl Iterator<Item = (Health, Timestamp)> {
    let at = Timestamp::from_millis(at);
    REPORTS.into_iter().flat_map(move |report| {
        let after = health.after(report, Counting::default(), at);
        [after, after.after_backoff(after.backoffs()), after.after_backoff(9)].map(|next| (next, at))
    })
}

/// Which fields it is stored with, and what tells states apart in them.
fn kind(health: Health) -> String {
    let mut stored = serde_json::to_value(health).expect("JSON");
    for (name, value) in stored.as_object_mut().expect("an object") {
        match &*name.clone() {
            "trust" => {}
            "backoffs" | "recoveries" | "failures" => *value = value.as_u64().map(|it| it.min(2)).into(),
            _ => *value = Value::Null,
        }
    }
    stored.to_string()
}

/// What a settlement tells.
#[derive(Clone, Copy, Debug)]
struct Told {
    report: Report,
    has_attempt: bool,
    backoff: Option<Duration>,
    end: End,
}

fn all_told() -> Vec<Told> {
    let mut told = Vec::new();
    for report in REPORTS {
        for has_attempt in [true, false] {
            for backoff in [None, Some(Duration::from_secs(1))] {
                let end = if report == Report::Success { End::Delivered } else { End::Exhausted };
                told.push(Told { report, has_attempt, backoff, end });
            }
        }
    }
    told
}

impl Told {
    fn settlement(&self, claim: &Claim) -> Settlement {
        let outcome = Outcome::answered(StatusCode::OK, None, "");
        let (at, took) = (Timestamp::from_secs(1), Duration::from_millis(7));
        let attempt = Attempt { number: 1, at, took, uncounted: 0, outcome };
        Settlement {
            report: self.report,
            attempt: self.has_attempt.then_some(attempt),
            backoff: self.backoff,
            ..Settlement::new(claim, Next::End(self.end))
        }
    }
}

/// A lane for each state.
struct Lanes {
    world: World,
    client: Client,
    states: HashMap<HookId, Health>,
}

impl Lanes {
    async fn new(schema: &Schema) -> Self {
        let client = schema.client().await;
        stop_clock(&client).await;
        let states = all_states();
        let world = World::new(Arc::new(schema.store().await), "acme", states.len()).await;
        let states = world.hooks.iter().copied().zip(states).collect();
        Self { world, client, states }
    }

    /// Brings each lane to its state, without a backoff.
    async fn reset(&self) {
        let (hooks, healths): (Vec<i64>, Vec<String>) = self
            .states
            .iter()
            .map(|(hook, health)| (hook.get(), serde_json::to_string(health).expect("JSON")))
            .unzip();
        let classes: Vec<i16> = self.states.values().map(|it| number(it.class())).collect();
        let reset = "UPDATE lane SET health = state.health::json, class = state.class, paused_until = NULL
            FROM unnest($1::bigint[], $2::text[], $3::smallint[]) AS state (hook, health, class)
            WHERE lane.hook = state.hook";
        self.client.execute(reset, &[&hooks, &healths, &classes]).await.expect("written");
    }

    /// Publishes an event for all lanes, and claims all its deliveries.
    async fn claim_one_of_each(&self, id: &str) -> Vec<Claim> {
        let item = publication(&self.world, id, &self.world.hooks);
        self.world.store.publish(&[item], None).await.expect("published");
        let quota = Quota::default().with_in_all(100_000).with_per_tenant(100_000);
        let (holder, lease) = (HolderId::new(1), Duration::from_secs(60));
        let request = ClaimRequest {
            holder,
            lease,
            limit: 1_000,
            max_bytes: usize::MAX,
            quota,
            start_within: Duration::from_secs(1),
        };
        let mut claims = Vec::new();
        while claims.len() < self.states.len() {
            let more = self.world.store.claim(&request).await.expect("a claim").deliveries;
            assert!(!more.is_empty(), "{} of {} are claimed", claims.len(), self.states.len());
            claims.extend(more);
        }
        claims
    }

    /// The health and the class of each lane, as they are stored.
    async fn stored(&self) -> HashMap<HookId, (Health, i16)> {
        let rows = self.client.query("SELECT hook, health::text, class FROM lane", &[]).await.expect("rows");
        let read = |row: &tokio_postgres::Row| {
            let health = serde_json::from_str(row.get(1)).expect("a health");
            (HookId::new(row.get(0)), (health, row.get(2)))
        };
        rows.iter().map(read).collect()
    }

    async fn now(&self) -> Timestamp {
        let row = self.client.query_one("SELECT now FROM test_clock", &[]).await.expect("a clock");
        Timestamp::from_millis(row.get(0))
    }
}

/// The number of a class in the database.
const fn number(class: LaneClass) -> i16 {
    match class {
        LaneClass::Proven => 0,
        LaneClass::Hanging => 1,
        LaneClass::Unproven => 2,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_changes_every_health_as_the_rule_says() {
    let schema = Schema::migrated().await;
    let lanes = Lanes::new(&schema).await;
    assert_eq!(lanes.states.len(), STATES);
    let now = lanes.now().await;
    for (round, told) in all_told().into_iter().enumerate() {
        lanes.reset().await;
        let claims = lanes.claim_one_of_each(&format!("m{round}")).await;
        let settlements: Vec<_> = claims.iter().map(|claim| told.settlement(claim)).collect();
        let settled = lanes.world.store.settle(&settlements).await.expect("settled");
        assert!(settled.iter().all(Settled::is_applied), "{settled:?}");
        let stored = lanes.stored().await;
        for (claim, settlement) in claims.iter().zip(&settlements) {
            let hook = claim.hook.hook_id();
            let before = lanes.states[&hook];
            assert_eq!(claim.health, before, "a claim tells it as it is");
            let after = settlement.health_after(before, now);
            assert_eq!(stored[&hook], (after, number(after.class())), "{told:?} after {before:?}");
        }
    }
}
