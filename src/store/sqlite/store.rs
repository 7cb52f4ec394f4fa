//! The store itself: opening it, and each call as a job for a thread.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;

use super::error::OpenError;
use super::file::open;
use super::file::sql::SqlError;
use super::options::SqliteOptions;
use super::parts::{parts, size_of};
use super::state::{Shared, WriterState};
use super::threads::owner::lock_within;
use super::threads::reader::{self, Query};
use super::threads::worker::{Spawn, Worker, spawn_thread};
use super::threads::writer::{Job, Writer};
use super::transaction::Transaction;
use super::{log, registry, statistics};
use crate::delivery::Health;
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, HookId, MessageId, MessageQuery, MessageRecord, Page,
    PageRequest, TenantId, Timestamp,
};
use crate::notify::Notify;
use crate::registry::{Registry, RegistryChange, Revision};
use crate::store::Store;
use crate::store::claim::{ClaimRequest, Claimed};
use crate::store::disabled::DisabledWebhook;
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::lease::{HolderId, WakeMark};
use crate::store::publication::{
    Addition, Publication, PublishAnswer, Published, Recovered, Recovery, Redelivery,
};
use crate::store::records::{Erased, EventRecord, Stats, StatsScope, TendRequest, Tended};
use crate::store::routing::{RouteAnswer, Routed};
use crate::store::settlement::{Settled, Settlement};
use crate::store::statistics::{Counted, Statistics};
use crate::timer::{self, Timer};

/// The number of calls that may wait in the writer's queue before further ones wait for room.
const QUEUE: usize = 1024;

const READERS: usize = 2;

/// A store in one file, on the SQLite that is built in: the default for one process.
///
/// One store has the file at a time, by whichever path or symbolic link. Give the file no hard link. Several
/// dispatchers of one process may share the store behind an [`Arc`].
///
/// All writes go through one thread. Writes that arrive while the disk syncs share the next sync, so throughput grows
/// with the number of callers. No thread of the async runtime blocks, except that the drop of the store waits until
/// the queue is written and the file is closed.
///
/// ```
/// use hookwire::store::{SqliteStore, Store};
/// use hookwire::TenantId;
///
/// # let directory = std::env::temp_dir().join(format!("hookwire-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("hooks.db");
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = SqliteStore::open(&path).await?; // "hooks.db"
/// assert!(store.registry(&TenantId::new("acme")?).await?.webhooks.is_empty());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # What survives
///
/// The writes of a call are committed when it returns, all of them or none. By default a committed write survives a
/// power cut, if the disk keeps what it has reported as synced. [`Durability`](crate::store::Durability) has the
/// other choice.
///
/// After a crash the store opens in the state of the last commit. Who had claimed what is not in the file: all that had
/// not ended is free, and due at once if it was due. A request that
/// was sent but not recorded is sent again, under the same message id.
///
/// A delivery that kills the process whenever it is sent does not block others for ever. For ten minutes after an
/// opening that follows a kill, claims are noted in the file. A delivery that was under way at three kills in a row
/// runs alone. At the fifth it is put off for an hour, at each further one for twice as long, at most for a day, with a
/// warning.
///
/// On a full disk, a write that does not fit fails as [`Full`](crate::store::StoreErrorKind::Full). Confirmed writes
/// stay, and reading and smaller writes go on. Once there is room, every call succeeds again without reopening the
/// store.
///
/// The file must be on a local disk. On a network file system neither the lock nor the log can be
/// trusted.
///
/// # Backup
///
/// Beside the file stand `-wal` and `-shm`, which are part of it while it is open, and `.lock`, which is
/// empty. Never copy the file alone while a store has it open: `sqlite3 hooks.db ".backup copy.db"` makes
/// a sound copy at any time, `VACUUM INTO` too. It holds the webhooks' secrets: keep it like a password.
///
/// # Looking at the queue
///
/// The file may be read with the `sqlite3` tool while a store has it open, but must not be written: a store knows
/// only of its own writes.
///
/// The log `-wal` normally stays below 10 MB, or 32 MB while many read or once fewer write at the same time. While a
/// transaction of the tool is open, the log grows with every write, and writes now and then wait for a tenth of a second.
/// After the end of the transaction the log is reused from its start, and a longer one is cut to 64 MiB.
///
/// ```sql
/// -- The deliveries of each webhook that have not ended; times are milliseconds since 1970.
/// SELECT tenant.name, hook, count(*) AS pending, datetime(min(due) / 1000, 'unixepoch') AS first
/// FROM delivery JOIN lane ON lane.id = delivery.lane AND lane.epoch = delivery.epoch
///     JOIN tenant ON tenant.id = lane.tenant
/// WHERE state = 0 GROUP BY lane.id;
/// -- The first answers of receivers; the table `attempt` has the later ones.
/// SELECT id, json_extract(first_attempt, '$.outcome') FROM delivery ORDER BY id DESC LIMIT 20;
/// ```
///
/// # Size
///
/// The file reuses the space of removed rows and does not shrink, so it is as large as it ever had to be. A
/// dispatcher's upkeep removes an event with its deliveries once
/// [`Policy::with_keep`](crate::policy::Policy::with_keep) has passed since the last of them ended.
pub struct SqliteStore {
    // In this order they are dropped: the writer, closing last, leaves a file without a log beside it.
    reader: Worker<Query>,
    pub(super) writer: Worker<Job>,
    new_work: Arc<Notify>,
    shared: Arc<Shared>,
    path: PathBuf,
    pub(super) publish_timeout: Duration,
    pub(super) spawn: Spawn,
}

impl SqliteStore {
    /// Opens the store in this file, which is made if there is none, to survive power cuts.
    ///
    /// A file of up to 64 MiB is read through for damage first. A larger one is not, as that would take long: a call
    /// that reads a damaged part fails as [`Corrupt`](crate::store::StoreErrorKind::Corrupt). A file of any size is
    /// checked by `sqlite3 hooks.db "PRAGMA quick_check"`.
    ///
    /// # Errors
    ///
    /// [`OpenError`] tells what is wrong with the file; nothing in it is changed then.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::options().open(path).await
    }

    /// The settings to open a store with.
    pub fn options() -> SqliteOptions {
        SqliteOptions::default()
    }

    /// Opens the store on a thread of its own, because the disk may take long.
    pub(super) async fn open_with(path: PathBuf, options: SqliteOptions) -> Result<Self, OpenError> {
        // It goes with this future, which the thread would outlive.
        let caller = Arc::new(());
        let (name, watched) = (path.clone(), Arc::downgrade(&caller));
        let spawn = options.spawn;
        let opened = move || Self::open_here(name, options, &watched);
        match spawn_thread(spawn, "hookwire-open", opened).await {
            Ok(Some(opened)) => opened,
            Ok(None) => Err(OpenError::Other { path, source: "opening panicked".into() }),
            Err(source) => Err(OpenError::NoThread { path, source }),
        }
    }

    fn open_here(path: PathBuf, options: SqliteOptions, caller: &Weak<()>) -> Result<Self, OpenError> {
        let lock = lock_within(&path, options.wait_for_owner, caller)?;
        let connection = open::open_writer(&path, &options)?;
        let SqliteOptions { clock, publish_timeout, spawn, .. } = options;
        let timer =
            start_timer(spawn).map_err(|source| OpenError::NoThread { path: path.clone(), source })?;
        let new_work = Arc::new(Notify::default());
        let (writer, jobs) = Worker::new(QUEUE, Arc::clone(&timer), publish_timeout);
        let (reader, queries) = Worker::new(QUEUE, timer, publish_timeout);
        let opened = WriterState::open(connection, clock).map_err(StoreError::from);
        let state =
            opened.map_err(|error| OpenError::Other { path: path.clone(), source: Box::new(error) })?;
        let shared = Arc::clone(state.shared());
        let group_writer = Writer::new(state, jobs, Arc::clone(&new_work), publish_timeout);
        let mut store = Self { reader, writer, new_work, shared, path, publish_timeout, spawn };
        store.start(group_writer, lock, queries)?;
        Ok(store)
    }

    fn start(
        &mut self,
        writer: Writer,
        lock: open::Lock,
        queries: tokio::sync::mpsc::Receiver<Query>,
    ) -> Result<(), OpenError> {
        let failed = |source| OpenError::NoThread { path: self.path.clone(), source };
        let write = move || {
            writer.run();
            drop(lock); // Only now that the file is closed may another store have it.
        };
        self.writer.start(self.spawn, "hookwire-writer", write).map_err(failed)?;
        let queries = reader::shared(queries);
        for _ in 0..READERS {
            let (connection, queries) = (open::open_reader(&self.path)?, Arc::clone(&queries));
            let read = move || reader::run(connection, &queries);
            self.reader.start(self.spawn, "hookwire-reader", read).map_err(failed)?;
        }
        Ok(())
    }

    /// Publishes one group. One bad item fails alone, so what fails with others is published by itself.
    async fn publish_part(
        &self,
        items: &[Publication],
        hold: Option<ClaimRequest>,
    ) -> Result<Published, StoreError> {
        let written = self.publish_group(items.to_vec(), hold).await;
        match written {
            Err(error) if error.kind() == StoreErrorKind::Corrupt && items.len() > 1 => {}
            written => return written,
        }
        let mut published = Published { answers: Vec::with_capacity(items.len()), held: Vec::new() };
        for item in items {
            let hold = hold.and_then(|it| it.without(&published.held));
            match self.publish_group(vec![item.clone()], hold).await {
                Ok(done) => {
                    published.answers.extend(done.answers);
                    published.held.extend(done.held);
                }
                Err(error) => published.answers.push(PublishAnswer::Failed(error)),
            }
        }
        Ok(published)
    }

    async fn publish_group(
        &self,
        items: Vec<Publication>,
        hold: Option<ClaimRequest>,
    ) -> Result<Published, StoreError> {
        let size = size_of(&items);
        let publish = move |it: &mut Transaction<'_>| it.publish(&items);
        let hand_out = move |state: &mut WriterState, written| state.hand_out(written, hold.as_ref());
        let (job, answer) = Job::write(size, publish, hand_out);
        self.writer.ask(job, answer).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (query, answer) = Query::new(read);
        self.reader.ask(query, answer).await
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        rows: usize,
        work: impl Fn(&mut Transaction<'_>) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = Job::write((rows, 0), work, |_, done| done);
        self.writer.ask(job, answer).await
    }

    pub(super) async fn between<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut WriterState) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = Job::between(work);
        self.writer.ask(job, answer).await
    }
}

fn start_timer(spawn: Spawn) -> io::Result<Arc<Timer>> {
    let (timer, run) = Timer::new();
    spawn(timer::THREAD, Box::new(run))?;
    Ok(Arc::new(timer))
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteOptions {
    /// Opens the store in this file, which is made if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError`] tells what is wrong with the file; nothing in it is changed then.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_with(path.as_ref().to_path_buf(), self).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn registry(&self, tenant: &TenantId) -> Result<Registry, StoreError> {
        let tenant = tenant.clone();
        self.read(move |file| registry::read(file, &tenant)).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Revision, StoreError> {
        let (tenant, change) = (tenant.clone(), change.clone());
        let revision = self.write(1, move |state| state.commit(&tenant, expected, &change)).await?;
        revision.ok_or_else(|| StoreErrorKind::Conflict.into())
    }

    async fn health(&self, tenant: &TenantId, hook_id: HookId) -> Result<Option<Health>, StoreError> {
        let tenant = tenant.clone();
        self.read(move |file| registry::health(file, &tenant, hook_id)).await
    }

    async fn disabled(
        &self,
        since: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<DisabledWebhook>, StoreError> {
        let page = page.clone();
        self.read(move |file| registry::disabled(file, since, &page)).await
    }

    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, StoreError> {
        let page = page.clone();
        self.read(move |file| registry::tenants(file, &page)).await
    }

    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError> {
        let mut hold = hold.copied();
        let mut published = Published { answers: Vec::with_capacity(publications.len()), held: Vec::new() };
        for part in parts(publications) {
            let done = match self.publish_part(part, hold).await {
                // Earlier parts are committed and may be held, so only the rest has no answer.
                Err(error) if !published.answers.is_empty() => {
                    let left = publications.len() - published.answers.len();
                    published.answers.extend((0..left).map(|_| error.kind().into()));
                    break;
                }
                done => done?,
            };
            hold = hold.and_then(|it| it.without(&done.held));
            published.answers.extend(done.answers);
            published.held.extend(done.held);
        }
        Ok(published)
    }

    async fn route(&self, routed: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError> {
        let routed = routed.to_vec();
        self.write(routed.len(), move |state| state.route(&routed)).await
    }

    async fn redeliver(
        &self,
        tenant: &TenantId,
        redeliveries: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let (tenant, items) = (tenant.clone(), redeliveries.to_vec());
        self.write(items.len(), move |state| state.redeliver(&tenant, &items)).await
    }

    async fn add(
        &self,
        tenant: &TenantId,
        additions: &[Addition],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let (tenant, items) = (tenant.clone(), additions.to_vec());
        self.write(items.len(), move |state| state.add(&tenant, &items)).await
    }

    async fn erase_payload(&self, tenant: &TenantId, message: &MessageId) -> Result<bool, StoreError> {
        let (tenant, message) = (tenant.clone(), message.clone());
        self.write(1, move |state| state.erase_payload(&tenant, &message)).await
    }

    async fn recover(&self, tenant: &TenantId, recovery: &Recovery) -> Result<Recovered, StoreError> {
        let (tenant, recovery) = (tenant.clone(), recovery.clone());
        self.write(recovery.page.limit(), move |it| it.recover(&tenant, &recovery)).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        // The mark is taken first, so that work which arrives during the claim wakes the caller.
        let mark = WakeMark::new(self.new_work.mark());
        let request = *request;
        let claimed = self.between(move |state| state.claim(None, &request)).await?;
        Ok(Claimed { mark, ..claimed })
    }

    async fn claim_of(&self, tenant: &TenantId, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let mark = WakeMark::new(self.new_work.mark());
        let (tenant, request) = (tenant.clone(), *request);
        let claimed = self.between(move |state| state.claim(Some(&tenant), &request)).await?;
        Ok(Claimed { mark, ..claimed })
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let items = settlements.to_vec();
        self.write(items.len(), move |state| state.settle(&items)).await
    }

    async fn release(&self, holder: HolderId) -> Result<(), StoreError> {
        self.between(move |state| state.release(holder)).await
    }

    async fn wake(&self, since: WakeMark) {
        self.new_work.notified(since.get()).await;
    }

    fn poll_every(&self) -> Option<Duration> {
        None
    }

    async fn event(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<EventRecord>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |file| log::read_event(file, &tenant, &id)).await
    }

    async fn messages(
        &self,
        tenant: &TenantId,
        query: &MessageQuery,
    ) -> Result<Page<MessageRecord>, StoreError> {
        let (tenant, query) = (tenant.clone(), query.clone());
        self.read(move |file| log::messages(file, &tenant, &query)).await
    }

    async fn deliveries(
        &self,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Result<Page<Delivery>, StoreError> {
        let (tenant, query, shared) = (tenant.clone(), query.clone(), Arc::clone(&self.shared));
        // What is held is asked on the thread that reads, before its snapshot begins with the first statement.
        self.read(move |file| log::deliveries(file, &tenant, &query, &shared.present())).await
    }

    async fn attempts(
        &self,
        tenant: &TenantId,
        deliveries: &[DeliveryId],
    ) -> Result<Vec<Option<Vec<Attempt>>>, StoreError> {
        let (tenant, ids) = (tenant.clone(), deliveries.to_vec());
        self.read(move |file| log::attempts(file, &tenant, &ids)).await
    }

    async fn stats(&self, scope: &StatsScope) -> Result<Stats, StoreError> {
        let (scope, shared) = (scope.clone(), Arc::clone(&self.shared));
        self.read(move |file| log::stats(file, &scope, &shared.present())).await
    }

    async fn count(&self, _: HolderId, counts: &[Counted]) -> Result<(), StoreError> {
        let counts = counts.to_vec();
        self.write(counts.len(), move |state| state.count(&counts)).await
    }

    async fn statistics(
        &self,
        tenant: &TenantId,
        hook_id: HookId,
        since: Timestamp,
    ) -> Result<Option<Statistics>, StoreError> {
        let tenant = tenant.clone();
        self.read(move |file| statistics::read(file, &tenant, hook_id, since)).await
    }

    async fn tend(&self, request: &TendRequest) -> Result<Tended, StoreError> {
        let request = *request;
        self.write(request.limit, move |state| state.tend(&request)).await
    }

    async fn erase(&self, tenant: &TenantId, limit: usize) -> Result<Erased, StoreError> {
        let tenant = tenant.clone();
        self.write(limit, move |state| state.erase(&tenant, limit)).await
    }
}
