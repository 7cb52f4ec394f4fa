//! The records that the log and upkeep return.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::publication::Receipt;
use super::routing::Skipped;
use crate::model::{HookId, StampedEvent, TenantId};

/// An event as the log shows it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct EventRecord {
    /// The event. In place of a payload that was removed it has `null`.
    pub event: Arc<StampedEvent>,
    /// Whether the payload is still there. [`TendRequest::keep_payloads`] says how long it is.
    pub has_payload: bool,
    /// The receipt of its publication.
    pub receipt: Receipt,
    /// The routing decision.
    pub routing: RoutingRecord,
}

/// The routing decision as the log shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores build it")]
pub enum RoutingRecord {
    /// The event was routed. Routing skipped these webhooks.
    Routed(Vec<Skipped>),
    /// The event could not be routed, for this reason.
    Unroutable(String),
    /// The event waits for routing.
    Waiting,
}

/// The deliveries that [`Store::stats`](super::Store::stats) counts.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores handle each of them")]
pub enum StatsScope {
    /// Everything.
    All,
    /// One tenant.
    Tenant(TenantId),
    /// One webhook.
    Webhook(TenantId, HookId),
}

/// The deliveries that have not ended, and the events that wait for routing.
///
/// Each delivery is counted once. [`pending`](Self::pending) is all of them.
///
/// ```
/// use std::time::Duration;
///
/// use hookwire::store::Stats;
///
/// let stats = Stats { due: 2, held: 1, oldest_due: Some(Duration::from_secs(90)), ..Stats::default() };
/// assert_eq!(stats.pending(), 3);
/// let is_behind = stats.oldest_due > Some(Duration::from_secs(60));
/// assert!(is_behind, "worth an alarm");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Stats {
    /// Deliveries that a dispatcher may take now.
    pub due: u64,
    /// Deliveries that are to be made later: retries, and what waits until its webhook's backoff is over.
    pub scheduled: u64,
    /// Deliveries that wait because their webhook is disabled or paused, or their tenant suspended.
    pub stopped: u64,
    /// Deliveries that a dispatcher holds.
    pub held: u64,
    /// Events that wait for routing, because they were written by SQL or by another process. They have no deliveries yet,
    /// and count for the tenant but for no webhook.
    pub unrouted: u64,
    /// The time for which the oldest of what is due, or unrouted, has waited. It grows while no dispatcher runs.
    pub oldest_due: Option<Duration>,
}

impl Stats {
    /// Returns the number of deliveries that have not ended.
    pub const fn pending(&self) -> u64 {
        self.due + self.scheduled + self.stopped + self.held
    }
}

/// One bounded step of upkeep.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct TendRequest {
    /// The time for which an event is kept after the last of its deliveries ended, or after it was routed to no
    /// webhook. Events that wait for routing stay.
    pub keep: Duration,
    /// The time for which its payload is kept, counted in the same way.
    pub keep_payloads: Duration,
    /// The most items of each kind of work in this step.
    pub limit: usize,
}

/// The result of one step of upkeep.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Tended {
    /// Deliveries that ended as expired.
    pub expired: usize,
    /// Deliveries of dropped backlogs that ended as cancelled.
    pub swept: usize,
    /// Events that were removed with their deliveries and attempts.
    pub removed: usize,
    /// Payloads that were removed from events that stay.
    pub stripped: usize,
    /// Whether another step would find more to do.
    pub more: bool,
}

/// The result of one step of erasing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Erased {
    /// Whether there is more to erase.
    pub more: bool,
}
