//! Claiming: the request of a dispatcher and the deliveries that it gets.

use std::sync::Arc;
use std::time::Duration;

use super::lease::{Fence, HolderId, WakeMark};
use super::quota::Quota;
use super::routing::Unrouted;
use crate::delivery::Health;
use crate::model::{DeliveryId, StampedEvent, TenantId};
use crate::registry::RegisteredWebhook;
use crate::retry::RetryState;

/// How much a dispatcher is ready to take.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct ClaimRequest {
    /// The dispatcher that claims.
    pub holder: HolderId,
    /// How long the claims last.
    pub lease: Duration,
    /// The most deliveries to claim.
    pub limit: usize,
    /// The most bytes of payload to claim.
    pub max_bytes: usize,
    /// How much the holder may have claimed at once: in all, of one tenant, of one webhook.
    pub quota: Quota,
    /// The time after this call within which the holder begins the request of a claim, or releases the claim, where the
    /// webhook has a [rate](crate::model::DeliveryOptions::with_rate).
    pub start_within: Duration,
}

impl ClaimRequest {
    /// Returns the request for the rest once `claims` were made: for a store that answers a request in parts.
    ///
    /// `None` means that nothing more may be claimed. The first claim may be larger than `max_bytes`, so a request
    /// for no bytes is complete only once something was claimed.
    pub fn without(self, claims: &[Claim]) -> Option<Self> {
        let bytes = claims.iter().map(|claim| claim.event.payload.get().len()).sum();
        let limit = self.limit.saturating_sub(claims.len());
        let max_bytes = self.max_bytes.saturating_sub(bytes);
        (claims.is_empty() || (limit > 0 && max_bytes > 0)).then_some(Self { limit, max_bytes, ..self })
    }
}

/// The answer to a claim.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Claimed {
    /// The deliveries that were claimed.
    pub deliveries: Vec<Claim>,
    /// Events that must be routed before they have deliveries.
    pub unrouted: Vec<Unrouted>,
    /// The number of deliveries that this claim has ended as expired.
    pub expired: usize,
    /// How long until the same request could get something more.
    ///
    /// It is zero when limit or bytes cut the claim short. Otherwise it is the time until a retry is due, a backoff
    /// ends, or the lease of any holder ends. It may be too short, never too long. Work in saturated or disabled
    /// lanes does not count. `None` means that only new work can change the answer.
    pub next_in: Option<Duration>,
    /// Whether nothing that is due was left for want of room.
    ///
    /// Places that are given back after such a claim are room for nothing, so the dispatcher asks again only for new
    /// work or after `next_in`. A store that cannot tell says `false`, and is asked after each settlement.
    pub took_all: bool,
    /// The mark to pass to [`Store::wake`](super::Store::wake), which then returns for work that came after this
    /// claim.
    pub mark: WakeMark,
}

/// A timed, exclusive hold on a delivery, with everything that is needed to send it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Claim {
    /// The delivery.
    pub id: DeliveryId,
    /// The proof of holding it.
    pub fence: Fence,
    /// The tenant of the delivery.
    pub tenant: TenantId,
    /// The webhook as it was when the delivery was claimed.
    pub hook: Arc<RegisteredWebhook>,
    /// The event.
    pub event: Arc<StampedEvent>,
    /// The number of attempts before this claim.
    pub attempts: u32,
    /// The position of the delivery in its schedule.
    pub retry: RetryState,
    /// The health of the lane when the delivery was claimed.
    pub health: Health,
}
