//! A host as a process: it registers, publishes, and delivers, and tells what it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{CallbackUrl, DeliveryState, End, HookId, MessageId};
use hookwire::policy::Policy;
use hookwire::retry::RetryPolicy;
use hookwire::service::Tenant;
use hookwire::store::Store;
use hookwire::transport::{HttpTransport, SendLimits, Transport, TransportError};
use hookwire::{DeliveryQuery, Event, EventId, TenantId, WebhookDraft, Webhooks, assist};
use http::{HeaderValue, Request, Response};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::ledger::{Delivery, Word};

/// Each webhook, by the last segment of its URL, with the events that it wants.
const HOOKS: [(&str, &[EventId]); 4] =
    [("steady", &EVENTS), ("flaky", &EVENTS), ("slow", &[EVENTS[0]]), ("worst", &[EVENTS[1]])];

const EVENTS: [EventId; 2] = [assist::DEVICE_ONLINE, assist::DEVICE_OFFLINE];

/// How many publish at once.
const PUBLISHERS: u32 = 4;

/// How many deliveries may wait before publishers do.
const MOST_PENDING: u64 = 100;

/// What a process is told to be.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) bug: Bug,
    /// Whether it only delivers what is left, and ends.
    pub(crate) drains: bool,
    pub(crate) process: u32,
    pub(crate) url: String,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    ConfirmsEarly,
    DeliversAgain,
    None,
    SleepsAtTheEnd,
}

/// Lives until it is killed, or until nothing is left, as it is told.
pub(crate) async fn live(store: impl Store, task: Task) {
    let transport = HttpTransport::builder().allow_loopback().build().expect("a transport");
    let transport = Numbered(transport, HeaderValue::from(task.process));
    let hooks = Webhooks::builder(assist::catalog()).store(store).transport(transport).policy(policy());
    let hooks = hooks.allow_loopback_http().build().expect("a service");
    let acme = hooks.tenant(TenantId::new("acme").expect("valid"));
    let names = register(&acme, &task.url).await;
    let sleeps = task.bug == Bug::SleepsAtTheEnd && task.drains;
    let _dispatcher = (!sleeps).then(|| hooks.start().expect("inside tokio"));
    let teller = Teller { acme: acme.clone(), names, told: BTreeSet::new(), bug: task.bug };
    tokio::spawn(teller.run());
    if task.drains {
        wait_for_pending(&hooks, 0).await;
        return say(&Word::Drained);
    }
    let mut publishers = JoinSet::new();
    let number = Arc::new(AtomicU32::new(0));
    for _ in 0..PUBLISHERS {
        publishers.spawn(publish(hooks.clone(), acme.clone(), task.clone(), Arc::clone(&number)));
    }
    publishers.join_all().await;
}

/// Retries come within the life of a process, and as often as it takes.
fn policy() -> Policy {
    let retry = RetryPolicy::default().with_delays([Duration::from_millis(15); 1000]);
    Policy::default()
        .with_retry(retry)
        .with_deadline(Duration::from_secs(10))
        .with_lease(Duration::from_secs(15))
}

/// Registers what an earlier process did not come to, and gives the names of all webhooks.
async fn register(acme: &Tenant, url: &str) -> BTreeMap<HookId, String> {
    for (name, events) in HOOKS {
        let known = acme.list().await.expect("a list");
        if known.iter().all(|hook| hook.name() != name) {
            let draft = WebhookDraft::new(name, format!("{url}/{name}"));
            let draft = events.iter().fold(draft, |draft, event| draft.subscribe(*event));
            acme.create(&draft).await.expect("registered");
        }
    }
    let hooks = acme.list().await.expect("a list");
    hooks.iter().map(|hook| (hook.hook_id(), hook.name().to_owned())).collect()
}

async fn publish(hooks: Webhooks, acme: Tenant, task: Task, number: Arc<AtomicU32>) {
    loop {
        wait_for_pending(&hooks, MOST_PENDING).await;
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

async fn wait_for_pending(hooks: &Webhooks, most: u64) {
    while hooks.stats().await.expect("counted").pending > most {
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

/// Puts the process's number on each request.
#[derive(Debug)]
struct Numbered(HttpTransport, HeaderValue);

#[async_trait]
impl Transport for Numbered {
    async fn send(
        &self,
        mut request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        request.headers_mut().insert("x-process", self.1.clone());
        self.0.send(request, limits).await
    }

    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
        self.0.check(url).await
    }
}
