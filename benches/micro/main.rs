//! What the steps of a delivery cost by themselves: times, and allocations, which are the same at each run.
//!
//! ```sh
//! scripts/bench micro               # `scripts/bench micro routing` runs what has that in its name
//! scripts/bench instructions        # counts instructions, which a busy machine does not bend; needs valgrind
//! ```

mod claims;
mod decisions;
mod guard;
#[path = "../support/mod.rs"]
mod support;

use divan::AllocProfiler;
use hookwire::model::{Event, EventId, MessageId, StampedEvent, Timestamp};
use hookwire::registry::{RegisteredWebhook, Registry};
use hookwire::{HookId, TenantId};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const EVENT: EventId = EventId::new(1);

fn tenant(number: usize) -> TenantId {
    TenantId::new(format!("tenant-{number}")).expect("a plain name")
}

/// An event whose payload has about so many bytes.
fn event(number: usize, bytes: usize) -> StampedEvent {
    let payload = serde_json::json!({"deviceName": "LAB-4", "number": number, "text": "x".repeat(bytes)});
    let event = Event::new(EVENT, &payload).expect("a payload");
    let id = MessageId::new(format!("msg_{number:020}")).expect("a plain id");
    event.stamped(|| id, Timestamp::from_secs(1_700_000_000))
}

/// The webhook with this id, which gets `event_id`.
fn webhook(hook_id: HookId, event_id: EventId) -> RegisteredWebhook {
    let webhook = serde_json::from_value(serde_json::json!({
        "hook_id": hook_id, "name": "hook", "url": "https://hooks.example.com/", "status": 1,
        "subscriptions": [{"event_id": 2}, {"event_id": event_id}],
    }));
    RegisteredWebhook::new(webhook.expect("the stored form"))
}

/// A tenant's webhooks, of which every second gets [`EVENT`].
fn registry(webhooks: usize) -> Registry {
    let event = |number: i64| if number % 2 == 0 { EVENT } else { EventId::new(3) };
    let webhooks = (1..).take(webhooks).map(|number| webhook(HookId::new(number), event(number)));
    Registry { webhooks: webhooks.collect(), ..Registry::default() }
}
