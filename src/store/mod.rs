//! Keeping state: the [`Store`] trait, its contract, and [`MemoryStore`].
//!
//! # Implementing a store
//!
//! 1. Implement [`Store`] for your type. Read the contract below: each of its points has a number, and
//!    each number is a case of the conformance suite.
//! 2. Run the suite: `hookwire::testing::store_conformance!` (feature `testing`) makes one test of each
//!    point. There are no capability flags: every store passes every case.
//! 3. Build on the pure parts: [`Settlement::health_after`], [`Settlement::backoff_after`] and [`Disable::applied_to`]
//!    change a lane. [`HeldCounts`] counts the places that a holder has taken, and [`Usage`] the time for which it had
//!    them. Of the lanes with room and something due, serve one of the tenant with the least [`Usage::of_tenant`], and
//!    of its lanes one with the least [`Usage::of_webhook`]. While the holder
//!    [has no spare places](HeldCounts::has_spare), serve only `Proven` lanes of a tenant that
//!    [is light](Usage::is_light), and one that [may be first](HeldCounts::may_be_first).
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
//! A dispatcher, the *holder*, claims due deliveries. Each takes a *place* of its quota under a *lease*, whose proof is the
//! *fence*, until it is *settled*: an attempt and what follows from it are recorded together.
//!
//! - For each tenant a [registry](crate::registry::Registry) at a revision.
//! - For each webhook a *lane*: its queue, its [`Health`], the end of its backoff, and an
//!   epoch. The epoch grows when the backlog is dropped, so that dropping costs the same whatever the backlog.
//! - For each event its content, the decisions of routing, and its deliveries with their attempts. The id of a
//!   delivery is unique in the store and never used again.

mod claim;
mod delegate;
mod disabled;
mod error;
mod lease;
mod leases;
mod memory;
mod pace;
mod publication;
mod quota;
mod ready;
mod records;
mod routing;
mod schedule;
#[cfg(test)]
mod schedule_tests;
mod settlement;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod statistics;
mod time;
mod usage;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::delivery::Health;
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, HookId, MessageId, MessageQuery, MessageRecord, Page,
    PageRequest, TenantId, Timestamp,
};
use crate::registry::{Registry, RegistryChange, Revision};

#[doc(no_inline)]
pub use crate::delegate_store;
pub use claim::{Claim, ClaimRequest, Claimed};
pub use disabled::{DisabledKey, DisabledWebhook, InvalidDisabledKey};
pub use error::{StoreError, StoreErrorKind};
pub use lease::{Fence, HolderId, WakeMark};
pub use memory::MemoryStore;
pub use publication::{
    Addition, Publication, PublishAnswer, Published, Receipt, Recovered, Recovery, Redelivery, Reservation,
};
pub use quota::{HeldCounts, Quota};
pub use records::{Erased, EventRecord, RoutingRecord, Stats, StatsScope, TendRequest, Tended};
pub use routing::{RouteAnswer, Routed, Routing, Skipped, Unrouted};
pub use settlement::{Disable, Effect, Settled, Settlement};
#[cfg(feature = "sqlite")]
pub use sqlite::{Durability, OpenError, SqliteOptions, SqliteStore};
pub use statistics::{Counted, Hour, HourCount, Statistics};
pub use usage::{PlaceTime, Usage};

/// A place where webhooks, events, deliveries and attempts are kept.
///
/// All publishers and all dispatchers share a store. Times in arguments are durations. The store adds them to its own
/// clock, so machines whose clocks disagree do no harm.
///
/// # Contract
///
/// 1. A publication is written whole or not at all, and every later read sees it. When [`publish`](Self::publish)
///    returns, it is as durable as the store ever makes it. One bad item fails alone: an item with a target that
///    the registry does not have is [`Failed`](PublishAnswer::Failed).
/// 2. A message id is published once a tenant, for as long as the event is kept and whatever the registry has become.
///    The same content again, as [`Publication::judge`] finds, is [`Duplicate`](PublishAnswer::Duplicate) with the first
///    receipt; other content is [`IdReused`](PublishAnswer::IdReused). The same holds for the events that a host's own
///    transaction wrote.
/// 3. A delivery has at most one live claim. Concurrent claims share the due deliveries, and none gets the same one.
/// 4. After its lease has ended, a delivery may be claimed again, with another fence. A fence is never used twice.
/// 5. A settlement with a stale fence changes nothing. A fence is stale once its delivery was claimed again, released,
///    settled or removed. From the end of the lease on, a store may refuse it.
/// 6. An attempt, the delivery's next state and its position in the schedule are recorded together or not at all. The
///    log keeps an attempt in place of the one before it where
///    [`replaces_previous`](Attempt::replaces_previous) says so; both are counted. The answer tells the [`Effect`].
/// 7. [`claim`](Self::claim) returns only due deliveries, at most `limit` of them with at most `max_bytes` of payload
///    (a single larger one comes alone). It returns no more than the [`Quota`] leaves room for, counting all live
///    leases of this holder, those that publishing took included. [`claim_of`](Self::claim_of) does the same, and returns
///    deliveries and unrouted events of its tenant alone.
/// 8. The tenant is served next whose places of this holder were taken for the least time in about the last minute, and
///    within it the lane likewise, whatever backlog others have: see [`Usage`]. Those of equal use take turns, also
///    across claims. If slow receivers leave an `Unproven` lane no room, a tenant that holds nothing
///    [may be first](HeldCounts::may_be_first), before all others. The last sixteenth of the places in all is kept for
///    [`Proven`](crate::delivery::LaneClass::Proven) lanes of tenants that [use little](Usage::is_light). Within a
///    lane, first attempts come before retries, but every fourth place is for a retry that is due; of each kind, the
///    earliest due comes first. A claim does not look at saturated lanes.
/// 9. No due delivery is ever stranded: whatever publish, claim, settle and commit do concurrently, a later claim
///    finds it.
/// 10. [`commit`](Self::commit) at an old revision is [`Conflict`](StoreErrorKind::Conflict) and changes nothing. A
///     publication that was routed at an old revision is [`Stale`](PublishAnswer::Stale) and writes nothing.
/// 11. Hook ids are never used again, not even after the tenant was erased.
/// 12. After `commit` has returned, no new claim is made for a deleted webhook, whose deliveries end `Cancelled`, or
///     for one that is disabled or paused, or whose tenant is suspended: its deliveries wait. Enabling resumes or drops
///     them, as requested. All of this costs the same whatever the backlog. Dropped deliveries read as `Cancelled` at once, with that time as their end, whenever
///     upkeep ends them. A claim that was out already still settles: an end is recorded, and a delivery that would
///     wait again is cancelled. The registry says since when and why a webhook is disabled, and
///     [`disabled`](Self::disabled) lists those that hookwire disabled by itself.
/// 13. A delivery that has waited for its `expires` is not claimed any more, and the next claim or
///     [`tend`](Self::tend) ends it `Expired`, unless it was dropped and so has ended already. The answer tells how many. Every delivery ends,
///     and an ended one never becomes pending again: [`redeliver`](Self::redeliver) makes a new delivery with the old
///     one as its origin.
/// 14. The ids of one tenant mean nothing to another.
/// 15. Absence is `None`. Payload bytes and the trace of an event come back identical.
/// 16. Paging shows each item that was visible at the first page once, while others write. A cursor that the listing
///     cannot have returned is [`InvalidCursor`](StoreErrorKind::InvalidCursor), never the first page; read it by
///     [`PageRequest::cursor_as`]. [`attempts`](Self::attempts) answers for each delivery in the order of the request.
/// 17. An unrouted event is routed once, in order of publishing within its tenant. An event that cannot be routed
///     ends in the log with the reason. A claim returns at most `limit` unrouted events under its lease. Later events
///     of a tenant wait while an earlier one is out. [`release`](Self::release) releases them too. Their digest is
///     [`StampedEvent::digest`](crate::model::StampedEvent::digest).
/// 18. [`tend`](Self::tend) removes only events that have ended and are older than it keeps. An event is as old as
///     the last end among its deliveries. [`erase`](Self::erase) removes a tenant's webhooks, events, secrets and
///     log, claimed deliveries included.
/// 19. [`release`](Self::release) makes the deliveries of a stopped holder due at once, without counting an attempt.
///     A store with one owner does so for the previous owner when it is opened.
/// 20. [`recover`](Self::recover) makes at most one new delivery of an origin: none if the origin has a later one already,
///     its webhook is gone, or the event's payload is. A step makes no more than its page allows, and is bounded in what it
///     looks at; following [`Recovered::next`] to the end comes upon every delivery that had ended at the first step. In
///     their lane, the new ones stand behind first attempts.
/// 21. [`tend`](Self::tend) removes the payload of an event once it is older than `keep_payloads`, by the same age as in
///     point 18, and nothing else of it. What has not ended keeps its payload.
/// 22. Dues, leases, backoffs, expiry and ages count in the store's own time, which no step of the date moves; what is shown
///     is the date. A store that all share by the clock of a database has that clock alone: a step back delays what waits
///     by the step, or by the longest delay if that is less, and strands nothing.
/// 23. Of a webhook with a [limit in flight](crate::model::DeliveryOptions::with_max_in_flight), no more deliveries are
///     claimed at once than that, by all holders together; those that were claimed before it had the limit need not
///     count. Of one with a [rate](crate::model::DeliveryOptions::with_rate), no more are claimed than its slots allow:
///     as many as the rate, each taken by a claim for the request's [`start_within`](ClaimRequest::start_within) and a
///     second. Publishing holds nothing of either. [`Claimed::next_in`] ignores such a delivery until it may be
///     claimed.
/// 24. [`add`](Self::add) makes at most one delivery of an event to a webhook, however many ask for it at once. In its lane
///     it stands behind first attempts.
/// 25. After [`erase_payload`](Self::erase_payload) has returned, no claim and no listing gives the payload or an answer to
///     it. What was claimed before is fenced; a dropped delivery stays cancelled. The id of the message stays used.
/// 26. [`count`](Self::count) adds to the counts of a webhook in an hour, also concurrently, and
///     [`statistics`](Self::statistics) returns the sums. Counts of a webhook that the tenant does not have are
///     dropped. [`tend`](Self::tend) removes hours that ended longer ago than it keeps; the last success stays as long
///     as the webhook. Deleting the webhook removes its counts.
/// 27. The registry has the [record](crate::model::CreationRecord) of the key under which a webhook was created, whatever
///     changes of it. To create another under [the same key](crate::model::CreationRecord::has_key_of) is
///     [`Conflict`](StoreErrorKind::Conflict) and changes nothing, until that webhook is deleted.
///
/// # Errors
///
/// Every method fails with [`StoreError`] alone. Its kind says whether trying again can help. Finding nothing is not
/// an error.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// Reads the registry of a tenant. It is empty for a tenant that never registered anything.
    async fn registry(&self, tenant: &TenantId) -> Result<Registry, StoreError>;

    /// Applies one change if the registry is still at `expected`, and returns the new revision.
    ///
    /// A created webhook must have the registry's next hook id. The
    /// [`RegisteredWebhook`](crate::registry::RegisteredWebhook) is stored as it is, with its version. The store
    /// counts the revision and the next hook id. An update ends the lane's backoff, and resets its health when the
    /// webhook [starts afresh](crate::registry::RegisteredWebhook::starts_afresh_as).
    ///
    /// # Errors
    ///
    /// [`Conflict`](StoreErrorKind::Conflict) when the registry has changed since, or the change names a webhook that
    /// does not exist, an id that was used, or a creation key that was. Read the registry and decide again.
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

    /// Reads the health of a webhook's lane; `None` when the tenant has no such webhook.
    async fn health(&self, tenant: &TenantId, hook_id: HookId) -> Result<Option<Health>, StoreError>;

    /// Lists the webhooks of all tenants that are disabled and that hookwire disabled by itself, since this date, in the
    /// [order](DisabledKey) of the dates.
    async fn disabled(
        &self,
        since: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<DisabledWebhook>, StoreError>;

    /// Lists the tenants that have webhooks or events, in a fixed order.
    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, StoreError>;

    /// Writes events with their deliveries, and answers for each in order.
    ///
    /// With `hold`, the publisher's own dispatcher is ready for deliveries. A new delivery is written already claimed
    /// under that request, and returned in [`Published::held`], if its lane is enabled, in no backoff and has nothing
    /// else due, and if limit, bytes and quota of the request leave room. This saves a claim. The last places are kept
    /// as in a claim.
    ///
    /// # Cancellation
    ///
    /// Each item is published or not, never half. Deliveries that were held for a cancelled call are due again when
    /// their leases end.
    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError>;

    /// Writes the deliveries of events that [`claim`](Self::claim) returned unrouted, and answers for each.
    ///
    /// # Cancellation
    ///
    /// Each item is routed or not. A later claim returns those that are not.
    async fn route(&self, routed: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError>;

    /// Makes a new delivery of each of these, ended or pending, for the same webhook, due now and without attempts.
    /// `None` for those that the tenant does not have, or whose webhook or payload is gone.
    ///
    /// # Cancellation
    ///
    /// Each item is redelivered or not.
    async fn redeliver(
        &self,
        tenant: &TenantId,
        redeliveries: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError>;

    /// Makes a delivery of each of these events to a webhook that has none of it, due now and behind first attempts. `None`
    /// for those that the tenant does not have, that wait for routing or of which the webhook has a delivery already, or
    /// where the webhook or the payload is gone.
    ///
    /// # Cancellation
    ///
    /// Each delivery is made or not.
    async fn add(
        &self,
        tenant: &TenantId,
        additions: &[Addition],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError>;

    /// Removes the payload of an event, and what is kept of its receivers' answers, and ends its pending deliveries as
    /// `Erased`. Returns whether the tenant has the event.
    ///
    /// # Errors
    ///
    /// [`Conflict`](StoreErrorKind::Conflict) while the event waits for routing.
    ///
    /// # Cancellation
    ///
    /// All of it is done or nothing.
    async fn erase_payload(&self, tenant: &TenantId, message: &MessageId) -> Result<bool, StoreError>;

    /// Does one bounded step of delivering again what a webhook has missed: makes a new delivery, as
    /// [`redeliver`](Self::redeliver) does, of each of its deliveries that ended `Exhausted` or `Expired` since a date and
    /// of which none was made yet, newest first.
    ///
    /// # Errors
    ///
    /// [`InvalidCursor`](StoreErrorKind::InvalidCursor) for a cursor that no step gave.
    ///
    /// # Cancellation
    ///
    /// The step is done or not. Doing it again makes no delivery twice.
    async fn recover(&self, tenant: &TenantId, recovery: &Recovery) -> Result<Recovered, StoreError>;

    /// Claims due deliveries, for the time of a lease.
    ///
    /// # Cancellation
    ///
    /// Deliveries that a cancelled call took are due again when their lease ends.
    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError>;

    /// Claims due deliveries of one tenant, as [`claim`](Self::claim) does, whatever waits of others. A dispatcher that
    /// runs for one tenant alone does so.
    ///
    /// # Cancellation
    ///
    /// As with [`claim`](Self::claim).
    async fn claim_of(&self, tenant: &TenantId, request: &ClaimRequest) -> Result<Claimed, StoreError>;

    /// Records the results of claims, and answers for each in order.
    ///
    /// # Cancellation
    ///
    /// Each item is settled or not, never half; settling it again is harmless.
    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError>;

    /// Releases every claim of `holder`: its deliveries are due at once.
    ///
    /// # Cancellation
    ///
    /// Part of it may be released; releasing again is harmless.
    async fn release(&self, holder: HolderId) -> Result<(), StoreError>;

    /// Waits until work may have come after the claim that returned `since`: by publishing, routing, redelivering, a
    /// commit, a release, or a settlement that lets a delivery wait again. It may return early. A store without such
    /// hints waits for ever: see [`poll_every`](Self::poll_every).
    async fn wake(&self, since: WakeMark);

    /// Returns how often to claim without a hint, for a store to which work can come unnoticed.
    ///
    /// `None` for a store whose [`wake`](Self::wake) tells of all work.
    fn poll_every(&self) -> Option<Duration>;

    /// Reads one event with the decisions of routing.
    async fn event(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<EventRecord>, StoreError>;

    /// Lists events, newest first.
    async fn messages(
        &self,
        tenant: &TenantId,
        query: &MessageQuery,
    ) -> Result<Page<MessageRecord>, StoreError>;

    /// Lists deliveries, newest first.
    async fn deliveries(
        &self,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Result<Page<Delivery>, StoreError>;

    /// Reads the attempts of each of these deliveries, in order; `None` for one that the tenant does not have.
    async fn attempts(
        &self,
        tenant: &TenantId,
        deliveries: &[DeliveryId],
    ) -> Result<Vec<Option<Vec<Attempt>>>, StoreError>;

    /// Counts the deliveries that have not ended.
    async fn stats(&self, scope: &StatsScope) -> Result<Stats, StoreError>;

    /// Adds to the counts of webhooks' attempts, for the counter `holder`. The caller bounds their number.
    ///
    /// # Errors
    ///
    /// After an error each count may be added or not. A caller that does not try again counts nothing twice.
    ///
    /// # Cancellation
    ///
    /// Each count is added or not, never half.
    async fn count(&self, holder: HolderId, counts: &[Counted]) -> Result<(), StoreError>;

    /// Reads the counts of a webhook's attempts from the hour of `since` on, and its last success; `None` when the
    /// tenant has no such webhook.
    async fn statistics(
        &self,
        tenant: &TenantId,
        hook_id: HookId,
        since: Timestamp,
    ) -> Result<Option<Statistics>, StoreError>;

    /// Does one bounded step of upkeep: ends expired and dropped deliveries, and removes events that ended long ago, their
    /// payloads, and what was counted in hours as long ago.
    async fn tend(&self, request: &TendRequest) -> Result<Tended, StoreError>;

    /// Removes one bounded part of a tenant's data: its webhooks at the first step, and at most `limit` events at
    /// each. The revision and the next hook id stay for ever. The revision grows when webhooks are removed.
    async fn erase(&self, tenant: &TenantId, limit: usize) -> Result<Erased, StoreError>;
}

/// A shared store is a store.
#[async_trait]
impl<S: Store + ?Sized> Store for Arc<S> {
    delegate_store! { |self| **self;
    registry, commit, health, disabled, tenants, publish, route, redeliver, add, recover, claim, claim_of, settle, release, wake,
    poll_every, event, messages, deliveries, attempts, stats, count, statistics, tend, erase_payload, erase }
}
