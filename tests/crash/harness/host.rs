//! A host as a process: it registers, or publishes and delivers, and tells what it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hookwire::model::{DeliveryState, End, HookId, MessageId};
use hookwire::policy::Policy;
use hookwire::retry::RetryPolicy;
use hookwire::service::Tenant;
use hookwire::store::{Stats, Store};
use hookwire::transport::HttpTransport;
use hookwire::{DeliveryQuery, Event, EventId, TenantId, WebhookDraft, Webhooks, assist};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::ledger::{Delivery, Word};
use super::watched::{LEASE, Watch, WatchedStore, WatchedTransport};

/// Each webhook, by the last segment of its URL, with the events that it wants.
const HOOKS: [(&str, &[EventId]); 4] =
    [("steady", &EVENTS), ("flaky", &EVENTS), ("slow", &[EVENTS[0]]), ("worst", &[EVENTS[1]])];

const EVENTS: [EventId; 2] = [assist::DEVICE_ONLINE, assist::DEVICE_OFFLINE];

/// How many publish at once.
const PUBLISHERS: u32 = 4;

/// How many deliveries there are for a receiver that asks for fewer requests. One process can hold them all.
pub(crate) const LIMITED: usize = 8;

/// How many deliveries may wait before publishers do, beside those that are held, perhaps by the dead.
const MAX_WAITING: u64 = 100;

/// What a process is told to be.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) bug: Bug,
    pub(crate) part: Part,
    pub(crate) process: u32,
    pub(crate) url: String,
}

/// What it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// Delivers until it is killed.
    Delivers,
    /// Delivers what is left, and ends.
    Drains,
    /// Publishes and delivers until it is killed.
    Lives,
    /// Publishes for a webhook of its own whose receiver asks for fewer requests, and ends.
    Publishes,
    /// Registers the webhooks, and ends.
    Registers,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    ConfirmsEarly,
    DeliversAgain,
    None,
    SleepsAtTheEnd,
    /// Believes that leases last for longer than they do.
    TrustsItsLeases,
}

const BUGS: [Bug; 5] =
    [Bug::ConfirmsEarly, Bug::DeliversAgain, Bug::None, Bug::SleepsAtTheEnd, Bug::TrustsItsLeases];

const PARTS: [Part; 5] = [Part::Delivers, Part::Drains, Part::Lives, Part::Publishes, Part::Registers];

impl Task {
    /// What is told to the program by its arguments: the task, and where the store is.
    pub(crate) fn arguments(&self, place: &str) -> [String; 5] {
        let Self { bug, part, process, url } = self;
        [place.to_owned(), format!("{bug:?}"), format!("{part:?}"), process.to_string(), url.clone()]
    }

    /// The place and the task that this process was given.
    fn given() -> (String, Self) {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let [place, bug, part, process, url] = given.try_into().expect("the five arguments");
        let bug = BUGS.into_iter().find(|it| format!("{it:?}") == bug).expect("a bug");
        let part = PARTS.into_iter().find(|it| format!("{it:?}") == part).expect("a part");
        (place, Self { bug, part, process: process.parse().expect("a number"), url })
    }
}

/// The program that is killed: a host on the store that `open` finds at the place.
pub(crate) fn main<S: Store>(open: impl AsyncFnOnce(String) -> S) {
    let (place, task) = Task::given();
    Runtime::new().expect("a runtime").block_on(async { live(open(place).await, task).await });
}

/// Lives until it is killed, or until nothing is left, as it is told.
async fn live(store: impl Store, task: Task) {
    let transport = HttpTransport::builder().allow_loopback().build().expect("a transport");
    let watch = Watch::new(task.process);
    let transport = WatchedTransport(transport, Arc::clone(&watch));
    let hooks = Webhooks::builder(assist::catalog()).store(WatchedStore(store, watch)).transport(transport);
    let hooks = hooks.policy(policy(task.bug));
    let hooks = hooks.allow_loopback_http().build().expect("a service");
    let acme = hooks.tenant(TenantId::new("acme").expect("valid"));
    match task.part {
        Part::Publishes => return publish_limited(&acme, &task.url).await,
        Part::Registers => return register(&acme, &task.url).await,
        Part::Delivers | Part::Drains | Part::Lives => {}
    }
    let hooks_of = acme.list().await.expect("a list");
    let names = hooks_of.iter().map(|hook| (hook.hook_id(), hook.name().to_owned())).collect();
    let drains = task.part == Part::Drains;
    let sleeps = task.bug == Bug::SleepsAtTheEnd && drains;
    let _dispatcher = (!sleeps).then(|| hooks.start().expect("inside tokio"));
    let teller = Teller { acme: acme.clone(), names, told: BTreeSet::new(), bug: task.bug };
    let teller = tokio::spawn(teller.run());
    if task.part == Part::Delivers {
        return std::future::pending().await;
    }
    if drains {
        wait_until(&hooks, |stats| stats.pending() == 0).await;
        // It would read from a store that is closed.
        teller.abort();
        return say(&Word::Drained);
    }
    let mut publishers = JoinSet::new();
    let number = Arc::new(AtomicU32::new(0));
    for _ in 0..PUBLISHERS {
        publishers.spawn(publish(hooks.clone(), acme.clone(), task.clone(), Arc::clone(&number)));
    }
    publishers.join_all().await;
}

/// Retries come within the life of a process, and as often as it takes. What the dead held comes back soon,
/// and no receiver is so slow that an attempt reaches its deadline.
fn policy(bug: Bug) -> Policy {
    let lease = if bug == Bug::TrustsItsLeases { 10 * LEASE } else { LEASE };
    let retry = RetryPolicy::default().with_delays([Duration::from_millis(15); 1000]);
    Policy::default().with_retry(retry).with_deadline(Duration::from_secs(4)).with_lease(lease)
}

async fn register(acme: &Tenant, url: &str) {
    for (name, events) in HOOKS {
        let draft = WebhookDraft::new(name, format!("{url}/{name}"));
        let draft = events.iter().fold(draft, |draft, event| draft.subscribe(*event));
        acme.create(&draft).await.expect("registered");
    }
}

/// Registers a webhook whose receiver asks for fewer requests, and publishes for it.
async fn publish_limited(acme: &Tenant, url: &str) {
    let draft = WebhookDraft::new("limited", format!("{url}/limited")).subscribe(EVENTS[0]);
    acme.create(&draft).await.expect("registered");
    for number in 0..LIMITED {
        let message = format!("l{number}");
        let event = Event::new(EVENTS[0], &number).expect("JSON");
        acme.publish(event.message_id(MessageId::new(&message).expect("valid"))).await.expect("published");
        say(&Word::Confirmed(message, vec!["limited".to_owned()]));
    }
}

async fn publish(hooks: Webhooks, acme: Tenant, task: Task, number: Arc<AtomicU32>) {
    loop {
        wait_until(&hooks, |stats| stats.pending() <= stats.held + MAX_WAITING).await;
        let number = number.fetch_add(1, Ordering::SeqCst);
        let event = EVENTS[number as usize % EVENTS.len()];
        let message = format!("p{}-{number}", task.process);
        let wanted = HOOKS.iter().filter(|(_, events)| events.contains(&event));
        let confirmed =
            Word::Confirmed(message.clone(), wanted.map(|(name, _)| (*name).to_owned()).collect());
        let event = Event::new(event, &serde_json::json!({ "number": number })).expect("JSON");
        let event = event.message_id(MessageId::new(message).expect("valid"));
        if task.bug == Bug::ConfirmsEarly {
            say(&confirmed);
            sleep(Duration::from_millis(20)).await;
        }
        acme.publish(event).await.expect("published");
        say(&confirmed);
    }
}

async fn wait_until(hooks: &Webhooks, is_so: impl Fn(&Stats) -> bool + Sync) {
    while !is_so(&hooks.stats().await.expect("counted")) {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Tells of the deliveries that the store calls delivered.
struct Teller {
    acme: Tenant,
    names: BTreeMap<HookId, String>,
    told: BTreeSet<(MessageId, HookId)>,
    bug: Bug,
}

impl Teller {
    async fn run(mut self) {
        let delivered = DeliveryQuery::new().state(DeliveryState::Ended(End::Delivered));
        loop {
            let newest = self.acme.deliveries(&delivered).await.expect("a log").items;
            for delivery in newest {
                let (message, hook) = (delivery.message_id, self.names[&delivery.hook_id].clone());
                if self.told.insert((message.clone(), delivery.hook_id)) {
                    say(&Word::Settled(Delivery { message: message.to_string(), hook }));
                    self.repeat(delivery.id).await;
                }
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn repeat(&self, delivery: hookwire::model::DeliveryId) {
        if self.bug == Bug::DeliversAgain {
            self.acme.redeliver(delivery).await.expect("redelivered");
        }
    }
}

/// A line is written whole or not at all: it is short, and standard output ends at each.
fn say(word: &Word) {
    println!("{word}");
}
