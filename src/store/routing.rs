//! Routing as a store keeps it: decisions, and events that were written without one.

use std::time::Duration;

use super::lease::Fence;
use crate::model::{HookId, StampedEvent, TenantId};
use crate::registry::Revision;
use crate::routing::{Route, SkipReason, Verdict};

/// The routing decision for one event.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Routing {
    /// The webhooks that get the event.
    pub targets: Vec<HookId>,
    /// Each other webhook, with the reason.
    pub skipped: Vec<Skipped>,
}

/// A webhook that does not get an event, with the reason.
pub type Skipped = (HookId, SkipReason);

impl FromIterator<Route> for Routing {
    fn from_iter<I: IntoIterator<Item = Route>>(routes: I) -> Self {
        let mut routing = Self::default();
        for route in routes {
            match route.verdict {
                Verdict::Deliver => routing.targets.push(route.hook_id),
                Verdict::Skip(reason) => routing.skipped.push((route.hook_id, reason)),
            }
        }
        routing
    }
}

/// An event that was written without being routed.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Unrouted {
    /// The tenant of the event.
    pub tenant: TenantId,
    /// The event.
    pub event: StampedEvent,
    /// The proof of the right to route it.
    pub fence: Fence,
}

/// The routing of an [`Unrouted`] event.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Routed {
    /// The event, as the store gave it.
    pub unrouted: Unrouted,
    /// The registry revision at which it was routed.
    pub routed_at: Revision,
    /// The decision, or the reason why the event cannot be routed.
    pub routing: Result<Routing, String>,
    /// How long its deliveries may wait before they end as expired.
    pub expires: Duration,
}

/// The answer to one [`Routed`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the dispatcher handles each of them")]
pub enum RouteAnswer {
    /// The event was routed already, or the right to route it has ended.
    Fenced,
    /// The routing is written.
    Routed,
    /// The registry is at this revision by now; a later claim gives the event again.
    Stale(Revision),
}
