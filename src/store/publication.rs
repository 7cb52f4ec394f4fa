use std::time::Duration;

use tracing::warn;

use super::queue::{Claim, Fence};
use super::{StoreError, StoreErrorKind};
use crate::model::{DeliveryId, HookId, MessageId, StampedEvent, TenantId, Timestamp};
use crate::registry::Revision;
use crate::routing::{Route, SkipReason, Verdict};

/// Why an event is not written: nothing of what is there may be lost by it, and it not silently either.
pub(super) const ID_REUSED: &str = "it was published before with other content; choose another";

/// Tells the log of an event that is not written, where nobody waits for an answer.
pub(super) fn tell_reused(tenant: &TenantId, message: &MessageId) {
    warn!(target: "hookwire", %tenant, %message, "not published: {ID_REUSED}");
}

/// One event to be written, with what routing decided.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Publication {
    /// Whose event it is.
    pub tenant: TenantId,
    /// The event.
    pub event: StampedEvent,
    /// The digest of its content, by which a repeated publish is known.
    pub digest: [u8; 32],
    /// The registry revision at which it was routed.
    pub routed_at: Revision,
    /// What routing decided.
    pub routing: Routing,
    /// How long its deliveries may wait, from when they are written, before they end as expired.
    pub expires: Duration,
}

impl Publication {
    /// Creates a publication of `event`, with the digest of its content.
    pub fn new(
        tenant: TenantId,
        event: StampedEvent,
        routed_at: Revision,
        routing: Routing,
        expires: Duration,
    ) -> Self {
        let digest = event.digest();
        Self { tenant, event, digest, routed_at, routing, expires }
    }
}

/// What routing decided for one event.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Routing {
    /// The webhooks that get it.
    pub targets: Vec<HookId>,
    /// Each other webhook, with the reason.
    pub skipped: Vec<Skipped>,
}

/// A webhook that does not get an event.
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

/// The answers to a publish, and what it claimed on the way.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Published {
    /// One answer for each publication, in order.
    pub answers: Vec<PublishAnswer>,
    /// The deliveries that were written already claimed.
    pub held: Vec<Claim>,
}

impl Published {
    /// Whether deliveries were written that still have to be claimed.
    pub fn leaves_work(&self) -> bool {
        let targets = |answer: &PublishAnswer| match answer {
            PublishAnswer::Stored(receipt) => receipt.targets,
            _ => 0,
        };
        self.answers.iter().map(targets).sum::<usize>() > self.held.len()
    }
}

/// What became of one publication.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the service handles each of them")]
pub enum PublishAnswer {
    /// The same event was published before; this is its receipt.
    Duplicate(Receipt),
    /// This item could not be written; the others are not touched by that.
    Failed(StoreError),
    /// The message id was used for another event.
    IdReused,
    /// The registry is at this revision by now; route again.
    Stale(Revision),
    /// It is written.
    Stored(Receipt),
}

/// What was written for an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Receipt {
    /// When, by the store's clock.
    pub published_at: Timestamp,
    /// How many webhooks get it.
    pub targets: usize,
    /// How many do not.
    pub skipped: usize,
}

/// An event that was written without being routed.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Unrouted {
    /// Whose event it is.
    pub tenant: TenantId,
    /// The event.
    pub event: StampedEvent,
    /// Proof of the right to route it.
    pub fence: Fence,
}

/// The routing of an event that was written without.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Routed {
    /// The event, as it was given.
    pub unrouted: Unrouted,
    /// The registry revision at which it was routed.
    pub routed_at: Revision,
    /// Where it goes, or why it goes nowhere.
    pub routing: Result<Routing, String>,
    /// How long its deliveries may wait before they end as expired.
    pub expires: Duration,
}

/// What became of one [`Routed`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the dispatcher handles each of them")]
pub enum RouteAnswer {
    /// It was routed already, or somebody else may have the right to by now.
    Fenced,
    /// It is written.
    Routed,
    /// The registry is at this revision by now; it will be given again.
    Stale(Revision),
}

/// A delivery to be made again.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Redelivery {
    /// The delivery.
    pub origin: DeliveryId,
    /// How long the new one may wait before it ends as expired.
    pub expires: Duration,
}

impl From<StoreErrorKind> for PublishAnswer {
    fn from(kind: StoreErrorKind) -> Self {
        Self::Failed(kind.into())
    }
}
