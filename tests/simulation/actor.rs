//! The calls of users and hosts, each of which notes its result in the ledger.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hookwire::model::{DeliveryId, HookId, MessageId, WebhookPatch};
use hookwire::registry::Backlog;
use hookwire::service::{Rotation, Tenant};
use hookwire::{Error, Event, EventId, TenantId, WebhookDraft, assist};
use tokio::time::timeout;

use crate::ledger::{HookKey, Ledger};
use crate::process::Process;

/// The kinds of event that are published. Every webhook subscribes to the first one.
pub(crate) const EVENTS: [EventId; 2] = [assist::DEVICE_ONLINE, assist::DEVICE_OFFLINE];

/// The time after which a caller gives up.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(90);

/// A tenant, and the process that serves its calls.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) process: Arc<Process>,
    pub(crate) tenant: Tenant,
    pub(crate) ledger: Arc<Ledger>,
}

/// An event that a host publishes, and how often it tries.
#[derive(Clone, Debug)]
pub(crate) struct Posting {
    pub(crate) id: MessageId,
    pub(crate) event: EventId,
    pub(crate) content: u64,
    pub(crate) timeout: Duration,
    pub(crate) tries: u64,
}

impl Posting {
    pub(crate) fn plain(id: MessageId) -> Self {
        Self { id, event: EVENTS[0], content: 0, timeout: CALL_TIMEOUT, tries: 1 }
    }

    pub(crate) fn event(&self, tenant: &TenantId) -> Event {
        let payload = serde_json::json!({"is": format!("{tenant}/{}", self.id), "v": self.content});
        Event::new(self.event, &payload).expect("JSON").message_id(self.id.clone())
    }
}

impl Actor {
    /// Waits for a call up to [`CALL_TIMEOUT`], and notes its result.
    async fn call<T>(&self, what: &str, call: impl Future<Output = Result<T, Error>>) -> Option<T> {
        let line = format!("p{} {} {what}", self.process.number, self.tenant.id());
        self.ledger.note(&format!("{line} begins"));
        let (answer, end) = match timeout(CALL_TIMEOUT, call).await {
            Ok(Ok(answer)) => (Some(answer), "ok".to_owned()),
            Ok(Err(error)) => (None, format!("{:?}", error.kind())),
            Err(_) => (None, "given up".to_owned()),
        };
        self.ledger.note(&format!("{line}: {end}"));
        answer
    }

    fn key(&self, hook: HookId) -> HookKey {
        (self.tenant.id().clone(), hook)
    }
}

/// Publishes until the event is confirmed or the host gives up.
pub(crate) async fn publish(actor: Actor, posting: Posting) {
    let key = (actor.tenant.id().clone(), posting.id.clone());
    let what = format!("p{} publish {}/{}", actor.process.number, key.0, key.1);
    for _ in 0..posting.tries {
        actor.ledger.note(&what);
        let event = posting.event(actor.tenant.id());
        match timeout(posting.timeout, actor.tenant.publish(event)).await {
            Ok(Ok(sent)) => {
                actor.ledger.note(&format!("{what}: confirmed, {}", sent.is_duplicate()));
                return actor.ledger.confirm(&key, posting.content);
            }
            Ok(Err(error)) => actor.ledger.note(&format!("{what}: {:?}", error.kind())),
            Err(_) => actor.ledger.note(&format!("{what}: given up")),
        }
    }
}

pub(crate) async fn create(actor: Actor, draft: WebhookDraft) {
    actor.call("create", actor.tenant.create(&draft)).await;
}

pub(crate) async fn disable(actor: Actor, hook: HookId) {
    let key = actor.key(hook);
    let asked = actor.ledger.turning_off(&key);
    let done = actor.call(&format!("disable {hook}"), actor.tenant.disable(hook)).await;
    if done.is_some() {
        actor.ledger.off(&key, actor.process.number, asked, false);
    }
}

pub(crate) async fn enable(actor: Actor, hook: HookId, backlog: Backlog) {
    let key = actor.key(hook);
    if backlog == Backlog::Drop {
        actor.ledger.book().dropped.insert(key.clone());
    }
    let _enabling = actor.ledger.enabling(&key);
    actor.call(&format!("enable {hook} {backlog:?}"), actor.tenant.enable(hook, backlog)).await;
}

pub(crate) async fn delete(actor: Actor, hook: HookId) {
    let key = actor.key(hook);
    actor.ledger.book().dropped.insert(key.clone());
    if actor.call(&format!("delete {hook}"), actor.tenant.delete(hook)).await.is_some() {
        actor.ledger.off(&key, actor.process.number, None, true);
    }
}

pub(crate) async fn rotate(actor: Actor, hook: HookId) {
    actor.call(&format!("rotate {hook}"), actor.tenant.rotate_secret(hook, Rotation::default())).await;
}

pub(crate) async fn patch(actor: Actor, hook: HookId, url: String) {
    let patch = WebhookPatch::new().url(url);
    actor.call(&format!("patch {hook}"), actor.tenant.patch(hook, &patch)).await;
}

pub(crate) async fn redeliver(actor: Actor, delivery: DeliveryId) {
    actor.call(&format!("redeliver {delivery}"), actor.tenant.redeliver(delivery)).await;
}
