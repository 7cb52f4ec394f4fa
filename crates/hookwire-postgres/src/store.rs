//! `PostgresStore`, and the design of the store. The order of all locks is decided here.
//!
//! ```text
//!  callers --> batch (two writing transactions at most) --> publish ----+
//!  callers, dispatcher --> claim, settle, route, registry, upkeep, log -+--> session: pool --> PostgreSQL
//!                              |
//!                              +-- schedule: what each dispatcher holds, and whose turn it is (in memory)
//!
//!  lane:      status, class, epoch | ready, wake_at, floors    what it may give, when to look again, where to begin
//!  delivery:  lane, epoch, due | holder, held_until, fence     held while `held_until` lies ahead
//!  event:     payload, routed_at | null, alive_at              unrouted events are found by `routed_at` alone
//! ```
//!
//! - **A claim writes no index.** It sets `held_until`, which is in no index, in the page where the delivery is. When
//!   that time comes, the delivery is free again. No list of leases has to be searched; `wake_at` of the lane covers
//!   their ends too. Who reads what is due passes over the held ones, of which there are no more than holders may have.
//! - **A settlement writes one row**: the first attempt is in the delivery's own, later ones in `attempt`.
//! - **A lane says whether it is worth a look**: it is `ready`, or has to be looked at again at `wake_at`. Only
//!   `schedule::lanes::refresh` decides this, from the first pending rows, under the lane's lock. It may say too much or
//!   too early, never too little or too late. Ending a delivery leaves the lane alone, and the next claim finds out.
//! - **The order of locks**: the tenant's registry (an advisory lock: shared to publish and route, exclusive to change),
//!   rows of `tenant`, `event` by message id, `lane` by id, `delivery` by id. A claim skips lanes that others have
//!   locked. If it finds only such lanes, it waits for one of them, and holds no lock meanwhile. PostgreSQL may abort a
//!   transaction because of others (a deadlock, say): it runs again.
//! - **A publish locks every lane that it adds to.** If it locked only idle lanes, a claim that empties a lane at the same
//!   time would leave it idle with a due delivery.
//! - **Publishing is batched** (`batch`), whatever the tenants. While a transaction is written, later calls of its tenants
//!   wait until it is over or they make a whole one, and share the next one; other tenants' share a second one. A batch
//!   that fails because of one call is tried call by call.
//! - **What can be sent together is one round trip** (`connection::session`). `BEGIN` goes along with the first statements
//!   and `COMMIT` with the last ones. So the first ones only read and lock, or are the only one: if `BEGIN` should fail,
//!   nothing is half done. Publishing takes two round trips, claiming two or, where nothing is due, one.
//! - **A settlement that only ends its delivery** is one statement for all deliveries that end together, and locks no
//!   lane. Whatever a lane learns, or a delivery waits for, is recorded under the lane's lock.
//! - **A claim waits for no disk.** A crash of the server may undo it, and then it is made again: the request may be sent
//!   twice, as when a lease ends. What is published and settled is on the disk when the call returns.
//! - **A claim reads first, and locks nothing** (`schedule::ready`): ready lanes, and the first due deliveries of those
//!   for which there may be room. It decides in memory, and takes in a second transaction what is still as it was read.
//! - **Holders are counted in memory** (`schedule::holders`), from the answers of their claims, and forgotten when their
//!   leases end by the database's clock. The claiming statement counts nothing. A class without room is not read.
//! - **Who used least is served first** (`schedule::places`), as point 8 of the contract has it. The lookup gets the
//!   tenants and lanes that used most, so that it reads the deliveries of others, and `schedule::select` decides. Use counts
//!   in the database's time, which never goes back here (`schedule::use_clock`).
//! - **Many lanes are read by a cursor** (`schedule::cursor`) along the ids of ready lanes, one for each holder and class. A
//!   lane that stays ready changes no index, and its row is updated in place. A claim reads at most 128 lanes of each
//!   class, and some by their ids: one of each tenant that the last claim has left, and those of which it may have room
//!   again (`schedule::holder`); the order is that of those. A holder that has gone round and has no room reads no others
//!   until it gets some back for any.
//! - **A lane has two halves**: first attempts, and what stands behind them. Index `delivery_due` has them apart, so that a
//!   claim reads the first of each, however long the other is.
//! - **A lane that becomes ready is found by the next claim**, however many others are saturated. `readied` has the
//!   transaction in which it became ready, in an index of its own. A holder asks for those of transactions that it could
//!   not see when it last asked (`pg_snapshot_xmin`).
//! - **`floor` and `floor_behind` are where reading a lane begins.** Before them lie dead index entries of ended deliveries,
//!   which PostgreSQL keeps as long as some transaction may see them.
//! - **Dropping a backlog begins a new epoch.** Rows of earlier epochs read as cancelled until upkeep ends them.
//! - **`alive_at` is a time at which an event had not ended yet.** Settlements do not write it, because they would queue
//!   for the event's row. Upkeep moves it on, and removes the events that are old enough.
//! - **The log goes along the lanes of a tenant**, newest first, by an index whose columns never change (`log`), and looks
//!   at a bounded number of deliveries whatever the filter. So do the steps of recovering (`recover`).
//! - **A row that cannot be read is set aside** (`unreadable`): a delivery in a state of its own, a lane by a rest. Each
//!   store that connects tries them again.
//! - **`publish(text)` reads and locks nothing that others write**, so transactions of a host wait for each other only
//!   where they publish the same message id. It sends no notification: that would serialize the commits of the database.
//!   One holder a tenant has the routing lease, in the tenant's row.
//! - **Every write runs on a task of its own**, so that a caller who goes away leaves no transaction open. A connection
//!   whose state is not known, or whose server does not answer, leaves the pool.
//! - **Every statement is in a transaction** (`connection::begin`). Through a pooler every setting ends with it, since the
//!   connection may be given to others in between, and statements have no name. A connection of the store's own is set
//!   up once.
//! - **Statements are planned once for all parameters**, along indexes, and planned again as a connection gets older: a
//!   plan that was made for an empty table would scan the whole of a full one. Deliveries that are known are looked up by
//!   their ids whatever the server believes of the table (`rows::found`). Tests read the plans.
//! - **Nothing is left to the defaults of a database or a role** (`transaction`): every transaction says its isolation,
//!   and has set what the statements rely on. Functions that run in a session of the host's set it too.
//! - **The only clock is `clock_ms()`** in the schema. Tests replace it by one that stands still.
//! - **The clock may step.** What waits then waits for the step longer, or shorter. `settings.longest_delay` has the longest
//!   delay that anybody asked for; upkeep brings back what lies further ahead (`ahead`). Absence of a backoff is null, not
//!   a time that has passed.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use async_trait::async_trait;
use hookwire::delivery::Health;
use hookwire::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, HookId, MessageId, MessageQuery, MessageRecord, Page,
    PageRequest, TenantId, Timestamp,
};
use hookwire::registry::{Registry, RegistryChange, Revision};
use hookwire::store::{
    Addition, ClaimRequest, Claimed, Counted, DisabledWebhook, Erased, EventRecord, HolderId, Publication,
    Published, Recovered, Recovery, Redelivery, RouteAnswer, Routed, Settled, Settlement, Statistics, Stats,
    StatsScope, Store, StoreError, StoreErrorKind, TendRequest, Tended, WakeMark,
};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::ahead::LongestDelay;
use crate::batch::{Call, split};
use crate::connection::error::ConnectError;
use crate::connection::options::PostgresOptions;
use crate::connection::schema::{self, SchemaName};
use crate::connection::statements::Statements;
use crate::connection::target::Target;
use crate::core::{Core, unanswered};
use crate::erase::ErasePayload;
use crate::error::QueryError;
use crate::log;
use crate::notifier::Notifier;
use crate::publish::Redeliver;
use crate::recover::{Add, Recover};
use crate::registry::{self, Commit};
use crate::rows::holder_bytes;
use crate::settle::Release;
use crate::statistics::{self, Count};
use crate::upkeep::Erase;

/// A store in a PostgreSQL database, for a fleet of processes that publish and dispatch together.
///
/// It needs a tokio runtime. Every dispatcher has to use one store for all its calls: that store counts in memory what
/// the dispatcher holds.
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
/// A call that writes commits all that belongs to it, or nothing. It returns after the commit. On a server that may
/// lose commits (`synchronous_commit = off`), the connections of this store turn that off for themselves. Claims alone
/// may be lost when the server crashes: what they took is due again.
///
/// The deliveries that a killed process had claimed are due again when their leases end. `release` gives back only
/// claims that were made through the same store.
///
/// A standby that is not synchronous may take over without the latest commits. After such a failover acknowledged
/// events may be missing, and an outdated claim may pass for the current one. Use synchronous standbys where that
/// matters.
///
/// # The clock
///
/// All times are those of the database's clock. If it steps back, what was written before is due later by the step, or by
/// the longest delay that any delivery was to wait for (two days at least), whichever is less. Upkeep logs a warning where
/// it brings something back. If it steps ahead, leases, backoffs and delays end sooner, and so does the time after which
/// a delivery expires: what a dispatcher is sending just then may be claimed and sent by another too.
///
/// # The connection
///
/// `sslmode` in the URL says how the connection is encrypted, as in libpq, except that `require` verifies the server's
/// certificate too:
///
/// | `sslmode` | the connection |
/// |---|---|
/// | `disable` | not encrypted |
/// | `allow` | not encrypted; TLS with any certificate if the server insists |
/// | `prefer`, or none | TLS with any certificate; not encrypted if that fails |
/// | `verify-ca` | TLS with a certificate of the trusted roots, for any host |
/// | `require`, `verify-full` | TLS with a certificate of the trusted roots, for the host of the URL |
///
/// Only the last row keeps out somebody on the path who answers in the server's place. The trusted roots are those of the
/// file that `sslrootcert` names, or those of the platform (`sslrootcert=system` says so), and those of
/// [`PostgresOptions::trust_pem`]. `sslcert` and `sslkey` name the files of the certificate that the store shows to the
/// server, and of its key. All files are PEM.
///
/// The calls that use a connection which breaks fail as [`Unavailable`](hookwire::store::StoreErrorKind::Unavailable), and
/// so do those whose statement the server has not answered within 10 s (60 s for upkeep, statistics and lists of
/// deliveries). Such a connection is closed; later calls open a new one.
///
/// A pooler may be in between: see [`PostgresOptions::pooler`].
pub struct PostgresStore {
    core: Arc<Core>,
    poll_every: Duration,
    publish_timeout: Duration,
    pub(crate) schema: SchemaName,
    pub(crate) publish_statement: String,
}

impl PostgresStore {
    /// Connects with the [default options](Self::options).
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says what is wrong and what to do.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::options().connect(url).await
    }

    /// Creates or updates the schema `hookwire`: see [`PostgresOptions::migrate`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says what is wrong and what to do.
    pub async fn migrate(url: &str) -> Result<(), ConnectError> {
        Self::options().migrate(url).await
    }

    /// Returns the default settings, to change before connecting.
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    fn new(target: Target, options: &PostgresOptions, is_pooled: bool) -> Result<Self, ConnectError> {
        let statements = if is_pooled { Statements::Unnamed(Default::default()) } else { Statements::Named };
        let sessions = target.pool(options, statements)?;
        let schema = target.schema.clone();
        let publish_statement = format!("SELECT \"{}\".publish($1)", schema.as_str());
        let notifier = match options.listen && !is_pooled {
            true => Notifier::listening(target, sessions.clone()),
            false => Notifier::silent(&target.schema, sessions.clone()),
        };
        let core = Core {
            sessions,
            holders: Arc::default(),
            batcher: Arc::default(),
            notifier,
            longest_delay: LongestDelay::default(),
            began: OnceCell::new(),
            has_tried: AtomicBool::default(),
            repaired: AtomicI64::default(),
        };
        Ok(Self {
            core: Arc::new(core),
            poll_every: options.poll_every,
            publish_timeout: options.publish_timeout,
            schema,
            publish_statement,
        })
    }

    /// Wakes the dispatchers of this store, and those of all processes that [listen](PostgresOptions::listen). Call it after
    /// the commit of a transaction that wrote events: they find them at once then, and not when they next look.
    ///
    /// It is a hint, which waits for nothing and cannot fail: the other processes are notified in the background, and if that
    /// fails, they look by themselves soon. [`Webhooks::wake`](hookwire::Webhooks::wake) wakes the dispatcher of the same
    /// service alone, without a query.
    pub fn wake_all(&self) {
        self.core.notifier.notify_all();
    }

    /// Publishes items in one batch with those of other callers who wait.
    async fn publish_part(
        &self,
        items: Vec<Arc<Publication>>,
        hold: Option<ClaimRequest>,
    ) -> Result<Published, StoreError> {
        let (call, mut answered) = Call::new(items, hold);
        let (number, permit) = self.core.batcher.add(call);
        if let Some(permit) = permit {
            let core = Arc::clone(&self.core);
            // On a task of its own: the batch goes on when this caller goes away.
            tokio::spawn(async move { core.publish_batches(permit).await });
        }
        let answer = match timeout(self.publish_timeout, &mut answered).await {
            Ok(answer) => answer,
            Err(_) if self.core.batcher.withdraw(number) => {
                return Err(StoreErrorKind::Overloaded.into());
            }
            Err(_) => answered.await,
        };
        answer.unwrap_or_else(|error| Err(QueryError::unavailable(error).into()))
    }

    /// Runs `call` on a task of its own, so that it goes on to its end when the caller goes away.
    async fn spawn_task<T, F>(&self, call: impl FnOnce(Arc<Core>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        let done = tokio::spawn(call(Arc::clone(&self.core))).await;
        Ok(done.unwrap_or_else(|error| Err(QueryError::unavailable(error)))?)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("poll_every", &self.poll_every).finish_non_exhaustive()
    }
}

impl PostgresOptions {
    /// Connects to the database, which must have the schema already.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says what is wrong and what to do.
    pub async fn connect(self, url: &str) -> Result<PostgresStore, ConnectError> {
        let target = Target::new(url, &self)?;
        let is_pooled = self.pooler || target.is_pooled().await?;
        target.check().await?;
        PostgresStore::new(target, &self, is_pooled)
    }

    /// Creates or updates the schema, in one transaction. Does nothing if the schema is up to date. Several processes
    /// may call this at the same time.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says what is wrong and what to do.
    pub async fn migrate(self, url: &str) -> Result<(), ConnectError> {
        let target = Target::new(url, &self)?;
        schema::migrate(&target.client().await?, &target.schema).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn registry(&self, tenant: &TenantId) -> Result<Registry, StoreError> {
        Ok(registry::read(&self.core.sessions, tenant).await?)
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Revision, StoreError> {
        let commit = Commit { tenant: tenant.clone(), expected, change: change.clone() };
        let revision = self.spawn_task(|core| async move { core.transact_and_notify(&commit).await }).await?;
        revision.ok_or_else(|| StoreErrorKind::Conflict.into())
    }

    async fn health(&self, tenant: &TenantId, hook_id: HookId) -> Result<Option<Health>, StoreError> {
        Ok(registry::health(&self.core.sessions, tenant, hook_id).await?)
    }

    async fn disabled(
        &self,
        since: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<DisabledWebhook>, StoreError> {
        Ok(registry::disabled(&self.core.sessions, since, page).await?)
    }

    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, StoreError> {
        Ok(registry::tenants(&self.core.sessions, page).await?)
    }

    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError> {
        let mut hold = hold.copied();
        let mut done = Published { answers: Vec::with_capacity(publications.len()), held: Vec::new() };
        // In parts, so that callers who publish little come in between.
        for items in split(publications) {
            let part = match self.publish_part(items, hold).await {
                // Earlier parts are committed and may be held, so only the rest has no answer.
                Err(_) if !done.answers.is_empty() => break,
                part => part?,
            };
            hold = hold.and_then(|it| it.without(&part.held));
            done.answers.extend(part.answers);
            done.held.extend(part.held);
        }
        done.answers.resize_with(publications.len(), unanswered);
        Ok(done)
    }

    async fn route(&self, routed: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError> {
        let routed: Vec<_> = routed.iter().cloned().map(Arc::new).collect();
        self.spawn_task(|core| async move { core.route(routed).await }).await
    }

    async fn redeliver(
        &self,
        tenant: &TenantId,
        redeliveries: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let redeliver = Redeliver { tenant: tenant.clone(), items: redeliveries.to_vec(), behind: false };
        self.spawn_task(|core| async move { core.transact_and_notify(&redeliver).await }).await
    }

    async fn add(
        &self,
        tenant: &TenantId,
        additions: &[Addition],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let add = Add { tenant: tenant.clone(), items: additions.to_vec() };
        self.spawn_task(|core| async move { core.transact_and_notify(&add).await }).await
    }

    async fn erase_payload(&self, tenant: &TenantId, message: &MessageId) -> Result<bool, StoreError> {
        let erase = ErasePayload { tenant: tenant.clone(), message: message.clone() };
        self.spawn_task(|core| async move { core.transact_and_notify(&erase).await }).await
    }

    async fn recover(&self, tenant: &TenantId, recovery: &Recovery) -> Result<Recovered, StoreError> {
        let recover = Recover { tenant: tenant.clone(), recovery: recovery.clone() };
        self.spawn_task(|core| async move { core.transact_and_notify(&recover).await }).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        // The mark is taken first, so that work which arrives during the claim wakes the caller.
        let mark = WakeMark::new(self.core.notifier.mark());
        let request = *request;
        let claimed = self.spawn_task(|core| async move { core.claim(request).await }).await?;
        Ok(Claimed { mark, ..claimed })
    }

    async fn claim_of(&self, tenant: &TenantId, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let mark = WakeMark::new(self.core.notifier.mark());
        let (tenant, request) = (tenant.clone(), *request);
        let claimed = self.spawn_task(|core| async move { core.claim_of(tenant, request).await }).await?;
        Ok(Claimed { mark, ..claimed })
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let items: Vec<_> = settlements.iter().cloned().map(Arc::new).collect();
        self.spawn_task(|core| async move { core.settle(items).await }).await
    }

    async fn release(&self, holder: HolderId) -> Result<(), StoreError> {
        self.spawn_task(move |core| async move {
            let keys = core.holders.keys(holder);
            let release = Release { keys: keys.clone(), holder: holder_bytes(holder) };
            core.transact_and_notify(&release).await?;
            core.holders.end(keys);
            Ok(())
        })
        .await
    }

    async fn wake(&self, since: WakeMark) {
        self.core.notifier.notified(since.get()).await;
    }

    fn poll_every(&self) -> Option<Duration> {
        Some(self.poll_every)
    }

    async fn event(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<EventRecord>, StoreError> {
        Ok(log::read_event(&self.core.sessions, tenant, id).await?)
    }

    async fn messages(
        &self,
        tenant: &TenantId,
        query: &MessageQuery,
    ) -> Result<Page<MessageRecord>, StoreError> {
        Ok(log::messages(&self.core.sessions, tenant, query).await?)
    }

    async fn deliveries(
        &self,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Result<Page<Delivery>, StoreError> {
        Ok(log::deliveries(&self.core.sessions, tenant, query).await?)
    }

    async fn attempts(
        &self,
        tenant: &TenantId,
        deliveries: &[DeliveryId],
    ) -> Result<Vec<Option<Vec<Attempt>>>, StoreError> {
        Ok(log::attempts(&self.core.sessions, tenant, deliveries).await?)
    }

    async fn stats(&self, scope: &StatsScope) -> Result<Stats, StoreError> {
        Ok(log::stats(&self.core.sessions, scope).await?)
    }

    async fn count(&self, holder: HolderId, counts: &[Counted]) -> Result<(), StoreError> {
        let count = Count { holder, counts: counts.to_vec() };
        self.spawn_task(|core| async move { core.sessions.transact(&count).await }).await
    }

    async fn statistics(
        &self,
        tenant: &TenantId,
        hook_id: HookId,
        since: Timestamp,
    ) -> Result<Option<Statistics>, StoreError> {
        Ok(statistics::read(&self.core.sessions, tenant, hook_id, since).await?)
    }

    async fn tend(&self, request: &TendRequest) -> Result<Tended, StoreError> {
        let request = *request;
        self.spawn_task(|core| async move { core.tend(request).await }).await
    }

    async fn erase(&self, tenant: &TenantId, limit: usize) -> Result<Erased, StoreError> {
        let erase = Erase { tenant: tenant.clone(), limit };
        let more = self.spawn_task(|core| async move { core.sessions.transact(&erase).await }).await?;
        Ok(Erased { more })
    }
}
