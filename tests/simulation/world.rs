//! One world: a store, processes that start and end, and their receivers and users, all drawn from one seed.

use std::sync::Arc;
use std::time::Duration;

use hookwire::clock::Clock;
use hookwire::delivery::DisablePolicy;
use hookwire::dispatcher::Dispatcher;
use hookwire::model::MessageId;
use hookwire::policy::Policy;
use hookwire::retry::RetryPolicy;
use hookwire::store::{MemoryStore, Quota, RoutingRecord, StatsScope, Store};
use hookwire::testing::TokioClock;
use hookwire::{DeliveryQuery, TenantId, WebhookDraft, Webhooks, assist};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::actor::{self, Actor, EVENTS};
use crate::bug::Bug;
use crate::ledger::Ledger;
use crate::prng::Prng;
use crate::process::Process;
use crate::receivers::{Receivers, Wire};
use crate::store::Link;
use crate::verdict::judge;

/// The result of a world.
pub(crate) struct Ending {
    pub(crate) violations: Vec<String>,
    pub(crate) lines: Vec<String>,
    pub(crate) hash: u64,
}

/// A store, the processes on it, their receivers and users.
pub(crate) struct World {
    pub(crate) prng: Prng,
    pub(crate) clock: TokioClock,
    pub(crate) policy: Policy,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) ledger: Arc<Ledger>,
    receivers: Arc<Receivers>,
    bug: Option<Arc<Bug>>,
    pub(crate) tenants: Vec<TenantId>,
    /// The machines, each with its running process if there is one.
    pub(crate) machines: Vec<Option<Running>>,
    processes: usize,
    /// The calls of users that are under way.
    pub(crate) users: JoinSet<()>,
    pub(crate) hosts: u64,
    pub(crate) messages: u64,
}

/// A process with its service and its dispatcher.
pub(crate) struct Running {
    pub(crate) process: Arc<Process>,
    pub(crate) hooks: Webhooks,
    stop: Arc<Notify>,
    dispatcher: JoinHandle<()>,
}

fn policy(seed: u64, prng: &mut Prng) -> Policy {
    let quota = Quota::default();
    let (all, tenant, webhook) = (prng.between(3, 9), prng.between(2, 5), prng.between(1, 3));
    let size = |number: u64| usize::try_from(number).expect("small");
    let quota = quota.with_in_all(size(all)).with_per_tenant(size(tenant)).with_per_webhook(size(webhook));
    let policy = Policy::default().with_keep(Duration::from_secs(400 * 24 * 60 * 60)).with_quota(quota);
    let policy = policy.with_lease(prng.millis(20_000, 45_000));
    // One world in a hundred lives by the real schedule, for weeks.
    if seed % 100 == 99 {
        return policy;
    }
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let delays = [Duration::from_secs(5), Duration::from_secs(30), minutes(4), minutes(15)];
    let retry = RetryPolicy::default().with_delays(delays).with_max_retry_after(minutes(8));
    let disable = DisablePolicy::default().with_after(minutes(20)).with_spacing(minutes(5));
    policy.with_retry(retry).with_disable(disable).with_expires(minutes(prng.between(60, 180)))
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Arc<Bug>>) -> Self {
        let mut prng = Prng::new(seed);
        let clock = TokioClock::new();
        let policy = policy(seed, &mut prng);
        let tenants = (0..prng.between(1, 3)).map(|n| TenantId::new(format!("t{n}")).expect("short"));
        Self {
            clock,
            memory: Arc::new(MemoryStore::with_clock(clock)),
            ledger: Arc::new(Ledger::new(clock, policy.clone())),
            receivers: Arc::new(Receivers::new(seed)),
            bug,
            tenants: tenants.collect(),
            machines: (0..prng.between(2, 3)).map(|_| None).collect(),
            processes: 0,
            users: JoinSet::new(),
            hosts: 0,
            messages: 0,
            prng,
            policy,
        }
    }

    /// Creates a process with its service.
    fn service(&mut self) -> (Arc<Process>, Webhooks) {
        let process = Arc::new(Process::new(self.processes, self.prng.fork()));
        self.processes += 1;
        self.ledger.note(&format!("start p{} ahead by {:?}", process.number, process.skew));
        let link = Link {
            memory: Arc::clone(&self.memory),
            process: Arc::clone(&process),
            ledger: Arc::clone(&self.ledger),
            bug: self.bug.as_ref().map(Arc::clone),
        };
        let wire = Wire {
            process: Arc::clone(&process),
            ledger: Arc::clone(&self.ledger),
            receivers: Arc::clone(&self.receivers),
        };
        let builder = Webhooks::builder(assist::catalog()).store(link).transport(wire);
        let builder = builder.policy(self.policy.clone()).clock(self.clock.ahead_by(process.skew));
        (process, builder.build().expect("a sound service"))
    }

    pub(crate) fn start(&mut self, machine: usize) {
        let (process, hooks) = self.service();
        let stop = Arc::new(Notify::new());
        let dispatcher = tokio::spawn(dispatch(hooks.clone(), Arc::clone(&stop), self.prng.fork()));
        self.machines[machine] = Some(Running { process, hooks, stop, dispatcher });
    }

    /// Kills a process.
    pub(crate) fn crash(&mut self, machine: usize) {
        let Some(running) = self.machines[machine].take() else { return };
        self.ledger.stop(&running.process, "kill");
        running.process.kill();
        running.dispatcher.abort();
    }

    /// Stops a dispatcher gracefully. The process starts another after a while.
    pub(crate) fn bounce(&self, machine: usize) {
        let Some(running) = &self.machines[machine] else { return };
        self.ledger.stop(&running.process, "stop the dispatcher of");
        running.stop.notify_one();
    }

    /// Picks a running process that serves a tenant.
    pub(crate) fn actor(&mut self, tenant: &TenantId) -> Option<Actor> {
        let running: Vec<_> = self.machines.iter().flatten().collect();
        let running = *self.prng.pick(&running)?;
        let tenant = running.hooks.tenant(tenant.clone());
        Some(Actor { process: Arc::clone(&running.process), tenant, ledger: Arc::clone(&self.ledger) })
    }

    pub(crate) fn draft(&mut self, tenant: &TenantId) -> WebhookDraft {
        self.hosts += 1;
        let host = format!("{tenant}-h{}.example", self.hosts);
        let draft = WebhookDraft::new(&host, format!("https://{host}/")).subscribe(EVENTS[0]);
        if self.prng.chance(50) { draft.subscribe(EVENTS[1]) } else { draft }
    }

    pub(crate) async fn start_all(&mut self) {
        (0..self.machines.len()).for_each(|machine| self.start(machine));
        for tenant in self.tenants.clone() {
            for _ in 0..self.prng.between(1, 2) {
                let draft = self.draft(&tenant);
                let actor = self.actor(&tenant).expect("all run");
                actor::create(actor, draft).await;
            }
        }
    }

    /// Lets nothing fail from now on but receivers, and enables most webhooks.
    pub(crate) async fn stop_failing(&mut self) {
        self.ledger.note("calm");
        for machine in 0..self.machines.len() {
            match &self.machines[machine] {
                Some(running) => running.process.stop_failing(),
                None => self.start(machine),
            }
            self.machines[machine].iter().for_each(|running| running.process.stop_failing());
        }
        while self.users.join_next().await.is_some() {}
        let hooks: Vec<_> = self.ledger.book().hosts.values().cloned().collect();
        for hook in hooks {
            if self.prng.chance(70) {
                let actor = self.actor(&hook.0).expect("all run");
                actor::enable(actor, hook.1, hookwire::registry::Backlog::Resume).await;
            }
        }
    }

    pub(crate) async fn wait_for_the_end(&self) {
        // The last redelivery may wait as long again.
        let most = self.policy.expires() * 2 + Duration::from_secs(60 * 60);
        let started = self.clock.now();
        while self.is_busy().await {
            if self.clock.now().since(started) > most {
                self.ledger.violation("something waits for ever".to_owned());
                break;
            }
            sleep(Duration::from_secs(60)).await;
        }
    }

    /// Returns whether a delivery is pending, or an event waits to be routed, which the statistics do not count.
    async fn is_busy(&self) -> bool {
        let stats = self.memory.stats(&StatsScope::All).await;
        if stats.expect("memory answers").pending() > 0 {
            return true;
        }
        let confirmed: Vec<_> = self.ledger.book().confirmed.keys().cloned().collect();
        for (tenant, id) in &confirmed {
            let event = self.memory.event(tenant, id).await.expect("memory answers");
            if event.is_some_and(|record| record.routing == RoutingRecord::Waiting) {
                return true;
            }
        }
        false
    }

    /// Checks that an event of another process is delivered promptly, and retried promptly.
    pub(crate) async fn check_promptness(&mut self) {
        let name = TenantId::new("canary").expect("short");
        self.tenants.push(name.clone());
        let (process, hooks) = self.service();
        process.stop_failing();
        let draft = WebhookDraft::new("canary", "https://canary-h0.example/").subscribe(EVENTS[0]);
        let actor = Actor { process, tenant: hooks.tenant(name.clone()), ledger: Arc::clone(&self.ledger) };
        actor::create(actor.clone(), draft).await;
        for id in ["m1", "m2"] {
            let id = MessageId::new(id).expect("valid");
            actor::publish(actor.clone(), actor::Posting::plain(id)).await;
            sleep(Duration::from_secs(7)).await;
        }
        let deliveries = self.memory.deliveries(&name, &DeliveryQuery::new()).await.expect("memory answers");
        if deliveries.items.len() != 2 || deliveries.items.iter().any(|it| it.ended_at.is_none()) {
            self.ledger.violation(format!("dispatchers sleep while work waits: {:?}", deliveries.items));
        }
        sleep(Duration::from_secs(70)).await;
    }

    /// Judges the world, and ends its processes.
    pub(crate) async fn finish(mut self) -> Ending {
        judge(&self.memory, &self.ledger, &self.policy, &self.tenants).await;
        (0..self.machines.len()).for_each(|machine| self.crash(machine));
        let mut book = self.ledger.book();
        Ending {
            violations: std::mem::take(&mut book.violations),
            lines: std::mem::take(&mut book.lines),
            hash: book.hash,
        }
    }
}

/// Runs dispatchers one after another, each until it is stopped.
async fn dispatch(hooks: Webhooks, stop: Arc<Notify>, mut prng: Prng) {
    loop {
        Dispatcher::run(&hooks, stop.notified()).await.expect("the only one of its process");
        sleep(prng.millis(1, 30_000)).await;
    }
}
