//! Publishing: events with their routing, and the answers to them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::claim::Claim;
use super::error::{StoreError, StoreErrorKind};
use super::routing::Routing;
use crate::model::{DeliveryId, HookId, MessageId, PageRequest, StampedEvent, TenantId, Timestamp};
use crate::registry::Revision;

/// Why an event was not written that has the message id of another.
pub(super) const DUPLICATE_ID: &str = "it was published before with other content; choose another";

/// Logs an event that was not written, where no caller waits for an answer.
pub(super) fn warn_duplicate_id(tenant: &TenantId, message: &MessageId) {
    warn!(target: "hookwire", %tenant, %message, "not published: {DUPLICATE_ID}");
}

/// Returns whether an event, of this digest, is the one that has its message id already: that is `first`, of the digest
/// `before`.
pub(super) fn is_same(
    event: &StampedEvent,
    digest: &[u8; 32],
    before: &[u8; 32],
    first: Option<&StampedEvent>,
) -> bool {
    digest == before || first.is_some_and(|first| event.has_content_of(first))
}

/// An event to be written, with its routing.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Publication {
    /// The tenant of the event.
    pub tenant: TenantId,
    /// The event, which a store in memory shares with the claims of its deliveries.
    pub event: Arc<StampedEvent>,
    /// The digest of its content, by which a repeated publish is recognized.
    pub digest: [u8; 32],
    /// The registry revision at which it was routed.
    pub routed_at: Revision,
    /// The routing decision.
    pub routing: Routing,
    /// How long its deliveries may wait, from when they are written, before they end as expired.
    pub expires: Duration,
    /// The room that it takes while it is under way.
    pub reservation: Reservation,
}

/// Room for the bytes of publications.
///
/// The service counts it as taken until every clone is dropped. So a store that keeps a publication when its caller
/// has gone, such as in a queue, keeps this with it.
#[derive(Clone, Debug, Default)]
pub struct Reservation(
    #[expect(dead_code, reason = "it is kept, and never read")] Option<Arc<dyn Any + Send + Sync>>,
);

impl Reservation {
    /// Creates a reservation that keeps `held` until every clone is dropped.
    pub(crate) fn of(held: Arc<dyn Any + Send + Sync>) -> Self {
        Self(Some(held))
    }
}

impl Publication {
    /// Creates a publication of `event`, with the digest of its content.
    pub fn new(
        tenant: TenantId,
        event: impl Into<Arc<StampedEvent>>,
        routed_at: Revision,
        routing: Routing,
        expires: Duration,
    ) -> Self {
        let event = event.into();
        let digest = event.digest();
        Self { tenant, event, digest, routed_at, routing, expires, reservation: Reservation::default() }
    }

    /// Returns the answer to this publication when the tenant has its message id already, for stores to build on.
    ///
    /// `digest` and `receipt` are those of the event that has the id. `first` is that event; it is not looked at when the
    /// digests are equal, so a store need not read it then. It is `None` once its payload was removed: then the digest
    /// decides.
    pub fn judge(&self, digest: &[u8; 32], first: Option<&StampedEvent>, receipt: Receipt) -> PublishAnswer {
        match is_same(&self.event, &self.digest, digest, first) {
            true => PublishAnswer::Duplicate(receipt),
            false => PublishAnswer::IdReused,
        }
    }
}

/// The answers to a publish, and the deliveries that it claimed.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Published {
    /// One answer for each publication, in order.
    pub answers: Vec<PublishAnswer>,
    /// The deliveries that were written already claimed.
    pub held: Vec<Claim>,
}

impl Published {
    /// Returns whether deliveries were written that still have to be claimed.
    pub fn leaves_work(&self) -> bool {
        let targets = |answer: &PublishAnswer| match answer {
            PublishAnswer::Stored(receipt) => receipt.targets,
            _ => 0,
        };
        self.answers.iter().map(targets).sum::<usize>() > self.held.len()
    }
}

/// The answer to one [`Publication`].
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the service handles each of them")]
pub enum PublishAnswer {
    /// The same event was published before; this is its receipt.
    Duplicate(Receipt),
    /// This item could not be written. The others are not affected.
    Failed(StoreError),
    /// The message id was used for another event.
    IdReused,
    /// The registry is at this revision by now; route again.
    Stale(Revision),
    /// The event is written.
    Stored(Receipt),
}

impl From<StoreErrorKind> for PublishAnswer {
    fn from(kind: StoreErrorKind) -> Self {
        Self::Failed(kind.into())
    }
}

/// The record of what was written for an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Receipt {
    /// When the event was published, by the store's clock.
    pub published_at: Timestamp,
    /// The number of webhooks that get it.
    pub targets: usize,
    /// The number of webhooks that do not get it.
    pub skipped: usize,
}

/// A request to deliver again.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Redelivery {
    /// The delivery to be made again.
    pub origin: DeliveryId,
    /// How long the new delivery may wait before it ends as expired.
    pub expires: Duration,
}

/// A request for a delivery of an event to a webhook that has none of it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Addition {
    /// The message.
    pub message: MessageId,
    /// The webhook.
    pub hook: HookId,
    /// How long the delivery may wait before it ends as expired.
    pub expires: Duration,
}

/// A request for one step of delivering again what a webhook has missed.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Recovery {
    /// The webhook.
    pub hook: HookId,
    /// The date since which its deliveries were given up or expired.
    pub since: Timestamp,
    /// How long the new deliveries may wait before they end as expired.
    pub expires: Duration,
    /// Where this step begins, and the most deliveries that it makes.
    pub page: PageRequest,
}

/// The result of one step of recovering.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Recovered {
    /// The number of new deliveries.
    pub made: usize,
    /// The cursor of the next step, for [`PageRequest::after`]; `None` after the last. There may be a next step after one
    /// that made none, because a step looks at a bounded number of deliveries.
    pub next: Option<String>,
}
