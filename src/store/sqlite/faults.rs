//! Tests with planted faults: a file that cannot grow, work that fails in the middle of a group, and threads that
//! cannot start.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::{
    Claim, ClaimRequest, Durability, HolderId, OpenError, Publication, PublishAnswer, Published, Quota,
    RouteAnswer, Routed, Routing, Settlement, SqliteOptions, SqliteStore, Stats, StatsScope, Store,
    StoreError, StoreErrorKind, TendRequest, Unrouted,
};
use super::file::rows::{LaneId, Position};
use super::file::sql::{Sql, SqlError, number};
use super::memory::LANES_WITH_WORK;
use super::queue::Queue;
use super::state::WriterState;
use super::threads::worker::{Spawn, spawn};
use super::transaction::Transaction;
use crate::delivery::Next;
use crate::error_chain::chain;
use crate::model::{
    DeliveryQuery, End, Event, EventId, HookId, MessageId, PageRequest, SealedSecrets, TenantId, Timestamp,
};
use crate::registry::{RegisteredWebhook, RegistryChange};
use crate::store::schedule::Turn;

/// A store with one webhook, in a directory that goes with it.
struct Scene {
    store: SqliteStore,
    directory: PathBuf,
}

const HOOK: HookId = HookId::new(1);

impl Scene {
    async fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("hookwire-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let options = SqliteStore::options().durability(Durability::ProcessCrash);
        let store = options.open(directory.join("hooks.db")).await.expect("a new file");
        let webhook = serde_json::json!({"hook_id": 1, "name": "hook", "url": "https://hooks.example.com/",
            "subscriptions": [{"event_id": 1}]});
        let webhook = serde_json::from_value(webhook).expect("a webhook");
        let new =
            RegisteredWebhook { secrets: SealedSecrets::new("sealed"), ..RegisteredWebhook::new(webhook) };
        let (revision, change) = (Default::default(), RegistryChange::Create(new));
        store.commit(&acme(), revision, &change).await.expect("created");
        Self { store, directory }
    }

    async fn publication(&self, id: &str, bytes: usize) -> Publication {
        let event = Event::new(EventId::new(1), &"x".repeat(bytes)).expect("JSON");
        let event = event.stamped(|| MessageId::new(id).expect("valid"), Timestamp::from_secs(1));
        let routed_at = self.store.registry(&acme()).await.expect("registry").revision;
        let routing = Routing { targets: vec![HOOK], skipped: Vec::new() };
        Publication::new(acme(), event, routed_at, routing, Duration::from_secs(60 * 60))
    }

    async fn publish(&self, id: &str, bytes: usize) -> Result<Published, StoreError> {
        self.store.publish(&[self.publication(id, bytes).await], None).await
    }

    /// Publishes until there is no room; gives how many were confirmed, and why the next was not.
    async fn fill(&self) -> (usize, StoreError) {
        for count in 0.. {
            match self.publish(&format!("m{count}"), 8_000).await {
                Ok(published) => assert!(is_stored(&published), "{published:?}"),
                Err(error) => return (count, error),
            }
        }
        unreachable!("a file of few pages is full at last")
    }

    /// Lets the file grow by so many pages and no more.
    async fn leave_room(&self, pages: i64) {
        let limit = move |state: &mut WriterState| {
            let present = state.connection.one("PRAGMA page_count", [], number)?.unwrap_or_default();
            state.connection.one(&format!("PRAGMA max_page_count = {}", present + pages), [], number)
        };
        self.store.between(limit).await.expect("limited");
    }

    async fn claim(&self) -> Vec<Claim> {
        self.store.claim(&request(HolderId::new(1))).await.expect("claimed").deliveries
    }

    async fn settle(&self, claims: &[Claim]) -> Result<(), StoreError> {
        let items: Vec<_> = claims.iter().map(delivered).collect();
        self.store.settle(&items).await.map(|_| ())
    }

    async fn logged(&self) -> usize {
        let query = DeliveryQuery::new().page(PageRequest::default().with_limit(1_000));
        self.store.deliveries(&acme(), &query).await.expect("a log").items.len()
    }

    async fn stats(&self) -> Stats {
        self.store.stats(&StatsScope::All).await.expect("counted")
    }

    /// Blocks the writer until the sender is dropped, so that the jobs which arrive meanwhile are one group.
    async fn wait_for(&self, begun: Receiver<()>) {
        let begun = Mutex::new(begun);
        let wait = move |_: &mut Transaction<'_>| Ok(begun.lock().expect("whole").recv().is_err());
        assert!(self.store.write(1, wait).await.expect("waited"));
    }

    /// Has the writer fail after this work.
    async fn fail_with(&self, work: impl Fn(&mut Transaction<'_>) + Send + 'static) {
        let fails = move |transaction: &mut Transaction<'_>| {
            work(transaction);
            Err::<(), _>(SqlError::corrupt("planted"))
        };
        self.store.write(1, fails).await.expect_err("planted");
    }

    async fn claim_unrouted(&self, holder: u128) -> Vec<Unrouted> {
        self.store.claim(&request(HolderId::new(holder))).await.expect("claimed").unrouted
    }

    async fn routed(&self, unrouted: &[Unrouted]) -> Vec<Routed> {
        let routed_at = self.store.registry(&acme()).await.expect("registry").revision;
        let route = |it: &Unrouted| Routed {
            unrouted: it.clone(),
            routed_at,
            routing: Ok(Routing { targets: vec![HOOK], skipped: Vec::new() }),
            expires: Duration::from_secs(60 * 60),
        };
        unrouted.iter().map(route).collect()
    }

    /// Compares what the writer keeps in memory with what the file tells.
    async fn memory_is_as_the_file(&self) -> bool {
        self.store.between(memory_is_as_the_file).await.expect("compared")
    }

    /// Opens the store again, as a process does that was killed.
    async fn reopen(&mut self) {
        let file = self.directory.join("hooks.db");
        let options = SqliteStore::options().durability(Durability::ProcessCrash);
        let elsewhere = self.directory.join("other.db");
        self.store = SqliteStore::open(elsewhere).await.expect("the first gives its file up");
        self.store = options.open(file).await.expect("it was left whole");
    }
}

/// Checks that the first delivery of each kind in each lane is the one that the file has first, and that every held
/// delivery is pending in the file.
fn memory_is_as_the_file(state: &mut WriterState) -> Result<bool, SqlError> {
    let mut memory = state.shared().memory_mut();
    let file = &state.connection;
    let mut lanes: Vec<LaneId> = file.all(LANES_WITH_WORK, [], number)?;
    lanes.extend(memory.queues.keys());
    let mut is_same = true;
    for lane in lanes {
        let epoch = file.one("SELECT epoch FROM lane WHERE id = ?", [lane], number)?.unwrap_or_default();
        for turn in [Turn::FirstAttempt, Turn::Retry] {
            let told = Queue::unread(epoch).read_first(file, lane, turn, |id| memory.held(id).is_some())?;
            is_same &= memory.read_first(file, lane, turn)? == told;
        }
    }
    for id in memory.all_held().keys() {
        let waits = file.one("SELECT state = 0 FROM delivery WHERE id = ?", [id], number)?;
        is_same &= waits == Some(1);
    }
    Ok(is_same)
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn request(holder: HolderId) -> ClaimRequest {
    let quota = Quota::default().with_in_all(1_000).with_per_tenant(1_000).with_per_webhook(1_000);
    let lease = Duration::from_secs(60);
    ClaimRequest {
        holder,
        lease,
        limit: 1_000,
        max_bytes: usize::MAX,
        quota,
        start_within: Duration::from_secs(1),
    }
}

fn acme() -> TenantId {
    TenantId::new("acme").expect("valid")
}

fn is_stored(published: &Published) -> bool {
    matches!(published.answers[..], [PublishAnswer::Stored(_)])
}

fn delivered(claim: &Claim) -> Settlement {
    Settlement::new(claim, Next::End(End::Delivered))
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_room() {
    let scene = Scene::new("full").await;
    scene.leave_room(50).await;
    let (confirmed, error) = scene.fill().await;
    assert_eq!(error.kind(), StoreErrorKind::Full);
    assert!(error.kind().can_retry_help());
    let told = chain(&error);
    assert!(told.starts_with("the store's disk is full: ") && told.contains("hooks.db"), "{told}");
    assert!(told.contains("make room on its disk, and the store goes on by itself"), "{told}");
    assert!(confirmed > 10, "{confirmed} found room");
    assert_eq!(scene.logged().await, confirmed, "what was confirmed is there, and nothing else");
    assert!(scene.memory_is_as_the_file().await);

    scene.leave_room(50).await;
    let claims = scene.claim().await;
    assert_eq!(claims.len(), confirmed);
    assert!(is_stored(&scene.publish("later", 8_000).await.expect("there is room again")));
    scene.settle(&claims).await.expect("settled");
    assert_eq!(scene.stats().await.pending(), 1);
    assert!(scene.memory_is_as_the_file().await);
}

#[tokio::test]
async fn upkeep_makes_room_on_a_full_disk() {
    let scene = Scene::new("tended").await;
    scene.leave_room(100).await;
    let confirmed = scene.fill().await.0;
    let claims = scene.claim().await;
    assert_eq!(claims.len(), confirmed, "claims write nothing");
    scene.settle(&claims).await.expect("and so do settlements");
    let request = TendRequest { keep: Duration::ZERO, keep_payloads: Duration::ZERO, limit: 500 };
    let mut removed = 0;
    while removed < confirmed {
        removed += scene.store.tend(&request).await.expect("room is made").removed;
    }
    assert!(is_stored(&scene.publish("later", 8_000).await.expect("there is room again")));
}

/// A job that fits is written, although its group holds one that does not.
#[tokio::test]
async fn what_does_not_fit_harms_nobody_else_of_its_group() {
    let scene = Scene::new("group").await;
    for id in ["a", "b"] {
        scene.publish(id, 100).await.expect("published");
    }
    let claims = scene.claim().await;
    scene.leave_room(20).await;
    let (begin, begun) = channel();
    let huge = [scene.publication("huge", 1_000_000).await];
    let small = [scene.publication("small", 100).await];
    let (_, settled, huge, small, ()) = tokio::join!(
        scene.wait_for(begun),
        scene.settle(&claims[..1]),
        scene.store.publish(&huge, None),
        scene.store.publish(&small, None),
        async { drop(begin) },
    );
    settled.expect("it takes no room");
    assert_eq!(huge.expect_err("it does not fit").kind(), StoreErrorKind::Full);
    assert!(is_stored(&small.expect("it fits")));
    assert_eq!((scene.stats().await.pending(), scene.stats().await.held), (2, 1));
    assert!(scene.memory_is_as_the_file().await);
    assert_eq!(scene.claim().await.len(), 1, "the small one");
}

/// A routing lease outlives the rollback of other work, and is as it was when its own is rolled back.
#[tokio::test]
async fn a_tenants_router_stays_whatever_is_rolled_back() {
    let scene = Scene::new("lease").await;
    for id in ["a", "b"] {
        let event = Arc::unwrap_or_clone(scene.publication(id, 100).await.event);
        scene.store.publish_unrouted(&acme(), event).await.expect("written");
    }
    let unrouted = scene.claim_unrouted(2).await;
    assert_eq!(unrouted.len(), 2);
    scene.fail_with(|_| ()).await;
    assert_eq!(scene.claim_unrouted(3).await.len(), 0, "one keeps them, whoever fails");
    let first = scene.routed(&unrouted[..1]).await;
    scene.fail_with(move |it| assert_eq!(it.route(&first).expect("routed"), [RouteAnswer::Routed])).await;
    let both = scene.routed(&unrouted).await;
    let answers = scene.store.route(&both).await.expect("routed");
    assert_eq!(answers, [RouteAnswer::Routed, RouteAnswer::Routed]);
    assert_eq!(scene.claim().await.len(), 2);
}

/// How a group is done: as the writer does it, or as it must not.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Way {
    Sound,
    /// One transaction for all, whatever becomes of one.
    OneForAll,
    /// What a transaction has changed is taken over, although it is rolled back.
    AheadOfCommit,
}

/// Publishes "good", and in the same group "bad", which fails when it is written. Tells whether the good one alone is
/// there, in the file and in memory.
async fn a_bad_job_harms_no_other(name: &str, way: Way) -> bool {
    let scene = Scene::new(name).await;
    let [good, bad] = [[scene.publication("good", 100).await], [scene.publication("bad", 100).await]];
    let wait = |it: &mut Transaction<'_>, items: &[Publication]| {
        let written = it.publish(items)?;
        it.changes.waiting.extend(written.fresh.iter().map(|fresh| fresh.position));
        Ok::<_, SqlError>(())
    };
    let fails = move |it: &mut Transaction<'_>| {
        wait(it, &bad)?;
        Err::<(), _>(SqlError::corrupt("planted"))
    };
    if way == Way::Sound {
        let (begin, begun) = channel();
        let (_, written, failed, ()) = tokio::join!(
            scene.wait_for(begun),
            scene.store.publish(&good, None),
            scene.store.write(1, fails),
            async { drop(begin) },
        );
        assert!(is_stored(&written.expect("the other is not harmed")));
        assert_eq!(failed.expect_err("planted").kind(), StoreErrorKind::Corrupt);
    } else {
        let both = move |it: &mut Transaction<'_>| wait(it, &good).and_then(|()| fails(it));
        let planted = move |state: &mut WriterState| match way {
            Way::AheadOfCommit => state.transact_ahead(both),
            Way::OneForAll | Way::Sound => state.transact(both),
        };
        scene.store.between(planted).await.expect_err("planted");
    }
    scene.logged().await == 1 && scene.stats().await.pending() == 1 && scene.memory_is_as_the_file().await
}

#[tokio::test]
async fn what_fails_in_the_middle_of_a_group_is_undone_alone() {
    assert!(a_bad_job_harms_no_other("middle", Way::Sound).await);
    assert!(
        !a_bad_job_harms_no_other("middle-all", Way::OneForAll).await,
        "it is told from a group undone whole"
    );
}

/// A commit that fails changes nothing in memory: the disk is full when the transaction is.
#[tokio::test]
async fn memory_does_not_run_ahead_of_the_file() {
    let scene = Scene::new("ahead").await;
    scene.publish("small", 100).await.expect("published");
    scene.settle(&scene.claim().await).await.expect("settled");
    scene.leave_room(20).await;
    let huge = [scene.publication("huge", 1_000_000).await];
    scene.store.publish(&huge, None).await.expect_err("it does not fit");
    assert!(scene.memory_is_as_the_file().await);
    assert!(scene.claim().await.is_empty());
    let ahead = move |it: &mut Transaction<'_>| {
        it.changes.waiting.push(Position { lane: 1, id: 7, ..Position::START });
        Err::<(), _>(SqlError::corrupt("planted"))
    };
    let planted = move |state: &mut WriterState| state.transact_ahead(ahead);
    scene.store.between(planted).await.expect_err("planted");
    assert!(!scene.memory_is_as_the_file().await, "it is told when it does");
    assert!(!a_bad_job_harms_no_other("ahead-all", Way::AheadOfCommit).await);
}

/// Returns whether the fences of this opening and the next are all different.
async fn fences_are_given_once(name: &str, between: &str) -> bool {
    let mut scene = Scene::new(name).await;
    let mut fences = Vec::new();
    for opening in 0..2 {
        for number in 0..3 {
            scene.publish(&format!("m{opening}-{number}"), 10).await.expect("published");
        }
        fences.extend(scene.claim().await.iter().map(|claim| claim.fence.get()));
        scene.reopen().await;
        let sql = between.to_owned();
        scene.store.between(move |state| state.connection.run(&sql, [])).await.expect("done");
        scene.reopen().await;
    }
    let count = fences.len();
    fences.sort_unstable();
    fences.dedup();
    count > 6 && fences.len() == count
}

#[tokio::test]
async fn a_fence_is_never_given_again_after_an_opening() {
    assert!(fences_are_given_once("boots", "UPDATE meta SET boots = boots").await);
    let twice = "UPDATE meta SET boots = boots - 2";
    assert!(
        !fences_are_given_once("boots-twice", twice).await,
        "it is told when a boot number is used twice"
    );
}

/// Starts a thread, unless it has the name that is refused.
fn start_but(refused: &str, name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    if name == refused { Err(io::ErrorKind::WouldBlock.into()) } else { spawn(name, run) }
}

#[tokio::test]
async fn a_thread_that_cannot_start_is_named_at_opening_and_the_file_stays_free() {
    let scene = Scene::new("threads").await;
    let file = scene.directory.join("other.db");
    let spawns: [Spawn; 4] = [
        |name, run| start_but("hookwire-open", name, run),
        |name, run| start_but("hookwire-timer", name, run),
        |name, run| start_but("hookwire-writer", name, run),
        |name, run| start_but("hookwire-reader", name, run),
    ];
    for spawn in spawns {
        let options = SqliteOptions { spawn, ..SqliteStore::options() };
        let error = options.open(&file).await.expect_err("a thread is missing");
        assert!(matches!(error, OpenError::NoThread { .. }), "{error:?}");
        assert!(error.to_string().contains("a thread could not be started"), "{error}");
    }
    SqliteStore::open(&file).await.expect("nobody has it");
}
