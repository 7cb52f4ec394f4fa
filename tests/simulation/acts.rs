//! Draws what users and hosts do. Each act is a task of its own, which may overlap with others.

use std::sync::Arc;

use hookwire::model::{MessageId, Timestamp};
use hookwire::registry::Backlog;
use hookwire::store::Store;
use hookwire::{DeliveryQuery, TenantId};

use crate::actor::{
    CALL_TIMEOUT, EVENTS, Posting, create, delete, disable, enable, patch, publish, redeliver, rotate,
};
use crate::world::World;

/// Draws an act and begins it.
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

/// Publishes a new message mostly, and sometimes an earlier one, with the same content or another.
fn begin_publish(world: &mut World, tenant: &TenantId) {
    let again = world.messages > 0 && world.prng.chance(20);
    if !again {
        world.messages += 1;
    }
    let number = if again { world.prng.between(1, world.messages) } else { world.messages };
    let content = u64::from(again && world.prng.chance(20));
    let short = world.prng.chance(20);
    let timeout = if short { world.prng.millis(0, 5) } else { CALL_TIMEOUT };
    let event = EVENTS[usize::from(number % 3 == 0)];
    let posting = Posting { id: message(number), event, content, timeout, tries: world.prng.between(1, 4) };
    if let Some(actor) = world.actor(tenant) {
        world.users.spawn(publish(actor, posting));
    }
}

fn message(number: u64) -> MessageId {
    MessageId::new(format!("m{number}")).expect("valid")
}

/// Publishes as a host's own transaction does once it commits.
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

fn begin_change(world: &mut World, tenant: &TenantId) {
    let hooks: Vec<_> =
        world.ledger.book().hosts.clone().into_iter().filter(|it| it.1.0 == *tenant).collect();
    let Some((host, (_, hook))) = world.prng.pick(&hooks).cloned() else { return };
    let kind = world.prng.below(22);
    let drops = world.prng.chance(30);
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
