use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hookwire::model::{Attempt, Delivery, DeliveryId, DeliveryQuery, MessageId, Page, PageRequest, TenantId};
use hookwire::registry::{Registry, RegistryChange, Revision};
use hookwire::store::{
    ClaimRequest, Claimed, Erased, EventRecord, HolderId, Publication, PublishAnswer, Published, Redelivery,
    RouteAnswer, Routed, Settled, Settlement, Stats, StatsScope, Store, StoreError, StoreErrorKind,
    TendRequest, Tended, WakeMark,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::claim::{Take, Taken};
use crate::connect::{ConnectError, Target};
use crate::fault::Fault;
use crate::gather::{self, Call, Gather, MOST, Turn, by_tenant, parts};
use crate::hands::Hands;
use crate::log;
use crate::news::News;
use crate::options::PostgresOptions;
use crate::publish::{Publish, Redeliver};
use crate::registry::{self, Commit};
use crate::route::{Route, TakeUnrouted};
use crate::rows::{fence_number, holder_bytes};
use crate::schema::SchemaName;
use crate::session::{Sessions, Work};
use crate::settle::{Release, Settle};
use crate::upkeep::{Erase, Expire, Remove, Repair, Sweep};

/// How long items are published each by itself: every one may have to wait for a lock that somebody keeps.
const MAX_APART: Duration = Duration::from_secs(5);
/// The most settlements of one transaction.
const MAX_SETTLED: usize = 512;
/// How often a claim that finds all lanes busy waits for one of them before it gives up for now.
const MAX_WAITS: usize = 4;

/// A store in a PostgreSQL database: for a fleet of processes that publish and dispatch together.
///
/// It needs a tokio runtime. Every dispatcher has to keep to one store: what it may hold is counted in the
/// memory of the store through which it claims.
///
/// ```no_run
/// use hookwire::{Webhooks, assist};
/// use hookwire_postgres::PostgresStore;
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "postgres://hooks:password@db.internal/app?sslmode=require";
/// PostgresStore::migrate(url).await?; // when deployed, by a user who may create a schema
/// let store = PostgresStore::connect(url).await?;
/// # Ok(())
/// # }
/// ```
///
/// # What survives
///
/// What a call has written is committed when the call returns, with everything that belongs to it or not at
/// all; where the server is set to lose commits (`synchronous_commit = off`), this store's connections are
/// not. What a process had claimed when it was killed is due again when its leases end: `release` gives back
/// only what was claimed through the same store.
///
/// A standby that is not synchronous may take over without the latest commits. What they told is lost then,
/// and a fence may be given twice, so that a claim of before passes for one of after: let standbys be
/// synchronous where that matters.
///
/// # The connection
///
/// With `sslmode=require` or `verify-full` the connection is encrypted, and the server's certificate is
/// checked against the roots of the platform and the name of the host; without, it is not encrypted. A
/// connection that breaks fails the calls that use it as
/// [`Unavailable`](hookwire::store::StoreErrorKind::Unavailable); the next ones make a new one.
pub struct PostgresStore {
    inner: Arc<Inner>,
    poll_every: Duration,
    publish_timeout: Duration,
    pub(crate) schema: SchemaName,
    pub(crate) publish_statement: String,
}

struct Inner {
    sessions: Sessions,
    hands: Arc<Hands>,
    gather: Arc<Gather>,
    news: News,
    /// The lane that upkeep looked at last.
    repaired: AtomicI64,
}

impl PostgresStore {
    /// Connects with the [default options](Self::options).
    ///
    /// # Errors
    ///
    /// [`ConnectError`] tells what is wrong, and what to do.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::options().connect(url).await
    }

    /// Creates or updates the schema `hookwire`: see [`PostgresOptions::migrate`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`] tells what is wrong, and what to do.
    pub async fn migrate(url: &str) -> Result<(), ConnectError> {
        Self::options().migrate(url).await
    }

    /// The settings to connect with.
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    pub(crate) fn new(target: Target, options: &PostgresOptions) -> Result<Self, ConnectError> {
        let sessions = target.pool(options)?;
        let schema = target.schema.clone();
        let publish_statement = format!("SELECT \"{}\".publish($1)", schema.as_str());
        let news = if options.listen { News::shared(target, sessions.clone()) } else { News::local() };
        let (hands, gather, repaired) = (Arc::default(), Arc::default(), AtomicI64::new(0));
        let inner = Arc::new(Inner { sessions, hands, gather, news, repaired });
        let (poll_every, publish_timeout) = (options.poll_every, options.publish_timeout);
        Ok(Self { inner, poll_every, publish_timeout, schema, publish_statement })
    }

    /// Publishes items of one tenant, together with what others publish of it at the same time.
    async fn publish_of(
        &self,
        tenant: &TenantId,
        items: Vec<Arc<Publication>>,
        hold: Option<ClaimRequest>,
    ) -> Result<Published, StoreError> {
        let (call, mut answered) = Call::new(items, hold);
        let (number, turn) = self.inner.gather.add(tenant, call);
        if let Some(turn) = turn {
            let inner = Arc::clone(&self.inner);
            // On a task of its own, as all that must not be left half done when a caller goes away.
            tokio::spawn(async move { inner.publish_gathered(turn).await });
        }
        let answer = match timeout(self.publish_timeout, &mut answered).await {
            Ok(answer) => answer,
            Err(_) if self.inner.gather.withdraw(tenant, number) => {
                return Err(StoreErrorKind::Overloaded.into());
            }
            Err(_) => answered.await,
        };
        answer.unwrap_or_else(|error| Err(Fault::lost(error).into()))
    }

    /// Runs on a task of its own what must not be left half done when the caller goes away.
    async fn apart<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let done = tokio::spawn(work(Arc::clone(&self.inner))).await;
        Ok(done.unwrap_or_else(|error| Err(Fault::lost(error)))?)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("poll_every", &self.poll_every).finish_non_exhaustive()
    }
}

impl Inner {
    /// Does `work` in a transaction, and tells dispatchers of it.
    async fn newly<W: Work>(&self, work: &W) -> Result<W::Done, Fault> {
        let done = self.sessions.whole(work).await?;
        self.news.ring();
        Ok(done)
    }

    /// Publishes what gathers of a tenant, until nothing does.
    async fn publish_gathered(self: Arc<Self>, mut turn: Turn) {
        while let Some(calls) = turn.next(MOST) {
            if calls.len() > 1 {
                self.publish_calls(turn.tenant(), calls).await;
            } else {
                self.publish_each(turn.tenant(), calls).await;
            }
        }
    }

    /// Publishes several calls together or, where that fails for the sake of one of them, each by itself.
    async fn publish_calls(self: &Arc<Self>, tenant: &TenantId, calls: Vec<Call>) {
        let items: Vec<_> = calls.iter().flat_map(|call| call.items.iter().cloned()).collect();
        match self.publish_together(tenant, &items, gather::hold_of(&calls)).await {
            Err(fault) if fault.may_be_of_one_item() => self.publish_each(tenant, calls).await,
            done => gather::answer(calls, done.map_err(StoreError::from)),
        }
    }

    /// Publishes calls beside each other, as if they had never met: one may have to wait for a lock.
    async fn publish_each(self: &Arc<Self>, tenant: &TenantId, calls: Vec<Call>) {
        let mut each = JoinSet::new();
        for call in calls {
            let (inner, tenant) = (Arc::clone(self), tenant.clone());
            each.spawn(async move {
                let done = inner.publish_chunk(&tenant, &call.items, call.hold).await;
                gather::answer(vec![call], done.map_err(StoreError::from));
            });
        }
        // Whoever panics has told its caller so by that.
        while each.join_next().await.is_some() {}
    }

    /// Publishes items together or, where that fails for the sake of one of them, each by itself.
    async fn publish_chunk(
        &self,
        tenant: &TenantId,
        items: &[Arc<Publication>],
        hold: Option<ClaimRequest>,
    ) -> Result<Published, Fault> {
        match self.publish_together(tenant, items, hold).await {
            Err(fault) if items.len() == 1 && fault.may_be_of_one_item() => return Ok(failed(fault)),
            Err(fault) if fault.may_be_of_one_item() => {}
            done => return done,
        }
        let mut answers = Vec::with_capacity(items.len());
        let began = Instant::now();
        for item in items {
            if began.elapsed() >= MAX_APART {
                answers.push(unanswered());
                continue;
            }
            match self.publish_together(tenant, std::slice::from_ref(item), None).await {
                Ok(published) => answers.extend(published.answers),
                Err(fault) => answers.push(PublishAnswer::Failed(fault.into())),
            }
        }
        Ok(Published { answers, held: Vec::new() })
    }

    async fn publish_together(
        &self,
        tenant: &TenantId,
        items: &[Arc<Publication>],
        hold: Option<ClaimRequest>,
    ) -> Result<Published, Fault> {
        let (tenant, items, hands) = (tenant.clone(), items.to_vec(), Arc::clone(&self.hands));
        let written = self.sessions.whole(&Publish { tenant, items, hold, hands }).await?;
        if let Some(reserved) = written.reserved {
            reserved.keep();
        }
        let published = Published { answers: written.answers, held: written.held };
        if published.leaves_work() {
            self.news.ring();
        }
        Ok(published)
    }

    /// Takes what is due from lanes that nobody is at. If there are none but busy ones, it waits for one
    /// of them: a lane that is always busy would otherwise never be served.
    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, Fault> {
        let mut taken = self.take(request, None).await?;
        for _ in 0..MAX_WAITS {
            let Some(busy) = taken.busy.filter(|_| taken.claims.is_empty()) else { break };
            let waited = self.take(request, Some(busy)).await?;
            taken = if waited.claims.is_empty() { self.take(request, None).await? } else { waited };
        }
        taken.reserved.keep();
        let (deliveries, next_in) = (taken.claims, taken.next_in);
        let unrouted = match taken.has_unrouted {
            true => self.sessions.whole(&TakeUnrouted(request)).await,
            false => Ok(Vec::new()),
        };
        let unrouted = match unrouted {
            // The deliveries are claimed already. The fault comes again, by itself, with the next claim.
            Err(_) if !deliveries.is_empty() => Vec::new(),
            unrouted => unrouted?,
        };
        Ok(Claimed { deliveries, unrouted, next_in, ..Claimed::default() })
    }

    async fn take(&self, request: ClaimRequest, only: Option<i64>) -> Result<Taken, Fault> {
        self.sessions.whole(&Take { request, hands: Arc::clone(&self.hands), only }).await
    }

    async fn settle(&self, items: Vec<Arc<Settlement>>) -> Result<Vec<Settled>, Fault> {
        let mut settled = Vec::with_capacity(items.len());
        for part in items.chunks(MAX_SETTLED) {
            let recorded = self.sessions.whole(&Settle(part.to_vec())).await?;
            for item in part {
                let key = (item.id.get(), fence_number(item.fence));
                match recorded.extended.get(&key) {
                    Some(until) => self.hands.extend(key, *until),
                    None => self.hands.end([key]),
                }
            }
            if recorded.has_news {
                self.news.ring();
            }
            settled.extend(recorded.settled);
        }
        Ok(settled)
    }

    async fn route(&self, routed: Vec<Arc<Routed>>) -> Result<Vec<RouteAnswer>, Fault> {
        let mut answers = vec![RouteAnswer::Fenced; routed.len()];
        for (tenant, numbers) in by_tenant(routed.iter().map(|item| &item.unrouted.tenant)) {
            let items = numbers.iter().map(|number| Arc::clone(&routed[*number])).collect();
            let done = self.newly(&Route { tenant, items }).await?;
            numbers.into_iter().zip(done).for_each(|(number, answer)| answers[number] = answer);
        }
        Ok(answers)
    }

    async fn tend(&self, request: TendRequest) -> Result<Tended, Fault> {
        self.hands.forget_idle(self.sessions.now().await?);
        let expired = self.sessions.whole(&Expire(request.limit)).await?;
        let swept = self.sessions.whole(&Sweep(request.limit)).await?;
        let (removed, looked_at) = self.sessions.whole(&Remove(request)).await?;
        let after = self.repaired.load(Ordering::Relaxed);
        let last = self.sessions.whole(&Repair { after, limit: request.limit }).await?;
        self.repaired.store(last.unwrap_or_default(), Ordering::Relaxed);
        let more = [expired, swept, looked_at].contains(&request.limit);
        Ok(Tended { expired, swept, removed, more })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn registry(&self, tenant: &TenantId) -> Result<Registry, StoreError> {
        Ok(registry::read(&self.inner.sessions, tenant).await?)
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Revision, StoreError> {
        let commit = Commit { tenant: tenant.clone(), expected, change: change.clone() };
        let revision = self.apart(|inner| async move { inner.newly(&commit).await }).await?;
        revision.ok_or_else(|| StoreErrorKind::Conflict.into())
    }

    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, StoreError> {
        Ok(log::tenants(&self.inner.sessions, page).await?)
    }

    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError> {
        let mut hold = hold.copied();
        let mut answers: Vec<Option<PublishAnswer>> = publications.iter().map(|_| None).collect();
        let mut held = Vec::new();
        // Part by part, so that whoever publishes little of the tenant comes in between.
        for (tenant, numbers) in parts(publications) {
            let items = numbers.iter().map(|number| Arc::new(publications[*number].clone())).collect();
            let part = match self.publish_of(&tenant, items, hold).await {
                // What is done is done, and what is held is held: the rest has no answer.
                Err(_) if answers.iter().any(Option::is_some) => break,
                part => part?,
            };
            hold = hold.and_then(|it| it.without(&part.held));
            numbers.into_iter().zip(part.answers).for_each(|(number, it)| answers[number] = Some(it));
            held.extend(part.held);
        }
        let answers = answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect();
        Ok(Published { answers, held })
    }

    async fn route(&self, routed: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError> {
        let routed: Vec<_> = routed.iter().cloned().map(Arc::new).collect();
        self.apart(|inner| async move { inner.route(routed).await }).await
    }

    async fn redeliver(
        &self,
        tenant: &TenantId,
        redeliveries: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let redeliver = Redeliver { tenant: tenant.clone(), items: redeliveries.to_vec() };
        self.apart(|inner| async move { inner.newly(&redeliver).await }).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        // What comes from now on rings after this mark, so that nobody waits for what the claim missed.
        let mark = WakeMark::new(self.inner.news.mark());
        let request = *request;
        let claimed = self.apart(|inner| async move { inner.claim(request).await }).await?;
        Ok(Claimed { mark, ..claimed })
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let items: Vec<_> = settlements.iter().cloned().map(Arc::new).collect();
        self.apart(|inner| async move { inner.settle(items).await }).await
    }

    async fn release(&self, holder: HolderId) -> Result<(), StoreError> {
        self.apart(move |inner| async move {
            let keys = inner.hands.keys(holder);
            let release = Release { keys: keys.clone(), holder: holder_bytes(holder) };
            inner.newly(&release).await?;
            inner.hands.end(keys);
            Ok(())
        })
        .await
    }

    async fn wake(&self, since: WakeMark) {
        self.inner.news.rung(since.get()).await;
    }

    fn poll_every(&self) -> Option<Duration> {
        Some(self.poll_every)
    }

    async fn event(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<EventRecord>, StoreError> {
        Ok(log::read_event(&self.inner.sessions, tenant, id).await?)
    }

    async fn deliveries(
        &self,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Result<Page<Delivery>, StoreError> {
        Ok(log::deliveries(&self.inner.sessions, tenant, query).await?)
    }

    async fn attempts(
        &self,
        tenant: &TenantId,
        delivery: DeliveryId,
    ) -> Result<Option<Vec<Attempt>>, StoreError> {
        Ok(log::attempts(&self.inner.sessions, tenant, delivery).await?)
    }

    async fn stats(&self, scope: &StatsScope) -> Result<Stats, StoreError> {
        Ok(log::stats(&self.inner.sessions, scope).await?)
    }

    async fn tend(&self, request: &TendRequest) -> Result<Tended, StoreError> {
        let request = *request;
        self.apart(|inner| async move { inner.tend(request).await }).await
    }

    async fn erase(&self, tenant: &TenantId, limit: usize) -> Result<Erased, StoreError> {
        let erase = Erase { tenant: tenant.clone(), limit };
        let more = self.apart(|inner| async move { inner.sessions.whole(&erase).await }).await?;
        Ok(Erased { more })
    }
}

/// One item, by itself.
fn failed(fault: Fault) -> Published {
    Published { answers: vec![PublishAnswer::Failed(fault.into())], held: Vec::new() }
}

/// Of an item to which it did not come, because the database or too much time was lost before.
fn unanswered() -> PublishAnswer {
    StoreErrorKind::Unavailable.into()
}
