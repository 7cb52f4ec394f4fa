//! Publishing: events with their routing, and the answers to them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::claim::Claim;
use super::error::{StoreError, StoreErrorKind};
use super::routing::Routing;
use crate::model::{DeliveryId, MessageId, StampedEvent, TenantId, Timestamp};
use crate::registry::Revision;

/// Why an event was not written that has the message id of another.
pub(super) const DUPLICATE_ID: &str = "it was published before with other content; choose another";

/// Logs an event that was not written, where no caller waits for an answer.
pub(super) fn warn_duplicate_id(tenant: &TenantId, message: &MessageId) {
    warn!(target: "hookwire", %tenant, %message, "not published: {DUPLICATE_ID}");
}

/// An event to be written, with its routing.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Publication {
    /// The tenant of the event.
    pub tenant: TenantId,
    /// The event.
    pub event: StampedEvent,
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
        event: StampedEvent,
        routed_at: Revision,
        routing: Routing,
        expires: Duration,
    ) -> Self {
        let digest = event.digest();
        Self { tenant, event, digest, routed_at, routing, expires, reservation: Reservation::default() }
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
