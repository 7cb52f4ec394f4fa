//! Planted faults for the points of the contract about leases, fences and settlements.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::delivery::{Next, Report};
use hookwire::model::{Attempt, DeliveryId, DisableReason};
use hookwire::registry::{RegistryChange, Revision};
use hookwire::retry::RetryState;
use hookwire::store::{
    Claim, ClaimRequest, Claimed, Disable, Effect, Fence, HolderId, MemoryStore, Settled, Settlement, Store,
};

use super::kinds::{
    AnswerAs, ApplyAll, ClaimAs, GiveAs, Ledger, SettleAs, ShowAttemptsAs, ShowRegistryAs, given_back, lock,
    of_nobody,
};
use super::{Answer, Fault, catches};

catches! { a_delivery_has_one_claim:
    a_delivery_given_to_two_is_found = GivesTheLastAgain::default() => "nothing is claimed twice",
    claims_that_overlap_when_interleaved_are_found = Overlaps::default() => "nothing is claimed twice",
    a_delivery_that_is_passed_over_is_found = GiveAs(|mut it| {
        it.deliveries.retain(|claim| claim.id.get() != 42);
        it
    }) => "and all that is due is shared out",
}

/// Adds what it gave before.
#[derive(Default)]
struct GivesTheLastAgain(Mutex<Option<Claim>>);

#[async_trait]
impl Fault for GivesTheLastAgain {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let mut claimed = inner.claim(request).await?;
        let last = claimed.deliveries.last().cloned();
        claimed.deliveries.extend(std::mem::replace(&mut *lock(&self.0), last));
        Ok(claimed)
    }
}

/// Reads first and takes later, so that a concurrent claim reads the same deliveries.
#[derive(Default)]
struct Overlaps(Mutex<Vec<Claim>>);

#[async_trait]
impl Fault for Overlaps {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let mut claimed = inner.claim(request).await?;
        let seen = std::mem::replace(&mut *lock(&self.0), claimed.deliveries.clone());
        claimed.deliveries.extend(seen);
        tokio::task::yield_now().await;
        lock(&self.0).clear();
        Ok(claimed)
    }
}

catches! { leases_end:
    a_fence_used_again_is_found = FencePerDelivery::default() => "a fence was used before",
    a_lease_that_ends_early_is_found = ClaimAs(|it| ClaimRequest { lease: it.lease / 2, ..it })
        => "the lease still holds",
    a_lease_without_end_is_found = NeverEnds => "one delivery is due, claimed 0",
    an_end_that_is_not_foretold_is_found = GiveAs(|it| Claimed { next_in: None, ..it })
        => "and its end is foretold",
    a_lease_that_is_not_extended_is_found = SettleAs(|it| match it.next {
        Next::Extend(by) => Settlement { next: Next::Extend(by / 4), ..it },
        _ => it,
    }) => "an extended lease holds",
    a_lease_that_cannot_be_shortened_is_found = SettleAs(|it| match it.next {
        Next::Extend(by) => Settlement { next: Next::Extend(by.max(Duration::from_secs(60))), ..it },
        _ => it,
    }) => "its new end is foretold",
    a_shortened_lease_that_ends_at_once_is_found = SettleAs(|it| match it.next {
        Next::Extend(by) if by < Duration::from_secs(60) => Settlement { next: Next::Release, ..it },
        _ => it,
    }) => "a shortened lease holds until it ends",
    a_shortened_lease_that_only_promises_its_end_is_found = PromisesTheEnd
        => "a shortened lease ends when it says",
    an_extension_without_end_is_found = SettleAs(|it| match it.next {
        Next::Extend(by) => Settlement { next: Next::Extend(by * 100), ..it },
        _ => it,
    }) => "one delivery is due, claimed 0",
}

/// The same fence for every claim on a delivery; the real one is found by its id.
#[derive(Default)]
struct FencePerDelivery(Ledger);

#[async_trait]
impl Fault for FencePerDelivery {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let mut claimed = inner.claim(request).await?;
        self.0.note(&claimed);
        for claim in &mut claimed.deliveries {
            claim.fence = Fence::new(claim.id.get().unsigned_abs());
        }
        Ok(claimed)
    }

    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        let real = |item: &Settlement| self.0.claim_on(item.id).map_or(item.fence, |claim| claim.fence);
        let items: Vec<_> = items.iter().map(|it| Settlement { fence: real(it), ..it.clone() }).collect();
        inner.settle(&items).await
    }
}

/// Claims for ever, though it promises the end.
struct NeverEnds;

#[async_trait]
impl Fault for NeverEnds {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let claimed = inner.claim(&ClaimRequest { lease: request.lease * 100, ..*request }).await?;
        Ok(Claimed { next_in: Some(Duration::ZERO), ..claimed })
    }
}

/// Shortens no lease, though it foretells an end at any time.
struct PromisesTheEnd;

#[async_trait]
impl Fault for PromisesTheEnd {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let claimed = inner.claim(request).await?;
        Ok(Claimed { next_in: claimed.next_in.map(|_| Duration::ZERO), ..claimed })
    }

    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        let lengthen = |next| match next {
            Next::Extend(by) => Next::Extend(by.max(Duration::from_secs(60))),
            next => next,
        };
        let items: Vec<_> =
            items.iter().map(|it| Settlement { next: lengthen(it.next), ..it.clone() }).collect();
        inner.settle(&items).await
    }
}

catches! { stale_fences_do_nothing:
    any_fence_that_settles_is_found = StaleDoes::new(Settled::Applied(Effect::default()), |it| it) => "one holds it",
    a_stale_attempt_that_is_recorded_is_found = StaleDoes::new(Settled::Fenced, |it| Settlement {
        attempt: it.attempt.clone(),
        ..nothing(it)
    }) => "nothing of a stale settlement is recorded",
    a_stale_settlement_that_disables_is_found = StaleDoes::new(Settled::Fenced, |it| Settlement {
        disable: it.disable,
        ..nothing(it)
    }) => "nor is the webhook disabled",
    a_stale_settlement_that_backs_off_is_found = StaleDoes::new(Settled::Fenced, |it| Settlement {
        backoff: it.backoff,
        ..nothing(it)
    }) => "one delivery is due, claimed 0",
    a_stale_report_that_the_lane_learns_is_found = StaleDoes::new(Settled::Fenced, |it| Settlement {
        report: it.report,
        ..nothing(it)
    }) => "nor is the lane touched",
    a_stale_settlement_that_ends_is_found = StaleDoes::new(Settled::Fenced, |it| Settlement {
        next: it.next,
        ..nothing(it)
    }) => "one holds it",
    settling_twice_is_found = SettlesTwice::default() => "settled once",
}

fn nothing(of: Settlement) -> Settlement {
    Settlement {
        attempt: None,
        next: Next::Extend(Duration::from_secs(30)),
        report: Report::NoAttempt,
        backoff: None,
        disable: None,
        ..of
    }
}

/// Applies part of a stale settlement, under the fence of the present claim.
struct StaleDoes {
    ledger: Ledger,
    answer: Settled,
    part: fn(Settlement) -> Settlement,
}

impl StaleDoes {
    fn new(answer: Settled, part: fn(Settlement) -> Settlement) -> Self {
        Self { ledger: Ledger::default(), answer, part }
    }
}

#[async_trait]
impl Fault for StaleDoes {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let claimed = inner.claim(request).await?;
        self.ledger.note(&claimed);
        Ok(claimed)
    }

    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        let mut answers = Vec::new();
        for item in items {
            let live = self.ledger.claim_on(item.id).map_or(item.fence, |claim| claim.fence);
            if live == item.fence {
                answers.extend(inner.settle(std::slice::from_ref(item)).await?);
            } else {
                inner.settle(&[Settlement { fence: live, ..(self.part)(item.clone()) }]).await?;
                answers.push(self.answer);
            }
        }
        Ok(answers)
    }
}

/// Says of what it has settled that it settled it again.
#[derive(Default)]
struct SettlesTwice(Mutex<BTreeSet<(DeliveryId, Fence)>>);

#[async_trait]
impl Fault for SettlesTwice {
    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        let mut answers = inner.settle(items).await?;
        let mut settled = lock(&self.0);
        for (item, answer) in items.iter().zip(&mut answers) {
            let key = (item.id, item.fence);
            match answer {
                Settled::Applied(_) => drop(settled.insert(key)),
                Settled::Fenced if settled.contains(&key) => *answer = Settled::Applied(Effect::default()),
                Settled::Fenced => {}
            }
        }
        Ok(answers)
    }
}

catches! { attempt_and_state_go_together:
    an_end_that_is_not_told_is_found = AnswerAs(|it| Effect { end: None, ..it })
        => "the answer tells of an end",
    a_change_of_health_that_is_not_told_is_found = AnswerAs(|it| Effect { health: None, ..it })
        => "the answer tells how the lane's health changes",
    disabling_that_is_not_told_is_found = AnswerAs(|it| Effect { disabled: None, ..it })
        => "and the answer tells of it",
    an_attempt_that_is_dropped_is_found = SettleAs(|it| Settlement { attempt: None, ..it })
        => "an attempt is logged",
    a_state_that_is_dropped_is_found = SettleAs(|it| match it.next {
        Next::End(_) => Settlement { next: nothing(it.clone()).next, ..it },
        _ => it,
    }) => "the last attempt ends it",
    a_delay_that_is_dropped_is_found = SettleAs(|it| match it.next {
        Next::Again(_) => Settlement { next: Next::Again(Duration::ZERO), ..it },
        _ => it,
    }) => "not before it is due",
    attempts_out_of_order_are_found = ShowAttemptsAs(|it| it.map(|it| it.into_iter().rev().collect()))
        => "all attempts, in order",
    a_position_that_is_dropped_is_found
        = SettleAs(|it| Settlement { retry: RetryState::default(), ..it }) => "a position is kept",
    a_log_of_every_attempt_is_found = SettleAs(|it| Settlement {
        attempt: it.attempt.map(|it| Attempt { uncounted: it.uncounted.min(1), ..it }),
        ..it
    }) => "the first and the last of a row are kept",
    a_report_that_is_dropped_is_found = SettleAs(|it| Settlement { report: Report::NoAttempt, ..it })
        => "and the lane has learnt",
    a_backoff_that_is_dropped_is_found = SettleAs(|it| Settlement { backoff: None, ..it })
        => "a lane that backs off gives nothing",
    a_backoff_without_end_is_found = SettleAs(|it| Settlement { backoff: it.backoff.map(|it| it * 100), ..it })
        => "until its backoff ends",
    a_backoff_that_outlasts_an_update_is_found = BacksOffAgain::default() => "one delivery is due, claimed 0",
    disabling_that_is_dropped_is_found = SettleAs(|it| Settlement { disable: None, ..it })
        => "what was judged is disabled",
    disabling_another_version_is_found = JudgesAnyVersion::default()
        => "it was changed since it was judged",
    disabling_what_has_recovered_is_found = SettleAs(|it| {
        let always = |it: Disable| Disable { reason: DisableReason::Gone, ..it };
        Settlement { disable: it.disable.map(always), ..it }
    }) => "it has recovered since it was judged",
    a_lost_reason_is_found = ShowRegistryAs(|mut it| {
        it.webhooks.iter_mut().for_each(|registered| registered.disabled = None);
        it
    }) => "the reason is kept",
}

/// Keeps the last backoff through every update of the webhook.
#[derive(Default)]
struct BacksOffAgain(Mutex<Option<Duration>>);

#[async_trait]
impl Fault for BacksOffAgain {
    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        if let Some(backoff) = items.iter().find_map(|item| item.backoff) {
            *lock(&self.0) = Some(backoff);
        }
        inner.settle(items).await
    }

    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        let revision = inner.commit(tenant, expected, change).await?;
        let backoff = *lock(&self.0);
        if let (Some(_), RegistryChange::Update(..)) = (backoff, change) {
            let claims = inner.claim(&of_nobody(1)).await?.deliveries;
            let backed_off: Vec<_> =
                claims.iter().map(|it| Settlement { backoff, ..given_back(it) }).collect();
            inner.settle(&backed_off).await?;
        }
        Ok(revision)
    }
}

/// Takes whatever version there is for the one that was judged.
#[derive(Default)]
struct JudgesAnyVersion(Ledger);

#[async_trait]
impl Fault for JudgesAnyVersion {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let claimed = inner.claim(request).await?;
        self.0.note(&claimed);
        Ok(claimed)
    }

    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        let mut items = items.to_vec();
        for item in &mut items {
            let (Some(disable), Some(claim)) = (&mut item.disable, self.0.claim_on(item.id)) else {
                continue;
            };
            let registry = inner.registry(&claim.tenant).await?;
            let present = registry.get(claim.hook.hook_id());
            disable.version = present.map_or(disable.version, |present| present.version);
        }
        inner.settle(&items).await
    }
}

catches! { released_claims_are_due:
    releasing_nothing_is_found = ReleasesOf(&[]) => "what Ana held, and nothing of what Ben holds",
    releasing_all_holders_is_found = ReleasesOf(&[1, 2]) => "what Ana held, and nothing of what Ben holds",
    settling_what_was_released_is_found = ApplyAll => "what was released is no longer held",
    a_single_claim_that_is_not_given_back_is_found = SettleAs(|it| match it.next {
        Next::Release => Settlement { next: nothing(it.clone()).next, ..it },
        _ => it,
    }) => "one delivery is due, claimed 0",
}

/// Releases these holders, whoever was asked for.
struct ReleasesOf(&'static [u128]);

#[async_trait]
impl Fault for ReleasesOf {
    async fn release(&self, inner: &MemoryStore, _: HolderId) -> Answer<()> {
        for number in self.0 {
            inner.release(HolderId::new(*number)).await?;
        }
        Ok(())
    }
}
