//! `Core`: connections, batches and claims that the calls of a store share, and calls of several transactions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use hookwire::model::TenantId;
use hookwire::store::{
    ClaimRequest, Claimed, Publication, PublishAnswer, Published, RouteAnswer, Routed, Settled, Settlement,
    StoreError, StoreErrorKind, TendRequest, Tended,
};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::ahead::{BringBack, LongestDelay};
use crate::batch::{self, Call, MAX_BATCH, PublishBatcher, WriterPermit, by_tenant};
use crate::claim::{self, Look, TakeFrom, Taken};
use crate::connection::session::{Operation, Sessions};
use crate::error::QueryError;
use crate::notifier::Notifier;
use crate::publish::{KNOWN, Known, Publish, answer_known, messages_of};
use crate::route::{Route, TakeUnrouted};
use crate::rows::{fence_number, ids};
use crate::schedule::holders::Holders;
use crate::settle::{Finish, Settle, ended, is_plain};
use crate::statistics::RemoveHours;
use crate::time::Millis;
use crate::unreadable::{SetAside, TryAgain, Unreadable};
use crate::upkeep::{EndDropped, Expire, Remove, Repair, Strip};

/// The time for which the items of a failed batch are tried one by one. Each may have to wait for a lock that somebody
/// keeps.
const MAX_SEPARATE: Duration = Duration::from_secs(5);
/// The most settlements in one transaction.
const MAX_SETTLED: usize = 512;
/// The number of times that a claim which finds only busy lanes waits for one of them.
const MAX_WAITS: usize = 4;

/// The lanes of a tenant that are ready, or whose time to be looked at has come.
const DUE_LANES_OF: &str =
    "SELECT id FROM lane WHERE tenant = $1 AND (ready OR wake_at <= (SELECT clock_ms())) ORDER BY id";

/// The parts of a store that its calls share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) sessions: Sessions,
    pub(crate) holders: Arc<Holders>,
    pub(crate) batcher: Arc<PublishBatcher>,
    pub(crate) notifier: Notifier,
    pub(crate) longest_delay: LongestDelay,
    /// The time of the first claim or upkeep.
    pub(crate) began: OnceCell<Millis>,
    /// Whether all has been tried again that was set aside before then.
    pub(crate) has_tried: AtomicBool,
    /// The last lane that upkeep has looked at.
    pub(crate) repaired: AtomicI64,
}

impl Core {
    /// Runs `operation` in a transaction, and notifies dispatchers.
    pub(crate) async fn transact_and_notify<O: Operation>(
        &self,
        operation: &O,
    ) -> Result<O::Output, QueryError> {
        let done = self.sessions.transact(operation).await?;
        self.notifier.notify();
        Ok(done)
    }

    /// Publishes calls batch by batch, until none waits.
    pub(crate) async fn publish_batches(self: Arc<Self>, permit: WriterPermit) {
        while let Some(calls) = permit.next(MAX_BATCH) {
            if calls.len() > 1 {
                self.publish_calls(calls).await;
            } else {
                self.publish_each(calls).await;
            }
        }
    }

    /// Publishes several calls in one transaction. If one of them makes it fail, publishes each separately.
    async fn publish_calls(self: &Arc<Self>, calls: Vec<Call>) {
        let items: Vec<_> = calls.iter().flat_map(|call| call.items.iter().cloned()).collect();
        match self.publish_together(&items, batch::hold_of(&calls)).await {
            Err(error) if error.may_concern_one_item() => self.publish_each(calls).await,
            done => batch::answer(calls, done.map_err(StoreError::from)),
        }
    }

    /// Publishes calls concurrently, each in a transaction of its own: one may have to wait for a lock.
    async fn publish_each(self: &Arc<Self>, calls: Vec<Call>) {
        let mut each = JoinSet::new();
        for call in calls {
            let inner = Arc::clone(self);
            each.spawn(async move {
                let done = inner.publish_chunk(&call.items, call.hold).await;
                batch::answer(vec![call], done.map_err(StoreError::from));
            });
        }
        // A task that panics drops its call, which tells the caller.
        while each.join_next().await.is_some() {}
    }

    /// Publishes items in one transaction. If one of them makes it fail, publishes each separately.
    async fn publish_chunk(
        &self,
        items: &[Arc<Publication>],
        hold: Option<ClaimRequest>,
    ) -> Result<Published, QueryError> {
        match self.publish_together(items, hold).await {
            Err(error) if items.len() == 1 && error.may_concern_one_item() => return Ok(failed(error)),
            Err(error) if error.may_concern_one_item() => {}
            done => return done,
        }
        let mut answers = Vec::with_capacity(items.len());
        let began = Instant::now();
        for item in items {
            if began.elapsed() >= MAX_SEPARATE {
                answers.push(unanswered());
                continue;
            }
            match self.publish_together(std::slice::from_ref(item), None).await {
                Ok(published) => answers.extend(published.answers),
                Err(error) => answers.push(PublishAnswer::Failed(error.into())),
            }
        }
        Ok(Published { answers, held: Vec::new() })
    }

    async fn publish_together(
        &self,
        items: &[Arc<Publication>],
        hold: Option<ClaimRequest>,
    ) -> Result<Published, QueryError> {
        let publish = Publish { items: items.to_vec(), hold, holders: Arc::clone(&self.holders) };
        let mut written = self.sessions.transact(&publish).await?;
        if let Some(reservation) = written.reservation {
            reservation.keep();
        }
        if written.answers.iter().any(Option::is_none) {
            let (tenants, messages, digests) = messages_of(items);
            let known = Known::read(&self.sessions.rows(KNOWN, &[&tenants, &messages, &digests]).await?)?;
            answer_known(items, &mut written.answers, &known);
        }
        let answers = written.answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect();
        let published = Published { answers, held: written.held };
        if published.leaves_work() {
            self.notifier.notify();
        }
        Ok(published)
    }

    /// Claims due deliveries from lanes that nobody else has locked. If it finds only busy lanes, it waits for one of
    /// them: otherwise a lane that is always busy would never be served.
    pub(crate) async fn claim(&self, request: ClaimRequest) -> Result<Claimed, QueryError> {
        self.began().await?;
        let mut taken = self.take(&request).await?;
        let mut expired = taken.expired;
        for _ in 0..MAX_WAITS {
            let Some(lane) = taken.busy.filter(|_| taken.claims.is_empty()) else { break };
            let from = TakeFrom { request, holders: Arc::clone(&self.holders), lane };
            let waited = self.sessions.transact(&from).await?;
            expired += waited.expired;
            if waited.claims.is_empty() {
                taken = self.take(&request).await?;
                expired += taken.expired;
            } else {
                taken = waited;
            }
        }
        taken.reservation.keep();
        let (deliveries, next_in) = (taken.claims, taken.next_in);
        let took_all = taken.took_all && !taken.has_unrouted;
        let set_aside = self.set_aside(taken.unreadable).await;
        if deliveries.is_empty() {
            set_aside?;
        }
        let unrouted = match taken.has_unrouted {
            true => self.sessions.transact(&TakeUnrouted { only: None, request }).await,
            false => Ok(Vec::new()),
        };
        let unrouted = match unrouted {
            // The deliveries are claimed already. The next claim meets the same error.
            Err(_) if !deliveries.is_empty() => Vec::new(),
            unrouted => unrouted?,
        };
        Ok(Claimed { deliveries, unrouted, expired, next_in, took_all, ..Claimed::default() })
    }

    /// Claims due deliveries of one tenant, lane by lane. It waits for a lane that others have locked.
    pub(crate) async fn claim_of(
        &self,
        tenant: TenantId,
        request: ClaimRequest,
    ) -> Result<Claimed, QueryError> {
        self.began().await?;
        let (mut deliveries, mut expired) = (Vec::new(), 0);
        for lane in ids(&self.sessions.rows(DUE_LANES_OF, &[&tenant.as_str()]).await?, "id")? {
            let Some(request) = request.without(&deliveries) else { break };
            let from = TakeFrom { request, holders: Arc::clone(&self.holders), lane };
            let taken = self.sessions.transact(&from).await?;
            taken.reservation.keep();
            deliveries.extend(taken.claims);
            expired += taken.expired;
            self.set_aside(taken.unreadable).await?;
        }
        let unrouted = self.sessions.transact(&TakeUnrouted { only: Some(tenant), request }).await?;
        let is_done = deliveries.is_empty() && unrouted.is_empty() && expired == 0;
        let next_in = (!is_done).then_some(Duration::ZERO);
        Ok(Claimed { deliveries, unrouted, expired, next_in, ..Claimed::default() })
    }

    /// Sets aside what could not be read, so that the next claim does not meet it.
    async fn set_aside(&self, unreadable: Unreadable) -> Result<(), QueryError> {
        if !unreadable.is_empty() {
            let set_aside = SetAside(unreadable);
            set_aside.warn(&self.sessions.transact(&set_aside).await?);
        }
        Ok(())
    }

    /// Returns the time since which this store may have set something aside.
    async fn began(&self) -> Result<Millis, QueryError> {
        self.began.get_or_try_init(|| self.sessions.now()).await.copied()
    }

    /// Once for each store that connects, tries again what was set aside before. Returns whether there may be more.
    async fn try_again(&self, limit: usize) -> Result<bool, QueryError> {
        if self.has_tried.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let tried = self.sessions.transact(&TryAgain { before: self.began().await?, limit }).await?;
        self.has_tried.store(tried < limit, Ordering::Relaxed);
        Ok(tried >= limit)
    }

    async fn take(&self, request: &ClaimRequest) -> Result<Taken, QueryError> {
        let look = || async {
            let plan = self.holders.plan(request.holder, &request.quota);
            let seen = self.sessions.transact(&Look { request, plan: &plan }).await?;
            Ok::<_, QueryError>((plan, seen))
        };
        let (mut plan, mut seen) = look().await?;
        if self.holders.end_leases(request.holder, seen.now) {
            // Lanes that were full have room again.
            (plan, seen) = look().await?;
        }
        claim::take(&self.sessions, &self.holders, request, plan, seen).await
    }

    pub(crate) async fn settle(&self, items: Vec<Arc<Settlement>>) -> Result<Vec<Settled>, QueryError> {
        self.longest_delay.note(&self.sessions, &items).await?;
        let mut settled = Vec::with_capacity(items.len());
        for part in items.chunks(MAX_SETTLED) {
            settled.extend(self.settle_part(part).await?);
        }
        Ok(settled)
    }

    /// Records plain ends by one statement, and all that it leaves in a transaction that locks lanes.
    async fn settle_part(&self, part: &[Arc<Settlement>]) -> Result<Vec<Settled>, QueryError> {
        let plain = plain(part);
        let finished =
            if plain.is_empty() { HashSet::new() } else { self.sessions.transact(&Finish(plain)).await? };
        let is_finished = |item: &Arc<Settlement>| finished.contains(&item.id.get());
        let key = |item: &Arc<Settlement>| (item.id.get(), fence_number(item.fence));
        self.holders.end(part.iter().filter(|item| is_finished(item)).map(key));
        let rest: Vec<_> = part.iter().filter(|item| !is_finished(item)).cloned().collect();
        let mut others = self.settle_each(rest).await?.into_iter();
        let answer = |item| if is_finished(item) { Some(ended(item)) } else { others.next() };
        Ok(part.iter().map(answer).map(|answer| answer.unwrap_or(Settled::Fenced)).collect())
    }

    async fn settle_each(&self, items: Vec<Arc<Settlement>>) -> Result<Vec<Settled>, QueryError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let settle = Settle(items);
        let recorded = self.sessions.transact(&settle).await?;
        for item in &settle.0 {
            let key = (item.id.get(), fence_number(item.fence));
            match recorded.extended.get(&key) {
                Some(until) => self.holders.extend(key, *until),
                None => self.holders.end([key]),
            }
        }
        if recorded.has_work {
            self.notifier.notify();
        }
        Ok(recorded.settled)
    }

    pub(crate) async fn route(&self, routed: Vec<Arc<Routed>>) -> Result<Vec<RouteAnswer>, QueryError> {
        let mut answers = vec![RouteAnswer::Fenced; routed.len()];
        for (tenant, numbers) in by_tenant(routed.iter().map(|item| &item.unrouted.tenant)) {
            let items = numbers.iter().map(|number| Arc::clone(&routed[*number])).collect();
            let done = self.transact_and_notify(&Route { tenant, items }).await?;
            numbers.into_iter().zip(done).for_each(|(number, answer)| answers[number] = answer);
        }
        Ok(answers)
    }

    pub(crate) async fn tend(&self, request: TendRequest) -> Result<Tended, QueryError> {
        self.holders.forget_idle(self.sessions.now().await?);
        let expired = self.sessions.transact(&Expire(request.limit)).await?;
        let swept = self.sessions.transact(&EndDropped(request.limit)).await?;
        let (removed, looked_at) = self.sessions.transact(&Remove(request)).await?;
        let (stripped, also_looked_at) = self.sessions.transact(&Strip(request)).await?;
        let after = self.repaired.load(Ordering::Relaxed);
        let last = self.sessions.transact(&Repair { after, limit: request.limit }).await?;
        self.repaired.store(last.unwrap_or_default(), Ordering::Relaxed);
        let back = self.sessions.transact(&BringBack(request.limit)).await?;
        back.warn();
        let hours = self.sessions.transact(&RemoveHours(request)).await?;
        let more = [expired, swept, looked_at, also_looked_at, hours].contains(&request.limit);
        let more = more || back.may_have_more(request.limit) || self.try_again(request.limit).await?;
        Ok(Tended { expired, swept, removed, stripped, more })
    }
}

/// Returns the plain settlements in the order of their ids, without those of deliveries that have several.
fn plain(part: &[Arc<Settlement>]) -> Vec<Arc<Settlement>> {
    let mut times: HashMap<_, usize> = HashMap::new();
    part.iter().for_each(|item| *times.entry(item.id).or_default() += 1);
    let mut plain: Vec<_> =
        part.iter().filter(|item| times[&item.id] == 1 && is_plain(item)).cloned().collect();
    plain.sort_unstable_by_key(|item| item.id);
    plain
}

/// The answer to one item that failed by itself.
fn failed(error: QueryError) -> Published {
    Published { answers: vec![PublishAnswer::Failed(error.into())], held: Vec::new() }
}

/// The answer to an item that was not tried, because the database or the time was lost before.
pub(crate) fn unanswered() -> PublishAnswer {
    StoreErrorKind::Unavailable.into()
}
