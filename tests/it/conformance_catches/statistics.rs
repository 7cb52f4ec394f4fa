//! Planted faults for what is counted of attempts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::model::{HookId, Timestamp};
use hookwire::store::{Counted, Erased, HolderId, Hour, MemoryStore, Statistics, Store, TendRequest};

use super::kinds::{TendAs, lock};
use super::{Answer, Fault, catches};

catches! { attempts_are_counted:
    counts_that_nobody_keeps_are_found = CountAs(|_| Vec::new()) => "counts add up, by the hour",
    counts_that_come_twice_are_found = CountAs(|it| vec![it.clone(), it]) => "counts add up, by the hour",
    counts_that_are_not_added_are_found = CountsOnce::default() => "counts add up, by the hour",
    attempts_that_are_all_successes_are_found = CountAs(|it| vec![Counted { successes: it.attempts, ..it }])
        => "counts add up, by the hour",
    counts_of_another_tenants_webhook_are_found = CountAs(|it| {
        vec![Counted { tenant: TenantId::new("acme").expect("short"), ..it }]
    }) => "counts add up, by the hour",
    hours_of_before_are_found = ReadsAll => "from the hour that was asked for",
    a_last_success_that_goes_back_is_found = ShowAs(|mut it| {
        it.last_success_at = it.last_success_at.map(|_| Timestamp::default());
        it
    }) => "the last success is the latest",
    statistics_of_others_are_found = TellsOthers => "nothing of another tenant is shown",
    a_count_that_is_lost_beside_others_is_found = LosesBeside::default()
        => "none is lost that comes at the same time",
    hours_removed_too_early_are_found = TendAs(|it| TendRequest { keep: it.keep / 20, ..it })
        => "no hour is removed too early",
    hours_that_stay_are_found = TendAs(|it| TendRequest { keep: it.keep * 20, ..it })
        => "an hour is removed once it is old enough",
    a_last_success_that_goes_with_its_hour_is_found = ShowAs(|it| {
        if it.hours.is_empty() { Statistics::default() } else { it }
    }) => "the last success stays",
    statistics_that_outlive_their_webhook_are_found = Remembers::always()
        => "a webhook that is gone has no counts",
    statistics_that_outlive_their_tenant_are_found = Remembers::default()
        => "nor has one that was erased",
}

/// Counts something else.
struct CountAs(fn(Counted) -> Vec<Counted>);

#[async_trait]
impl Fault for CountAs {
    async fn count(&self, inner: &MemoryStore, holder: HolderId, counts: &[Counted]) -> Answer<()> {
        let counts: Vec<_> = counts.iter().cloned().flat_map(self.0).collect();
        inner.count(holder, &counts).await
    }
}

/// Counts nothing more of an hour in which it has counted.
#[derive(Default)]
struct CountsOnce(Mutex<BTreeSet<(HookId, Hour)>>);

#[async_trait]
impl Fault for CountsOnce {
    async fn count(&self, inner: &MemoryStore, holder: HolderId, counts: &[Counted]) -> Answer<()> {
        let new = |it: &&Counted| lock(&self.0).insert((it.hook, it.hour));
        let counts: Vec<_> = counts.iter().filter(new).cloned().collect();
        inner.count(holder, &counts).await
    }
}

struct ReadsAll;

#[async_trait]
impl Fault for ReadsAll {
    async fn statistics(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        hook_id: HookId,
        _: Timestamp,
    ) -> Answer<Option<Statistics>> {
        inner.statistics(tenant, hook_id, Timestamp::default()).await
    }
}

/// Shows statistics otherwise.
struct ShowAs(fn(Statistics) -> Statistics);

#[async_trait]
impl Fault for ShowAs {
    async fn statistics(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        hook_id: HookId,
        since: Timestamp,
    ) -> Answer<Option<Statistics>> {
        Ok(inner.statistics(tenant, hook_id, since).await?.map(self.0))
    }
}

struct TellsOthers;

#[async_trait]
impl Fault for TellsOthers {
    async fn statistics(
        &self,
        inner: &MemoryStore,
        _: &TenantId,
        hook_id: HookId,
        since: Timestamp,
    ) -> Answer<Option<Statistics>> {
        inner.statistics(&TenantId::new("acme").expect("short"), hook_id, since).await
    }
}

/// Forgets what is counted while somebody else counts.
#[derive(Default)]
struct LosesBeside(AtomicUsize);

#[async_trait]
impl Fault for LosesBeside {
    async fn count(&self, inner: &MemoryStore, holder: HolderId, counts: &[Counted]) -> Answer<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            1 => inner.count(holder, counts).await,
            _ => Ok(()),
        }
    }
}

/// Shows what it has shown once the webhook is gone.
#[derive(Default)]
struct Remembers {
    shown: Mutex<HashMap<(TenantId, HookId), Statistics>>,
    now: AtomicBool,
}

impl Remembers {
    fn always() -> Self {
        Self { now: AtomicBool::new(true), ..Self::default() }
    }
}

#[async_trait]
impl Fault for Remembers {
    async fn statistics(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        hook_id: HookId,
        since: Timestamp,
    ) -> Answer<Option<Statistics>> {
        let key = (tenant.clone(), hook_id);
        let found = inner.statistics(tenant, hook_id, since).await?;
        match found {
            Some(found) => {
                lock(&self.shown).insert(key, found.clone());
                Ok(Some(found))
            }
            None if self.now.load(Ordering::Relaxed) => Ok(lock(&self.shown).get(&key).cloned()),
            None => Ok(None),
        }
    }

    async fn erase(&self, inner: &MemoryStore, tenant: &TenantId, limit: usize) -> Answer<Erased> {
        self.now.store(true, Ordering::Relaxed);
        inner.erase(tenant, limit).await
    }
}
