//! Where state lives: the [`Store`] trait, its contract, and [`MemoryStore`].
//!
//! # Implementing a store
//!
//! 1. Implement [`Store`] for your type. Read the contract below: each of its points has a number, and
//!    each number is a case of the conformance suite.
//! 2. Run the suite: `hookwire::testing::store_conformance!` (feature `testing`) makes one test of each
//!    point. There are no capability flags: every store passes every case.
//! 3. Build on the pure parts: [`Settlement::lane_after`] and [`Disable::applied_to`] change a lane, [`HeldCounts`]
//!    counts what a holder has and tells how much room a lane has left.
//!
//! Write the implementation under `#[async_trait]`, with plain `async fn`s:
//!
//! ```
//! use async_trait::async_trait;
//! use hookwire::model::{MessageId, TenantId};
//! use hookwire::store::{EventRecord, StoreError};
//!
//! # #[async_trait]
//! # trait Store { async fn event(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<EventRecord>, StoreError>; }
//! struct MyStore;
//!
//! #[async_trait]
//! impl Store for MyStore {
//!     async fn event(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<EventRecord>, StoreError> {
//!         // ..
//! #       let _ = (tenant, id);
//!         Ok(None)
//!     }
//!     // .. and the other methods
//! }
//! ```
//!
//! [`MemoryStore`] is the smallest complete one to read; `examples/custom_store.rs` wraps a store in another.
//!
//! # What a store keeps
//!
//! - For each tenant a [registry](crate::registry::Registry) at a revision.
//! - For each webhook a *lane*: its queue, its [`Health`](crate::delivery::Health), a time until which it
//!   gives nothing (its backoff), and an epoch which grows when its backlog is dropped, so that dropping costs the same
//!   whatever the backlog.
//! - For each event its content, what routing decided, and its deliveries with their attempts. The id of a
//!   delivery is unique in the store, and never used again.

mod error;
mod memory;
mod publication;
mod queue;
mod quota;
mod records;
mod ring;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Attempt, Delivery, DeliveryId, DeliveryQuery, MessageId, Page, PageRequest, TenantId};
use crate::registry::{Registry, RegistryChange, Revision};

pub use error::{StoreError, StoreErrorKind};
pub use memory::MemoryStore;
pub use publication::{
    Publication, PublishAnswer, Published, Receipt, Redelivery, RouteAnswer, Routed, Routing, Skipped,
    Unrouted,
};
pub use queue::{Claim, ClaimRequest, Claimed, Disable, Fence, HolderId, Settled, Settlement, WakeMark};
pub use quota::{HeldCounts, Quota};
pub use records::{Erased, EventRecord, RoutingRecord, Stats, StatsScope, TendRequest, Tended};
#[cfg(feature = "sqlite")]
pub use sqlite::open::OpenError;
#[cfg(feature = "sqlite")]
pub use sqlite::options::{Durability, SqliteOptions};
#[cfg(feature = "sqlite")]
pub use sqlite::store::SqliteStore;

/// Where webhooks, events, deliveries and attempts are kept.
///
/// A store is shared by everything that publishes and everything that dispatches. Times that are handed
/// in are durations; the store adds them to its own clock, so that machines whose clocks disagree do no
/// harm.
///
/// # Contract
///
/// 1. Each publication is all or nothing, and seen by every later read. When [`publish`](Self::publish)
///    returns it is as durable as the store ever makes it. One bad item fails alone: one with a target that
///    the registry does not have is [`Failed`](PublishAnswer::Failed).
/// 2. A message id is published once a tenant: the same digest again is
///    [`Duplicate`](PublishAnswer::Duplicate) with the first receipt, another digest
///    [`IdReused`](PublishAnswer::IdReused), whatever the registry has become; for as long as the event is
///    kept.
/// 3. A delivery has at most one live claim. Interleaved claims share out what is due, none twice.
/// 4. After its lease has ended a delivery may be claimed again, with another fence, never one that was
///    used before.
/// 5. A settlement with a stale fence does nothing of its item. A fence is stale once its delivery was
///    claimed again, released, settled or removed; from the end of its lease on a store may refuse it.
/// 6. An attempt and the delivery's next state are recorded together or not at all.
/// 7. [`claim`](Self::claim) gives only what is due; at most `limit` deliveries and `max_bytes` of
///    payload (a single larger one comes alone); and only as far as the [`Quota`] leaves room, counting
///    this holder's live leases, those that publishing took included.
/// 8. Lanes take turns, and the turn is remembered between claims: of n lanes with something due, n claims
///    of one each serve all n, whatever backlog others hold. Within a lane the earliest due comes first. A
///    saturated lane is not even looked at.
/// 9. No due delivery is ever stranded: whatever publish, claim, settle and commit do concurrently, a
///    later claim finds it.
/// 10. [`commit`](Self::commit) with an old revision is [`Conflict`](StoreErrorKind::Conflict) and
///     changes nothing. A publication routed at an old revision is [`Stale`](PublishAnswer::Stale) and
///     writes nothing.
/// 11. Hook ids are never used again, not even after the tenant was erased.
/// 12. After `commit` returned, no new claim is made for a deleted webhook (its deliveries end
///     `Cancelled`) or a disabled one (they wait; on enable they resume or are dropped, as asked). Both
///     cost the same whatever the backlog, and what was dropped reads as `Cancelled` at once, as ended then,
///     whatever upkeep does later and when. A claim that was out already still settles: an end is recorded,
///     and what would wait again is cancelled.
/// 13. A delivery that has waited for its `expires` is not claimed any more, and ends `Expired` by the next
///     claim or [`tend`](Self::tend); one that was dropped has ended already. So everything ends, and what has ended never becomes
///     pending again: [`redeliver`](Self::redeliver) makes a new delivery with the old one as its origin.
/// 14. One tenant's ids are nothing to another.
/// 15. Absence is `None`. Payload bytes come back identical.
/// 16. Paging shows each item that was visible at the first page once, while others write. A cursor that the
///     listing cannot have given is [`InvalidCursor`](StoreErrorKind::InvalidCursor), never the first page; take
///     it by [`PageRequest::cursor_as`].
/// 17. An unrouted event is routed once, in order of publishing within its tenant; one that cannot be
///     routed ends in the log with the reason. They are given under the lease of the claim, at most `limit`
///     of them, and a tenant's later ones wait while an earlier one is out; [`release`](Self::release)
///     gives them up too. Their digest is [`StampedEvent::digest`](crate::model::StampedEvent::digest).
/// 18. [`tend`](Self::tend) removes only what has ended and is older than it keeps: an event is as old as the
///     last end among its deliveries. [`erase`](Self::erase) removes a tenant's webhooks, events, secrets and log, claimed ones too.
/// 19. [`release`](Self::release) makes a stopped holder's deliveries due at once, their attempts uncounted. An exclusive store does
///     so for the previous owner when it is opened.
///
/// # Errors
///
/// Every method fails with [`StoreError`] alone, and its kind says whether trying again can help.
/// "Nothing was found" is no error.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// Reads all that a tenant has registered; an empty registry for a tenant that never did.
    async fn registry(&self, tenant: &TenantId) -> Result<Registry, StoreError>;

    /// Applies one change if the registry is still at `expected`, and gives the new revision.
    ///
    /// A created webhook must carry the registry's next hook id. [`RegisteredWebhook`](crate::registry::RegisteredWebhook)
    /// is stored as it is given, its version too; the revision and the next hook id are the store's. An update
    /// ends the lane's backoff, and forgets its health when the webhook
    /// [starts afresh](crate::registry::RegisteredWebhook::starts_afresh_as).
    ///
    /// # Errors
    ///
    /// [`Conflict`](StoreErrorKind::Conflict) when the registry has changed since, so that the change names
    /// a webhook that is not there or an id that was given: read it and decide again.
    ///
    /// # Cancellation
    ///
    /// The change is applied whole or not at all.
    async fn commit(
        &self,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Revision, StoreError>;

    /// Lists the tenants that have webhooks or events, in an order that stays.
    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, StoreError>;

    /// Writes events with their deliveries, and answers for each in order.
    ///
    /// With `hold`, the publisher's own dispatcher stands ready. Each new delivery is written already claimed
    /// under that request, and given back in [`Published::held`], if its lane is enabled, not in a backoff and has
    /// nothing else waiting that is due, as far as limit, bytes and quota of the request reach. It saves the
    /// claim.
    ///
    /// # Cancellation
    ///
    /// Each item is published or not, never half. What was held for a cancelled call is due again when its
    /// lease ends.
    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError>;

    /// Writes the deliveries of events that [`claim`](Self::claim) gave unrouted, and answers for each.
    ///
    /// # Cancellation
    ///
    /// Each item is routed or not; those that are not will be given again.
    async fn route(&self, routed: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError>;

    /// Makes a new delivery of each of these ended or pending ones, for the same webhook: due now, without
    /// attempts. `None` for those that the tenant does not have, or whose webhook is gone.
    ///
    /// # Cancellation
    ///
    /// Each item is redelivered or not.
    async fn redeliver(
        &self,
        tenant: &TenantId,
        redeliveries: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError>;

    /// Takes what is due, for the time of a lease.
    ///
    /// # Cancellation
    ///
    /// What a cancelled call took is due again when its lease ends.
    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError>;

    /// Records what came of claims, and answers for each in order.
    ///
    /// # Cancellation
    ///
    /// Each item is settled or not, never half; settling it again is harmless.
    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError>;

    /// Gives up all that `holder` has claimed: it is due at once.
    ///
    /// # Cancellation
    ///
    /// Part of it may be released; releasing again is harmless.
    async fn release(&self, holder: HolderId) -> Result<(), StoreError>;

    /// Waits until work may have come after the claim that gave `since`: by publishing, routing, redelivering,
    /// a commit, a release, or a settlement that lets a delivery wait again. It may return early, and a store
    /// that gets no such hints waits for ever: see [`poll_every`](Self::poll_every).
    async fn wake(&self, since: WakeMark);

    /// How often to claim without a hint, for a store to which work can come unnoticed.
    fn poll_every(&self) -> Option<Duration>;

    /// Reads one event with what routing decided.
    async fn event(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<EventRecord>, StoreError>;

    /// Lists deliveries, newest first.
    async fn deliveries(
        &self,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Result<Page<Delivery>, StoreError>;

    /// Reads the attempts of one delivery, in order; `None` when the tenant has no such delivery.
    async fn attempts(
        &self,
        tenant: &TenantId,
        delivery: DeliveryId,
    ) -> Result<Option<Vec<Attempt>>, StoreError>;

    /// Counts what waits.
    async fn stats(&self, scope: &StatsScope) -> Result<Stats, StoreError>;

    /// Does one bounded step of upkeep: ends what has expired or was dropped, and removes what ended long
    /// ago.
    async fn tend(&self, request: &TendRequest) -> Result<Tended, StoreError>;

    /// Removes one bounded part of all that a tenant has: its webhooks at the first step, and at most `limit`
    /// events at each. The revision and the next hook id stay for ever; the revision grows where webhooks
    /// went.
    async fn erase(&self, tenant: &TenantId, limit: usize) -> Result<Erased, StoreError>;
}

/// A shared store is a store.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn registry(&self, tenant: &TenantId) -> Result<Registry, StoreError> {
        (**self).registry(tenant).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Revision, StoreError> {
        (**self).commit(tenant, expected, change).await
    }

    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, StoreError> {
        (**self).tenants(page).await
    }

    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError> {
        (**self).publish(publications, hold).await
    }

    async fn route(&self, routed: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError> {
        (**self).route(routed).await
    }

    async fn redeliver(
        &self,
        tenant: &TenantId,
        redeliveries: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        (**self).redeliver(tenant, redeliveries).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        (**self).claim(request).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        (**self).settle(settlements).await
    }

    async fn release(&self, holder: HolderId) -> Result<(), StoreError> {
        (**self).release(holder).await
    }

    async fn wake(&self, since: WakeMark) {
        (**self).wake(since).await;
    }

    fn poll_every(&self) -> Option<Duration> {
        (**self).poll_every()
    }

    async fn event(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<EventRecord>, StoreError> {
        (**self).event(tenant, id).await
    }

    async fn deliveries(
        &self,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Result<Page<Delivery>, StoreError> {
        (**self).deliveries(tenant, query).await
    }

    async fn attempts(
        &self,
        tenant: &TenantId,
        delivery: DeliveryId,
    ) -> Result<Option<Vec<Attempt>>, StoreError> {
        (**self).attempts(tenant, delivery).await
    }

    async fn stats(&self, scope: &StatsScope) -> Result<Stats, StoreError> {
        (**self).stats(scope).await
    }

    async fn tend(&self, request: &TendRequest) -> Result<Tended, StoreError> {
        (**self).tend(request).await
    }

    async fn erase(&self, tenant: &TenantId, limit: usize) -> Result<Erased, StoreError> {
        (**self).erase(tenant, limit).await
    }
}
