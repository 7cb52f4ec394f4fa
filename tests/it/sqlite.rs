//! The embedded store: the whole contract, and what only a store with a file can do wrong.

mod bounded;
mod form;
mod killed;
mod opening;
#[cfg(target_os = "linux")]
mod recovering;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hookwire::clock::ManualClock;
use hookwire::delivery::{Next, Report};
use hookwire::model::{
    DeliveryOptions, DeliveryQuery, End, Event, EventId, HookId, MessageId, SealedSecrets, StampedEvent,
    Timestamp,
};
use hookwire::registry::{Backlog, RegisteredWebhook, RegistryChange};
use hookwire::store::{
    Claim, ClaimRequest, Counted, Durability, HolderId, Hour, OpenError, Publication, PublishAnswer, Quota,
    Routing, Settlement, SqliteStore, Store, TendRequest,
};
use hookwire::testing::conformance::StoreFixture;
use hookwire::testing::{Answer, Fault, FaultyStore, RecordingTransport};
use hookwire::{ErrorKind, TenantId, WebhookDraft, Webhooks, assist};

/// A directory that goes with the value.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hookwire-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    /// Where hookwire's own file goes.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("hooks.db")
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Copies the files that a killed process would leave: the file and its log while it runs.
fn left_by_a_kill(from: &Directory) -> Directory {
    let left = Directory::new();
    for name in ["hooks.db", "hooks.db-wal"] {
        fs::copy(from.path(name), left.path(name)).expect("copied");
    }
    left
}

pub(crate) struct SqliteFixture {
    store: Arc<SqliteStore>,
    /// The store as the suite sees it, perhaps in a wrapper.
    seen: Arc<dyn Store>,
    clock: ManualClock,
    directory: Directory,
}

#[async_trait]
impl StoreFixture for SqliteFixture {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.seen)
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn step(&self, seconds: i64) {
        self.clock.step(seconds);
    }

    async fn write_unrouted(&self, tenant: &TenantId, event: StampedEvent) {
        self.store.publish_unrouted(tenant, event).await.expect("written");
    }
}

async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    // What is synced is the same without the disk's own delay, which these tests are not about.
    SqliteStore::options().durability(Durability::ProcessCrash).open(path).await
}

async fn fixture() -> SqliteFixture {
    wrapped(|store| store).await
}

async fn in_an_arc() -> SqliteFixture {
    wrapped(|store| Arc::new(store as Arc<dyn Store>)).await
}

async fn without_faults() -> SqliteFixture {
    wrapped(|store| Arc::new(FaultyStore::new(store, |_, _| Fault::None))).await
}

async fn wrapped(wrap: impl FnOnce(Arc<SqliteStore>) -> Arc<dyn Store>) -> SqliteFixture {
    let (directory, clock) = (Directory::new(), ManualClock::default());
    let options = SqliteStore::options().durability(Durability::ProcessCrash).clock(clock.clone());
    let store = Arc::new(options.open(directory.file()).await.expect("a new file"));
    SqliteFixture { seen: wrap(Arc::clone(&store)), store, clock, directory }
}

hookwire::testing::store_conformance!(sqlite_store, super::fixture());
hookwire::testing::store_conformance!(arc_dyn_sqlite_store, super::in_an_arc());
hookwire::testing::store_conformance!(faulty_sqlite_store, super::without_faults());

fn acme() -> TenantId {
    TenantId::new("acme").expect("valid")
}

const ODD: &str = "{\"b\": 1.10,\t\"a\":1e2, \"\\u00e9\":\"é\u{1F600}\", \"a\":[ ]}";

async fn create(store: &SqliteStore) -> HookId {
    let registry = store.registry(&acme()).await.expect("registry");
    let webhook = serde_json::json!({"hook_id": registry.next_hook_id, "name": "hook",
        "url": "https://hooks.example.com/", "subscriptions": [{"event_id": 1}]});
    let webhook = serde_json::from_value(webhook).expect("a webhook");
    let secrets = SealedSecrets::new("sealed");
    let new = RegisteredWebhook { secrets, ..RegisteredWebhook::new(webhook) };
    store.commit(&acme(), registry.revision, &RegistryChange::Create(new)).await.expect("created");
    registry.next_hook_id
}

async fn publication(store: &SqliteStore, id: &str, hook: HookId) -> Publication {
    publication_with(store, id, hook, ODD).await
}

async fn publication_of(store: &SqliteStore, id: &str, hook: HookId, bytes: usize) -> Publication {
    publication_with(store, id, hook, &format!("\"{}\"", "x".repeat(bytes))).await
}

async fn publication_with(store: &SqliteStore, id: &str, hook: HookId, json: &str) -> Publication {
    let payload: Box<serde_json::value::RawValue> = serde_json::from_str(json).expect("JSON");
    let event = Event::new(EventId::new(1), &payload).expect("JSON");
    let event = event.stamped(|| MessageId::new(id).expect("valid"), Timestamp::from_secs(1));
    let routed_at = store.registry(&acme()).await.expect("registry").revision;
    let routing = Routing { targets: vec![hook], skipped: Vec::new() };
    Publication::new(acme(), event, routed_at, routing, Duration::from_secs(60 * 60))
}

async fn publish(store: &SqliteStore, id: &str, hook: HookId) {
    let item = publication(store, id, hook).await;
    let published = store.publish(&[item], None).await.expect("published");
    assert!(matches!(published.answers[..], [PublishAnswer::Stored(_)]), "{published:?}");
}

fn request() -> ClaimRequest {
    ClaimRequest {
        holder: HolderId::new(1),
        lease: Duration::from_secs(60),
        limit: 250,
        max_bytes: usize::MAX,
        quota: Quota::default().with_per_tenant(250).with_per_webhook(250),
        start_within: Duration::from_secs(1),
    }
}

async fn claim(store: &SqliteStore) -> Vec<Claim> {
    store.claim(&request()).await.expect("claimed").deliveries
}

fn delivered(claim: &Claim) -> Settlement {
    Settlement { report: Report::Success, ..Settlement::new(claim, Next::End(End::Delivered)) }
}

#[tokio::test]
async fn what_was_written_is_there_when_the_store_opens_again() {
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    for id in ["done", "open", "waiting"] {
        publish(&store, id, hook).await;
    }
    let claims = claim(&store).await;
    store.settle(&[delivered(&claims[0])]).await.expect("settled");
    drop(store);

    let store = open(&directory.file()).await.expect("the same file");
    let registry = store.registry(&acme()).await.expect("registry");
    assert_eq!(&registry.webhooks[0].secrets.expose()[..], b"sealed");
    let again = claim(&store).await;
    let ids: Vec<_> = again.iter().map(|claim| claim.event.message_id.as_str()).collect();
    assert_eq!(ids, ["open", "waiting"], "what the last owner had claimed is due at once");
    assert!(again.iter().all(|claim| claim.event.payload.get() == ODD), "bytes come back identical");
    let (old, new) = (claims[1].fence, again[0].fence);
    assert_ne!(old, new, "and its old claims are worth nothing");
    assert_eq!(create(&store).await, HookId::new(2), "ids are not used again");
    let log = store.deliveries(&acme(), &DeliveryQuery::new()).await.expect("log");
    assert_eq!(log.items.len(), 3);
}

#[tokio::test]
async fn ids_are_not_used_again_after_everything_was_erased() {
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    publish(&store, "m", hook).await;
    let first = claim(&store).await.remove(0).id;
    while store.erase(&acme(), 10).await.expect("erased").more {}
    drop(store);
    let store = open(&directory.file()).await.expect("the same file");
    let hook = create(&store).await;
    assert_eq!(hook, HookId::new(2));
    publish(&store, "m", hook).await;
    assert!(claim(&store).await[0].id > first);
}

#[tokio::test]
async fn nothing_that_was_counted_outlives_its_webhook_or_its_time() {
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    let hooks = [create(&store).await, create(&store).await];
    publish(&store, "m", hooks[1]).await;
    // An hour of 1970, and one of 2084.
    let counted = |hook, hour| Counted {
        tenant: acme(),
        hook,
        hour: Hour::new(hour),
        attempts: 1,
        successes: 0,
        last_success_at: None,
    };
    let counts: Vec<_> =
        hooks.iter().flat_map(|hook| [counted(*hook, 1), counted(*hook, 1_000_000)]).collect();
    store.count(HolderId::new(1), &counts).await.expect("counted");
    let look = rusqlite::Connection::open(directory.file()).expect("a database");
    let rows = || {
        look.query_row::<i64, _, _>("SELECT count(*) FROM statistic", (), |row| row.get(0)).expect("a number")
    };
    assert_eq!(rows(), 4);
    let keep = Duration::from_secs(60 * 60);
    let request = TendRequest { keep, keep_payloads: keep, limit: 100 };
    store.tend(&request).await.expect("tended");
    assert_eq!(rows(), 2, "old hours go");
    let revision = store.registry(&acme()).await.expect("registry").revision;
    store.commit(&acme(), revision, &RegistryChange::Delete(hooks[0])).await.expect("deleted");
    assert_eq!(rows(), 1, "of a webhook that is deleted");
    while store.erase(&acme(), 10).await.expect("erased").more {}
    assert_eq!(rows(), 0, "of one that is erased with its log");
}

#[tokio::test]
async fn a_file_has_one_owner() {
    let directory = Directory::new();
    let first = open(&directory.file()).await.expect("a new file");
    let second = open(&directory.file()).await.expect_err("it has an owner");
    assert!(matches!(second, OpenError::InUse { .. }), "{second:?}");
    assert!(second.to_string().contains("hooks.db"), "{second}");
    drop(first);
    open(&directory.file()).await.expect("free again");
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_as_it_is() {
    let directory = Directory::new();
    let text = "a diary, and no database: ".repeat(100);
    fs::write(directory.file(), &text).expect("written");
    let refused = open(&directory.file()).await.expect_err("no database");
    assert!(matches!(refused, OpenError::NotDatabase { .. }), "{refused:?}");
    assert_eq!(fs::read_to_string(directory.file()).expect("read"), text);
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_as_it_is() {
    let directory = Directory::new();
    drop(open(&directory.file()).await.expect("a new file"));
    let whole = fs::read(directory.file()).expect("read");
    let mut scratched = whole.clone();
    scratched[4096..4196].fill(0xff);
    for damaged in [&whole[..whole.len() / 2], &whole[..200], &scratched] {
        fs::write(directory.file(), damaged).expect("written");
        let refused = open(&directory.file()).await.expect_err("damaged");
        let OpenError::Corrupt { found, .. } = &refused else { panic!("{refused:?}") };
        let told = refused.to_string();
        assert!(!found.is_empty() && told.contains(found) && told.contains("hooks.db"), "{told}");
        assert!(told.contains("restore it from a backup"), "{told}");
        assert_eq!(fs::read(directory.file()).expect("read"), damaged);
    }
    fs::write(directory.file(), whole).expect("written");
    open(&directory.file()).await.expect("the backup is sound");
}

#[tokio::test]
async fn databases_of_others_and_of_later_versions_are_refused() {
    let directory = Directory::new();
    let file = directory.file();
    let sqlite = rusqlite::Connection::open(&file).expect("a database");
    sqlite.execute_batch("CREATE TABLE theirs (id INTEGER)").expect("a table");
    drop(sqlite);
    let foreign = open(&file).await.expect_err("somebody else's");
    assert!(matches!(foreign, OpenError::Foreign { .. }), "{foreign:?}");
    fs::remove_file(&file).expect("removed");
    drop(open(&file).await.expect("a new file"));
    let sqlite = rusqlite::Connection::open(&file).expect("a database");
    sqlite.pragma_update(None, "user_version", 99).expect("a later version");
    sqlite.execute_batch("UPDATE meta SET reader = 98").expect("that this code may not use");
    drop(sqlite);
    let newer = open(&file).await.expect_err("from the future");
    assert!(matches!(newer, OpenError::Newer { found: 99, .. }), "{newer:?}");
    assert!(newer.to_string().contains("hooks.db"), "{newer}");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let directory = Directory::new();
    fs::write(directory.file(), "a file").expect("written");
    let absent = directory.0.join("absent").join("hooks.db");
    let inner = directory.0.join("inner");
    fs::create_dir(&inner).expect("made");
    for path in [absent, directory.file().join("hooks.db"), inner] {
        let refused = open(&path).await.expect_err("no place for a file");
        assert!(matches!(refused, OpenError::NotWritable { .. }), "{refused:?}");
        assert!(refused.to_string().contains(&format!("{path:?}")), "{refused}");
    }
}

/// Each commit adds its pages to the log; publishing together shares them.
#[tokio::test(flavor = "multi_thread")]
async fn callers_share_commits() {
    let log_of = async |together: bool| {
        let directory = Directory::new();
        let store = Arc::new(open(&directory.file()).await.expect("a new file"));
        let hook = create(&store).await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..200 {
            let item = publication(&store, &format!("m{n}"), hook).await;
            let store = Arc::clone(&store);
            tasks.spawn(async move { store.publish(&[item], None).await.expect("published") });
            if !together {
                tasks.join_next().await;
            }
        }
        tasks.join_all().await;
        fs::metadata(directory.0.join("hooks.db-wal")).expect("a log").len()
    };
    let (alone, together) = (log_of(false).await, log_of(true).await);
    assert!(together < alone, "{together} bytes for callers together, {alone} one by one");
}

/// Somebody with a tool holds the lock of the file: calls fail whole, and go on when it is free.
#[tokio::test]
async fn a_group_that_cannot_be_written_leaves_nothing() {
    let directory = Directory::new();
    let options = SqliteStore::options().publish_timeout(Duration::from_millis(5));
    let store = options.open(directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    publish(&store, "before", hook).await;
    let item = [publication(&store, "meanwhile", hook).await];
    let tool = rusqlite::Connection::open(directory.file()).expect("a database");
    tool.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let error = store.publish(&item, None).await.expect_err("nothing can be written");
    assert!(error.kind().can_retry_help(), "{error:?}");
    tool.execute_batch("ROLLBACK").expect("unlocked");
    assert_eq!(claim(&store).await.len(), 1, "nothing of it was written");
    let answers = store.publish(&item, None).await.expect("published").answers;
    assert!(matches!(answers[..], [PublishAnswer::Stored(_)]), "{answers:?}");
    assert_eq!(claim(&store).await.len(), 1, "and the store goes on");
}

/// The whole way, with the store that a host has: held at publish, failed once, delivered.
#[tokio::test]
async fn a_service_delivers_from_it() {
    let fixture = fixture().await;
    let transport = RecordingTransport::answering(|_, nth| match nth {
        0 => Answer::status(503),
        _ => Answer::status(204),
    });
    let hooks = Webhooks::builder(assist::catalog())
        .store(Arc::clone(&fixture.store))
        .transport(transport.clone())
        .clock(fixture.clock.clone())
        .build()
        .expect("a service");
    let acme = hooks.tenant(acme());
    let draft = WebhookDraft::new("hook", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
    acme.create(&draft).await.expect("created");
    let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({})).expect("JSON");
    let sent = acme.publish(event).await.expect("published");
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 1);
    fixture.clock.advance(Duration::from_secs(6));
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 1);
    let told = acme.explain(sent.message_id()).await.expect("known").to_string();
    assert!(told.contains("delivered after 2 attempts"), "{told}");
}

#[tokio::test]
async fn a_cancelled_publish_is_whole_or_absent_and_can_be_repeated() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let hook = create(store).await;
    for n in 0..50 {
        let item = [publication(store, &format!("m{n}"), hook).await];
        let publish = store.publish(&item, None);
        let _ = tokio::time::timeout(Duration::from_micros(n * 20), publish).await;
        let again = store.publish(&item, None).await.expect("published").answers;
        assert!(matches!(again[..], [PublishAnswer::Stored(_) | PublishAnswer::Duplicate(_)]), "{again:?}");
    }
    let log = store.deliveries(&acme(), &DeliveryQuery::new()).await.expect("log");
    assert_eq!(log.items.len(), 50);
    assert!(fixture.directory.file().exists());
}

#[tokio::test]
async fn bad_events_are_refused_and_leave_nothing() {
    let fixture = fixture().await;
    let hooks = Webhooks::builder(assist::catalog())
        .store(Arc::clone(&fixture.store))
        .transport(RecordingTransport::new())
        .build()
        .expect("a service");
    let acme = hooks.tenant(acme());
    let event = |bytes: usize| Event::new(assist::DEVICE_ONLINE, &"x".repeat(bytes)).expect("JSON");
    let id = || MessageId::new("m").expect("valid");
    let large = acme.publish(event(256 * 1024).message_id(id())).await.expect_err("the quotes are too much");
    assert_eq!(*large.kind(), ErrorKind::PayloadTooLarge);
    assert!(large.to_string().contains("send at most 262144"), "{large}");
    assert!(acme.explain(&id()).await.is_err(), "nothing of it was written");
    acme.publish(event(1).message_id(id())).await.expect("published");
    let reused = acme.publish(event(2).message_id(id())).await.expect_err("another content");
    assert_eq!(*reused.kind(), ErrorKind::MessageIdReused);
    assert!(reused.to_string().contains("choose another"), "{reused}");
    let again = acme.publish(event(1).message_id(id())).await.expect("the same content");
    assert_eq!(again.message_id(), &id());
    let record = fixture.store.event(acme.id(), &id()).await.expect("read").expect("kept");
    assert_eq!(record.event.payload.get(), "\"x\"", "the first is as it was");
}

/// What a process that was killed has claimed may have begun at its very end.
#[tokio::test]
async fn a_rate_is_kept_across_a_kill() {
    let (directory, clock) = (Directory::new(), ManualClock::default());
    let options = SqliteStore::options().durability(Durability::ProcessCrash).clock(clock.clone());
    let store = options.clone().open(directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    let registry = store.registry(&acme()).await.expect("registry");
    let mut limited = registry.webhooks[0].clone();
    limited.options = DeliveryOptions::new().with_rate(2).expect("valid");
    let change = RegistryChange::Update(limited, Backlog::Resume);
    store.commit(&acme(), registry.revision, &change).await.expect("changed");
    for id in ["a", "b", "c", "d"] {
        publish(&store, id, hook).await;
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!(claim(&store).await.len(), 2);
    let left = left_by_a_kill(&directory);
    let store = options.open(left.file()).await.expect("it opens");
    assert!(claim(&store).await.is_empty(), "those may have begun a moment ago");
    clock.advance(Duration::from_secs(1));
    assert_eq!(claim(&store).await.len(), 2, "they are over, whoever began them");
}
