//! Planted faults for the points of the contract about caps, turns, and that nothing is stranded.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::delivery::{Next, Report};
use hookwire::model::StampedEvent;
use hookwire::registry::{Backlog, RegistryChange};
use hookwire::store::{
    Claim, ClaimRequest, Claimed, HolderId, MemoryStore, Publication, Published, Settlement, Store, WakeMark,
};
use hookwire::testing::conformance::{self, StoreFixture};

use super::kinds::{ClaimAs, CommitAs, GiveAs, SettleAs, given_back, lock, of_nobody};
use super::{Answer, Fault, NoFault, catches, expose};
use crate::conformance::MemoryFixture;

catches! { caps_hold:
    claiming_above_the_limit_is_found = ClaimAs(|it| ClaimRequest { limit: it.limit + 1, ..it })
        => "at most `limit`",
    claiming_above_the_cap_of_a_webhook_is_found = ClaimAs(|it| {
        let quota = it.quota.with_per_webhook(2 * it.quota.per_webhook());
        ClaimRequest { quota, ..it }
    }) => "at most two of a webhook",
    claiming_above_the_cap_of_a_tenant_is_found = ClaimAs(|it| {
        let quota = it.quota.with_per_tenant(2 * it.quota.per_tenant());
        ClaimRequest { quota, ..it }
    }) => "what is held already counts",
    claiming_above_the_cap_of_all_is_found = ClaimAs(|it| {
        let quota = it.quota.with_in_all(2 * it.quota.in_all());
        ClaimRequest { quota, ..it }
    }) => "six of twelve may be unproven",
    leases_that_do_not_count_are_found = NewHolderEachTime::default() => "what is held already counts",
    leases_of_others_that_count_are_found = ClaimAs(|it| ClaimRequest { holder: HolderId::new(1), ..it })
        => "what another holds does not count",
    claiming_too_many_bytes_is_found = ClaimAs(|it| ClaimRequest { max_bytes: usize::MAX, ..it })
        => "a larger one comes alone",
    twice_the_bytes_are_found = ClaimAs(|it| {
        ClaimRequest { max_bytes: it.max_bytes.saturating_mul(2), ..it }
    }) => "at most `max_bytes`",
    a_large_one_that_never_comes_is_found = HoldsBackLargeOnes => "a larger one comes alone",
    full_claims_of_hanging_lanes_are_found = SettleAs(|it| match it.report {
        Report::Timeout => Settlement { report: Report::NoAttempt, ..it },
        _ => it,
    }) => "one probe",
    a_full_tenant_that_stops_the_others_is_found = StopsAtAFullTenant::default()
        => "a full tenant leaves the others their room",
}

catches! { one_tenant_is_claimed_alone:
    a_claim_for_one_that_takes_of_all_is_found = ClaimsOfAll => "none of another tenant's",
    a_claim_for_one_that_leaves_some_out_is_found = LeavesOneOut => "all of the tenant's",
    a_claim_for_one_above_the_limit_is_found = ClaimsTwoMore => "at most `limit`",
    a_claim_for_one_that_routes_for_all_is_found = RoutesForAll => "the tenant's unrouted event alone",
    a_claim_for_one_that_takes_from_others_is_found = TakesFromOthers => "left to whoever claims",
}

/// Claims for one tenant as for all.
struct ClaimsOfAll;

#[async_trait]
impl Fault for ClaimsOfAll {
    async fn claim_of(&self, inner: &MemoryStore, _: &TenantId, request: &ClaimRequest) -> Answer<Claimed> {
        inner.claim(request).await
    }
}

/// Forgets the last delivery of a claim for one tenant.
struct LeavesOneOut;

#[async_trait]
impl Fault for LeavesOneOut {
    async fn claim_of(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        request: &ClaimRequest,
    ) -> Answer<Claimed> {
        let mut claimed = inner.claim_of(tenant, request).await?;
        if claimed.deliveries.len() > 1 {
            claimed.deliveries.pop();
        }
        Ok(claimed)
    }
}

/// Claims two more for one tenant than it may.
struct ClaimsTwoMore;

#[async_trait]
impl Fault for ClaimsTwoMore {
    async fn claim_of(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        request: &ClaimRequest,
    ) -> Answer<Claimed> {
        inner.claim_of(tenant, &ClaimRequest { limit: request.limit.saturating_add(2), ..*request }).await
    }
}

/// Routes for all tenants in a claim for one.
struct RoutesForAll;

#[async_trait]
impl Fault for RoutesForAll {
    async fn claim_of(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        request: &ClaimRequest,
    ) -> Answer<Claimed> {
        let mut claimed = inner.claim_of(tenant, request).await?;
        let others = inner.claim(&of_nobody(9)).await?;
        give_back(inner, &others.deliveries).await?;
        claimed.unrouted.extend(others.unrouted);
        Ok(claimed)
    }
}

/// Claims of all, keeps what the tenant has, and forgets the others.
struct TakesFromOthers;

#[async_trait]
impl Fault for TakesFromOthers {
    async fn claim_of(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        request: &ClaimRequest,
    ) -> Answer<Claimed> {
        let claimed = inner.claim_of(tenant, request).await?;
        inner.claim(&of_nobody(1)).await?;
        Ok(claimed)
    }
}

/// Counts only what one claim takes.
#[derive(Default)]
struct NewHolderEachTime(AtomicU32);

#[async_trait]
impl Fault for NewHolderEachTime {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let number = 100 + self.0.fetch_add(1, Ordering::Relaxed);
        inner.claim(&ClaimRequest { holder: HolderId::new(number.into()), ..*request }).await
    }
}

async fn give_back(inner: &MemoryStore, claims: &[Claim]) -> Answer<()> {
    inner.settle(&claims.iter().map(given_back).collect::<Vec<_>>()).await.map(drop)
}

/// Takes the most bytes for a bound on each.
struct HoldsBackLargeOnes;

#[async_trait]
impl Fault for HoldsBackLargeOnes {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let claimed = inner.claim(request).await?;
        let fits = |claim: &Claim| claim.event.payload.get().len() <= request.max_bytes;
        let (deliveries, large): (Vec<_>, Vec<_>) = claimed.deliveries.into_iter().partition(fits);
        give_back(inner, &large).await?;
        Ok(Claimed { deliveries, ..claimed })
    }
}

/// Serves the first tenant alone, even when there is no more room for it.
#[derive(Default)]
struct StopsAtAFullTenant(Mutex<Option<TenantId>>);

#[async_trait]
impl Fault for StopsAtAFullTenant {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let claimed = inner.claim(request).await?;
        let is_first = |claim: &Claim| *lock(&self.0).get_or_insert(claim.tenant.clone()) == claim.tenant;
        let (deliveries, others): (Vec<_>, Vec<_>) = claimed.deliveries.into_iter().partition(is_first);
        give_back(inner, &others).await?;
        Ok(Claimed { deliveries, ..claimed })
    }
}

catches! { lanes_take_turns:
    one_lane_served_before_the_others_is_found = Orders(|it| (it.hook.hook_id().get(), it.id.get()))
        => "each has its share",
    the_oldest_of_all_first_is_found = Orders(|it| (0, it.id.get()))
        => "a quiet webhook is served within one round",
    asking_again_at_once_for_full_lanes_is_found = GiveAs(|it| Claimed {
        next_in: Some(Duration::ZERO),
        ..it
    }) => "is no reason to ask again at once",
}

catches! { least_use_is_next:
    retries_before_first_attempts_are_found = Orders(|it| (-i64::from(it.attempts), 0))
        => "first attempts come before retries",
    retries_that_starve_are_found = Orders(|it| (i64::from(it.attempts), 0))
        => "every fourth place is a retry's",
    last_places_that_are_anybodys_are_found = ClaimAs(|it| match it.quota.in_all() {
        32 => ClaimRequest { quota: it.quota.with_in_all(34), ..it },
        _ => it,
    }) => "two places of thirty-two are kept for tenants that use little",
}

/// Takes what is due in the order of a key, and what has the same key in the right order.
struct Orders(fn(&Claim) -> (i64, i64));

#[async_trait]
impl Fault for Orders {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let mut claimed = inner.claim(&ClaimRequest { limit: usize::MAX, ..*request }).await?;
        claimed.deliveries.sort_by_key(self.0);
        let first = request.limit.min(claimed.deliveries.len());
        give_back(inner, &claimed.deliveries.split_off(first)).await?;
        Ok(claimed)
    }
}

/// A store for which no time passes, so that nobody ever uses more than others.
struct Timeless(MemoryFixture);

#[async_trait]
impl StoreFixture for Timeless {
    fn store(&self) -> Arc<dyn Store> {
        self.0.store()
    }

    async fn advance(&self, _: Duration) {}

    async fn step(&self, seconds: i64) {
        self.0.step(seconds).await;
    }

    async fn write_unrouted(&self, tenant: &TenantId, event: StampedEvent) {
        self.0.write_unrouted(tenant, event).await;
    }
}

#[test]
#[should_panic(expected = "the tenant that used least is next")]
fn a_store_that_goes_by_turns_alone_is_found() {
    expose(NoFault, async |fixture| conformance::least_use_is_next(&Timeless(fixture)).await);
}

catches! { nothing_is_stranded:
    claims_that_are_lost_now_and_then_are_found = LosesClaims::default()
        => "every delivery that was published is found",
    work_that_is_lost_beside_a_claim_is_found = LosesWhatRacesAClaim::default()
        => "every delivery that was published is found",
    retries_that_are_lost_are_found = SettleAs(|it| match it.next {
        Next::Again(_) => Settlement { next: Next::Again(Duration::from_secs(1_000_000)), ..it },
        _ => it,
    }) => "every delivery that was published is found",
    a_backlog_that_is_lost_beside_a_change_is_found = CommitAs(|change| match change {
        RegistryChange::Update(registered, _) => RegistryChange::Update(registered, Backlog::Drop),
        other => other,
    }) => "every delivery that was published is found",
    what_was_left_for_want_of_room_is_found = GiveAs(|it| Claimed { took_all: true, ..it })
        => "what is due was left for want of room",
    waking_never_is_found = WakesNever => "a store that is not polled must tell of news",
    waking_only_of_later_news_is_found = WakesLate => "a store that is not polled must tell of news",
}

/// Claims every seventh time without telling what.
#[derive(Default)]
struct LosesClaims(AtomicU32);

#[async_trait]
impl Fault for LosesClaims {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let mut claimed = inner.claim(request).await?;
        if self.0.fetch_add(1, Ordering::Relaxed) % 7 == 6 {
            claimed.deliveries.clear();
        }
        Ok(claimed)
    }
}

/// Loses what is published during a claim. A holder that does not exist takes it here.
#[derive(Default)]
struct LosesWhatRacesAClaim(AtomicBool);

#[async_trait]
impl Fault for LosesWhatRacesAClaim {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let claimed = inner.claim(request).await?;
        self.0.store(true, Ordering::Relaxed);
        tokio::task::yield_now().await;
        self.0.store(false, Ordering::Relaxed);
        Ok(claimed)
    }

    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let nobody = of_nobody(1);
        let taken = self.0.load(Ordering::Relaxed).then_some(&nobody);
        let published = inner.publish(items, hold.or(taken)).await?;
        let held = if taken.is_some() { Vec::new() } else { published.held };
        Ok(Published { held, ..published })
    }
}

struct WakesNever;

#[async_trait]
impl Fault for WakesNever {
    async fn wake(&self, _: &MemoryStore, _: WakeMark) {
        std::future::pending().await
    }
}

/// Hears only what comes after it has begun to listen.
struct WakesLate;

#[async_trait]
impl Fault for WakesLate {
    async fn wake(&self, inner: &MemoryStore, _: WakeMark) {
        let claimed = inner.claim(&of_nobody(0)).await.unwrap_or_default();
        inner.wake(claimed.mark).await;
    }
}
