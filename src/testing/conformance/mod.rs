//! The contracts of [`Store`] and [`Transport`](crate::transport::Transport) as cases that any
//! implementation runs.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use async_trait::async_trait;
//! use hookwire::clock::ManualClock;
//! use hookwire::model::StampedEvent;
//! use hookwire::store::{MemoryStore, Store};
//! use hookwire::testing::conformance::StoreFixture;
//! use hookwire::TenantId;
//!
//! struct Fixture {
//!     store: Arc<MemoryStore>,
//!     clock: ManualClock,
//! }
//!
//! #[async_trait]
//! impl StoreFixture for Fixture {
//!     fn store(&self) -> Arc<dyn Store> {
//!         Arc::clone(&self.store) as _
//!     }
//!
//!     async fn advance(&self, by: Duration) {
//!         self.clock.advance(by);
//!     }
//!
//!     async fn step(&self, seconds: i64) {
//!         self.clock.step(seconds);
//!     }
//!
//!     async fn write_unrouted(&self, tenant: &TenantId, event: StampedEvent) {
//!         self.store.publish_unrouted(tenant, event);
//!     }
//! }
//!
//! async fn fixture() -> Fixture {
//!     let clock = ManualClock::default();
//!     Fixture { store: Arc::new(MemoryStore::with_clock(clock.clone())), clock }
//! }
//!
//! // One `#[test]` for each point of the contract, in a module of this name.
//! hookwire::testing::store_conformance!(memory_store, crate::fixture());
//! # fn main() {}
//! ```

mod adding;
mod claiming;
mod claims;
mod history;
mod keeping;
mod keys;
mod publishing;
mod registering;
mod scene;
mod statistics;
mod stopping;
mod transport;
mod turns;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{StampedEvent, TenantId};
use crate::store::Store;

pub use adding::{payloads_are_erased, what_was_skipped_is_added_once};
pub use claiming::{caps_hold, nothing_is_stranded, one_tenant_is_claimed_alone};
pub use claims::{
    a_delivery_has_one_claim, attempt_and_state_go_together, leases_end, released_claims_are_due,
    stale_fences_do_nothing,
};
pub use history::{everything_ends, paging_is_stable, upkeep_removes_what_ended};
pub use keeping::{
    payloads_go_before_their_events, recovered_ones_stand_behind, steps_of_the_date_move_nothing,
    what_was_missed_is_recovered_once,
};
pub use keys::a_key_creates_one_webhook;
pub use publishing::{
    absence_is_none_and_bytes_stay, message_ids_are_published_once, publications_are_whole,
    unrouted_events_are_routed_once,
};
pub use registering::{
    disabled_and_deleted_get_nothing, hook_ids_are_never_reused, old_revisions_change_nothing,
    tenants_are_apart,
};
pub use statistics::attempts_are_counted;
pub use stopping::{limits_of_webhooks_hold, paused_and_suspended_wait};
pub use transport::{
    BodyEnd, TransportFixture, transport_answers, transport_keeps_heads, transport_keeps_its_deadline,
};
pub use turns::{lanes_take_turns, least_use_is_next};

/// A fresh store for one case, and power over its time.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// The store, empty.
    fn store(&self) -> Arc<dyn Store>;

    /// Lets time pass: the date and all that runs besides move on.
    async fn advance(&self, by: Duration);

    /// Steps the date by so many seconds, back if they are negative, while no time passes.
    async fn step(&self, seconds: i64);

    /// Returns whether the store counts in a time of its own, so that a step of the date moves nothing. The clock of a
    /// database is the only one that all its users have: with it, a step back delays what waits by as much.
    fn has_own_time(&self) -> bool {
        true
    }

    /// Writes an event without routing it, as a host's own transaction would.
    async fn write_unrouted(&self, tenant: &TenantId, event: StampedEvent);
}

/// Runs a case on a fixture, on a runtime of two threads. The macros call it.
///
/// # Panics
///
/// When the case finds a fault, and when no runtime can be built.
pub fn run<F, C>(fixture: impl Future<Output = F>, case: impl FnOnce(F) -> C)
where
    C: Future<Output = ()>,
{
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime for the case");
    runtime.block_on(async { case(fixture.await).await });
}

/// Makes one `#[test]` of each point of the contract of [`Store`](crate::store::Store), in a module of the
/// given name. The expression makes a future of a fresh
/// [`StoreFixture`](crate::testing::conformance::StoreFixture), once for each.
#[macro_export]
macro_rules! store_conformance {
    ($module:ident, $fixture:expr) => {
        $crate::store_conformance! {
            @cases $module, $fixture,
            point_01_publications_are_whole = publications_are_whole,
            point_02_message_ids_are_published_once = message_ids_are_published_once,
            point_03_a_delivery_has_one_claim = a_delivery_has_one_claim,
            point_04_leases_end = leases_end,
            point_05_stale_fences_do_nothing = stale_fences_do_nothing,
            point_06_attempt_and_state_go_together = attempt_and_state_go_together,
            point_07_caps_hold = caps_hold,
            point_07_one_tenant_is_claimed_alone = one_tenant_is_claimed_alone,
            point_08_lanes_take_turns = lanes_take_turns,
            point_08_least_use_is_next = least_use_is_next,
            point_09_nothing_is_stranded = nothing_is_stranded,
            point_10_old_revisions_change_nothing = old_revisions_change_nothing,
            point_11_hook_ids_are_never_reused = hook_ids_are_never_reused,
            point_12_disabled_and_deleted_get_nothing = disabled_and_deleted_get_nothing,
            point_12_paused_and_suspended_wait = paused_and_suspended_wait,
            point_13_everything_ends = everything_ends,
            point_14_tenants_are_apart = tenants_are_apart,
            point_15_absence_is_none_and_bytes_stay = absence_is_none_and_bytes_stay,
            point_16_paging_is_stable = paging_is_stable,
            point_17_unrouted_events_are_routed_once = unrouted_events_are_routed_once,
            point_18_upkeep_removes_what_ended = upkeep_removes_what_ended,
            point_19_released_claims_are_due = released_claims_are_due,
            point_20_what_was_missed_is_recovered_once = what_was_missed_is_recovered_once,
            point_20_recovered_ones_stand_behind = recovered_ones_stand_behind,
            point_21_payloads_go_before_their_events = payloads_go_before_their_events,
            point_22_steps_of_the_date_move_nothing = steps_of_the_date_move_nothing,
            point_23_limits_of_webhooks_hold = limits_of_webhooks_hold,
            point_24_what_was_skipped_is_added_once = what_was_skipped_is_added_once,
            point_25_payloads_are_erased = payloads_are_erased,
            point_26_attempts_are_counted = attempts_are_counted,
            point_27_a_key_creates_one_webhook = a_key_creates_one_webhook,
        }
    };
    (@cases $module:ident, $fixture:expr, $($test:ident = $case:ident,)*) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    $crate::testing::conformance::run($fixture, async |fixture| {
                        $crate::testing::conformance::$case(&fixture).await
                    });
                }
            )*
        }
    };
}

/// Makes one `#[test]` of each point of the contract of [`Transport`](crate::transport::Transport) that can
/// be told from outside, in a module of the given name. The expression makes a future of a
/// [`TransportFixture`](crate::testing::conformance::TransportFixture).
#[macro_export]
macro_rules! transport_conformance {
    ($module:ident, $fixture:expr) => {
        mod $module {
            #[test]
            fn points_1_2_and_4_answers_are_whole() {
                $crate::testing::conformance::run($fixture, async |fixture| {
                    $crate::testing::conformance::transport_answers(&fixture).await
                });
            }

            #[test]
            fn points_2_and_3_a_complete_head_is_a_response() {
                $crate::testing::conformance::run($fixture, async |fixture| {
                    $crate::testing::conformance::transport_keeps_heads(&fixture).await
                });
            }

            #[test]
            fn point_3_the_deadline_holds() {
                $crate::testing::conformance::run($fixture, async |fixture| {
                    $crate::testing::conformance::transport_keeps_its_deadline(&fixture).await
                });
            }
        }
    };
}
