//! What users and hosts do, each act a task of its own that may overlap with others.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hookwire::model::{DeliveryId, HookId, MessageId, Timestamp, WebhookPatch};
use hookwire::registry::Backlog;
use hookwire::service::Tenant;
use hookwire::store::Store;
use hookwire::{DeliveryQuery, Error, Event, EventId, TenantId, WebhookDraft, assist};
use tokio::time::timeout;

use crate::ledger::{HookKey, Ledger};
use crate::process::Process;
use crate::world::World;

/// The events that happen; every webhook wants the first of them.
pub(crate) const EVENTS: [EventId; 2] = [assist::DEVICE_ONLINE, assist::DEVICE_OFFLINE];

/// How long a caller waits before it gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A tenant as one process serves it.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) process: Arc<Process>,
    pub(crate) tenant: Tenant,
    pub(crate) ledger: Arc<Ledger>,
}

/// One event that a host wants to be published.
#[derive(Clone, Debug)]
pub(crate) struct Posting {
    id: MessageId,
    event: EventId,
    content: u64,
    patience: Duration,
    tries: u64,
}

impl Posting {
    pub(crate) fn plain(id: MessageId) -> Self {
        Self { id, event: EVENTS[0], content: 0, patience: PATIENCE, tries: 1 }
    }

    fn event(&self, tenant: &TenantId) -> Event {
        let payload = serde_json::json!({"is": format!("{tenant}/{}", self.id), "v": self.content});
        Event::new(self.event, &payload).expect("JSON").message_id(self.id.clone())
    }
}

impl Actor {
    /// Waits for a call as long as a caller does, and notes what came of it.
    async fn call<T>(&self, what: &str, call: impl Future<Output = Result<T, Error>>) -> Option<T> {
        let line = format!("p{} {} {what}", self.process.number, self.tenant.id());
        self.ledger.note(&format!("{line} begins"));
        let (answer, end) = match timeout(PATIENCE, call).await {
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

/// Draws one act and begins it.
pub(crate) fn act(world: &mut World) {
    restart_some(world);
    let tenants = world.tenants.clone();
    let tenant = world.prng.pick(&tenants).expect("some").clone();
    match world.prng.below(100) {
        0..52 => begin_publish(world, &tenant),
        52..56 => publish_unrouted(world, &tenant),
        56..62 => begin_create(world, &tenant),
        62..84 => begin_change(world, &tenant),
        84..90 => begin_redeliver(world, &tenant),
        90..96 => {
            let machine = world.prng.below(world.machines.len() as u64);
            world.crash(usize::try_from(machine).expect("small"));
        }
        _ => {
            let machine = world.prng.below(world.machines.len() as u64);
            world.bounce(usize::try_from(machine).expect("small"));
        }
    }
}

fn restart_some(world: &mut World) {
    for machine in 0..world.machines.len() {
        if world.machines[machine].is_none() && world.prng.chance(30) {
            world.start(machine);
        }
    }
}

/// Mostly a new message, sometimes one that was published before, with the same content or another.
fn begin_publish(world: &mut World, tenant: &TenantId) {
    let again = world.messages > 0 && world.prng.chance(20);
    if !again {
        world.messages += 1;
    }
    let number = if again { world.prng.between(1, world.messages) } else { world.messages };
    let content = u64::from(again && world.prng.chance(20));
    let short = world.prng.chance(20);
    let patience = if short { world.prng.millis(0, 5) } else { PATIENCE };
    let event = EVENTS[usize::from(number % 3 == 0)];
    let posting = Posting { id: message(number), event, content, patience, tries: world.prng.between(1, 4) };
    if let Some(actor) = world.actor(tenant) {
        world.users.spawn(publish(actor, posting));
    }
}

fn message(number: u64) -> MessageId {
    MessageId::new(format!("m{number}")).expect("valid")
}

/// Publishes until it is confirmed or the host gives up.
pub(crate) async fn publish(actor: Actor, posting: Posting) {
    let key = (actor.tenant.id().clone(), posting.id.clone());
    let what = format!("p{} publish {}/{}", actor.process.number, key.0, key.1);
    for _ in 0..posting.tries {
        actor.ledger.note(&what);
        let event = posting.event(actor.tenant.id());
        match timeout(posting.patience, actor.tenant.publish(event)).await {
            Ok(Ok(sent)) => {
                actor.ledger.note(&format!("{what}: confirmed, {}", sent.is_duplicate()));
                return actor.ledger.confirm(&key, posting.content);
            }
            Ok(Err(error)) => actor.ledger.note(&format!("{what}: {:?}", error.kind())),
            Err(_) => actor.ledger.note(&format!("{what}: given up")),
        }
    }
}

/// What a host's own transaction writes is published once that commits.
fn publish_unrouted(world: &mut World, tenant: &TenantId) {
    world.messages += 1;
    let posting = Posting::plain(message(world.messages));
    let event = posting.event(tenant).stamped(|| posting.id.clone(), Timestamp::default());
    world.ledger.note(&format!("publish unrouted {tenant}/{}", posting.id));
    world.memory.publish_unrouted(tenant, event);
    world.ledger.confirm(&(tenant.clone(), posting.id), posting.content);
}

fn begin_create(world: &mut World, tenant: &TenantId) {
    let hooks = world.ledger.book().hosts.values().filter(|hook| hook.0 == *tenant).count();
    let draft = world.draft(tenant);
    if let Some(actor) = world.actor(tenant).filter(|_| hooks < 4) {
        world.users.spawn(create(actor, draft));
    }
}

pub(crate) async fn create(actor: Actor, draft: WebhookDraft) {
    actor.call("create", actor.tenant.create(&draft)).await;
}

fn begin_change(world: &mut World, tenant: &TenantId) {
    let hooks: Vec<_> =
        world.ledger.book().hosts.clone().into_iter().filter(|it| it.1.0 == *tenant).collect();
    let Some((host, (_, hook))) = world.prng.pick(&hooks).cloned() else { return };
    let (kind, drops) = (world.prng.below(22), world.prng.chance(30));
    let url = format!("https://{host}/{}", world.prng.below(1000));
    let Some(actor) = world.actor(tenant) else { return };
    match kind {
        0..6 => world.users.spawn(disable(actor, hook)),
        6..14 => world.users.spawn(enable(actor, hook, if drops { Backlog::Drop } else { Backlog::Resume })),
        14..16 => world.users.spawn(delete(actor, hook)),
        16..19 => world.users.spawn(rotate(actor, hook)),
        _ => world.users.spawn(patch(actor, hook, url)),
    };
}

async fn disable(actor: Actor, hook: HookId) {
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

async fn delete(actor: Actor, hook: HookId) {
    let key = actor.key(hook);
    actor.ledger.book().dropped.insert(key.clone());
    if actor.call(&format!("delete {hook}"), actor.tenant.delete(hook)).await.is_some() {
        actor.ledger.off(&key, actor.process.number, None, true);
    }
}

async fn rotate(actor: Actor, hook: HookId) {
    actor.call(&format!("rotate {hook}"), actor.tenant.rotate_secret(hook)).await;
}

async fn patch(actor: Actor, hook: HookId, url: String) {
    let patch = WebhookPatch::new().url(url);
    actor.call(&format!("patch {hook}"), actor.tenant.patch(hook, &patch)).await;
}

fn begin_redeliver(world: &mut World, tenant: &TenantId) {
    let memory = Arc::clone(&world.memory);
    let nth = world.prng.next();
    if let Some(actor) = world.actor(tenant) {
        world.users.spawn(async move {
            let page = memory.deliveries(actor.tenant.id(), &DeliveryQuery::new()).await;
            let items = page.expect("memory answers").items;
            let Some(index) = nth.checked_rem(items.len() as u64) else { return };
            redeliver(actor, items[usize::try_from(index).expect("an index")].id).await;
        });
    }
}

async fn redeliver(actor: Actor, delivery: DeliveryId) {
    actor.call(&format!("redeliver {delivery}"), actor.tenant.redeliver(delivery)).await;
}
