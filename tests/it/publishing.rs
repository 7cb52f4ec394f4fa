//! Publishing within bounds: of bytes, and of time.

use std::fmt::{self, Debug};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hookwire::model::MessageId;
use hookwire::policy::Policy;
use hookwire::service::Tenant;
use hookwire::store::{ClaimRequest, MemoryStore, Publication, Published, Store, StoreError, delegate_store};
use hookwire::testing::RecordingTransport;
use hookwire::{DeliveryQuery, ErrorKind, Event, TenantId, WebhookDraft, Webhooks, assist};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The unit of the sizes here. Small, since each event is hashed.
const BLOCK: usize = 32 * 1024;
/// Longer than it takes, and never waited for.
const LONG: Duration = Duration::from_secs(600);

/// A store that answers a call to publish when it is let, and counts the bytes that it was handed meanwhile.
#[derive(Clone)]
struct HoldingStore {
    inner: Arc<MemoryStore>,
    answers: Arc<Semaphore>,
    held: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    /// The publications whose callers may have gone, as in the queue of a store that hangs.
    queued: Arc<Mutex<Vec<Publication>>>,
}

impl HoldingStore {
    fn new() -> Self {
        let answers = Arc::new(Semaphore::new(0));
        Self {
            inner: Arc::default(),
            answers,
            held: Arc::default(),
            most: Arc::default(),
            queued: Arc::default(),
        }
    }

    fn queued(&self) -> MutexGuard<'_, Vec<Publication>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn hold<T>(&self, publications: &[Publication], answer: impl Future<Output = T>) -> T {
        let bytes: usize = publications.iter().map(|it| it.event.payload.get().len()).sum();
        let held = self.held.fetch_add(bytes, Ordering::SeqCst) + bytes;
        self.most.fetch_max(held, Ordering::SeqCst);
        self.queued().extend(publications.iter().cloned());
        self.answers.acquire().await.expect("open").forget();
        self.queued().clear();
        let answer = answer.await;
        self.held.fetch_sub(bytes, Ordering::SeqCst);
        answer
    }
}

impl Debug for HoldingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HoldingStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for HoldingStore {
    delegate_store! { |self| self.inner;
    registry, commit, health, disabled, tenants, route, redeliver, add, erase_payload, recover, claim, claim_of, settle, release, wake, poll_every,
    event, messages, deliveries, attempts, stats, count, statistics, tend, erase }

    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError> {
        self.hold(publications, self.inner.publish(publications, hold)).await
    }
}

fn acme(store: HoldingStore, policy: Policy) -> Tenant {
    let builder = Webhooks::builder(assist::catalog()).store(store).transport(RecordingTransport::new());
    let policy = policy.with_payload_bytes(100 * BLOCK);
    let hooks = builder.policy(policy).build().expect("a sound service");
    hooks.tenant(TenantId::new("acme").expect("a short name"))
}

/// Events that share one payload of so many bytes.
fn events(bytes: usize) -> impl Iterator<Item = Event> {
    let event = Event::new(assist::DEVICE_ONLINE, &"x".repeat(bytes - 2)).expect("JSON");
    (0..).map(move |id| event.clone().message_id(MessageId::new(format!("m{id}")).expect("valid")))
}

#[tokio::test]
async fn concurrent_publishes_hold_no_more_bytes_than_the_policy_says() {
    let store = HoldingStore::new();
    assert_eq!(Policy::default().in_flight_bytes(), 64 * 1024 * 1024);
    let policy = Policy::default().with_in_flight_bytes(64 * BLOCK).with_publish_timeout(LONG);
    let acme = acme(store.clone(), policy);
    let mut publishing = JoinSet::new();
    for event in events(2 * BLOCK).take(300) {
        let acme = acme.clone();
        publishing.spawn(async move { acme.publish(event).await });
    }
    for _ in 0..300 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.held.load(Ordering::SeqCst), 64 * BLOCK, "as much as there is room for");
    store.answers.add_permits(300);
    while let Some(sent) = publishing.join_next().await {
        sent.expect("no panic").expect("published");
    }
    assert_eq!(store.most.load(Ordering::SeqCst), 64 * BLOCK);
}

#[tokio::test]
async fn events_of_one_call_are_handed_over_in_parts_that_there_is_room_for() {
    let store = HoldingStore::new();
    let policy = Policy::default().with_in_flight_bytes(5 * BLOCK).with_publish_timeout(LONG);
    let acme = acme(store.clone(), policy);
    store.answers.add_permits(300);
    let sizes = [2, 2, 2, 7, 1];
    let events = sizes.into_iter().zip(0..).map(|(size, id)| {
        let event = events(size * BLOCK).nth(id);
        event.expect("one of each")
    });
    let sent = acme.publish_all(events).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(store.most.load(Ordering::SeqCst), 7 * BLOCK, "the larger one alone");
}

#[tokio::test]
async fn what_a_store_keeps_takes_room_also_when_its_caller_has_gone() {
    let store = HoldingStore::new();
    let policy =
        Policy::default().with_in_flight_bytes(3 * BLOCK).with_publish_timeout(Duration::from_millis(500));
    let acme = acme(store.clone(), policy);
    let mut events = events(2 * BLOCK);
    acme.publish(events.next().expect("endless")).await.expect_err("the store does not answer");
    let refused = acme.publish(events.next().expect("endless")).await.expect_err("there is no room");
    assert_eq!(*refused.kind(), ErrorKind::Overloaded, "{refused}");
    store.queued().clear();
    store.answers.add_permits(1);
    acme.publish(events.next().expect("endless")).await.expect("there is room again");
}

#[tokio::test]
async fn publishing_that_finds_no_room_is_overloaded_and_nothing_of_it_is_stored() {
    let store = HoldingStore::new();
    let policy =
        Policy::default().with_in_flight_bytes(3 * BLOCK).with_publish_timeout(Duration::from_secs(1));
    let acme = acme(store.clone(), policy);
    let mut events = events(2 * BLOCK);
    let first = tokio::spawn({
        let (acme, event) = (acme.clone(), events.next().expect("endless"));
        async move { acme.publish(event).await }
    });
    while store.held.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let refused = acme.publish(events.next().expect("endless")).await.expect_err("there is no room");
    assert_eq!(*refused.kind(), ErrorKind::Overloaded, "{refused}");
    assert!(refused.to_string().contains("with_in_flight_bytes"), "{refused}");
    store.answers.add_permits(1);
    first.await.expect("no panic").expect("published");
    let listed = acme.deliveries(&DeliveryQuery::new()).await;
    assert!(listed.is_ok() && store.most.load(Ordering::SeqCst) == 2 * BLOCK);
}

#[tokio::test]
async fn publishing_to_a_store_that_does_not_answer_ends_in_an_error_that_says_so() {
    let store = HoldingStore::new();
    let policy = Policy::default().with_publish_timeout(Duration::from_millis(300));
    let acme = acme(store.clone(), policy);
    let mut events = events(BLOCK);
    let event = events.next().expect("endless");
    let error = acme.publish(event.clone()).await.expect_err("it does not answer");
    assert_eq!(*error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("did not answer in time"), "{error}");
    let source = std::error::Error::source(&error).expect("a cause");
    assert!(source.is::<StoreError>(), "{source}");
    let again = acme.publish_all([event.clone(), event.clone()]).await;
    assert!(
        again.iter().all(|it| matches!(it, Err(error) if *error.kind() == ErrorKind::Store)),
        "{again:?}"
    );
    store.answers.add_permits(1);
    acme.publish(event).await.expect("what it took is free again");
}

#[tokio::test]
async fn sending_a_message_again_as_a_new_one_waits_for_room_and_for_an_answer_no_longer_than_publishing() {
    let store = HoldingStore::new();
    let policy =
        Policy::default().with_in_flight_bytes(3 * BLOCK).with_publish_timeout(Duration::from_millis(500));
    let acme = acme(store.clone(), policy);
    let draft = WebhookDraft::new("a", "https://a.example/").subscribe(assist::DEVICE_ADD);
    let hook_id = acme.create(&draft).await.expect("a sound draft").webhook().hook_id();
    let mut events = events(2 * BLOCK);
    store.answers.add_permits(1);
    let sent = acme.publish(events.next().expect("endless")).await.expect("published");
    let again = async || acme.redeliver_as_new(sent.message_id(), hook_id).await;
    let unanswered = again().await.expect_err("the store does not answer");
    assert_eq!(*unanswered.kind(), ErrorKind::Store, "{unanswered}");
    let refused = again().await.expect_err("the store still has the other, so there is no room");
    assert_eq!(*refused.kind(), ErrorKind::Overloaded, "{refused}");
    assert_eq!(store.queued().len(), 1, "it was not handed over");
    store.queued().clear();
    store.answers.add_permits(1);
    again().await.expect("there is room again");
}
