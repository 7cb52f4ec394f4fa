//! The rate of a webhook over several processes, one of which is killed under load.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookwire::model::DeliveryOptions;
use hookwire::policy::Policy;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use hookwire_postgres::PostgresStore;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::support::{Schema, url};

const RATE: u32 = 10;
const EVENTS: usize = 60;
const PATIENCE: Duration = Duration::from_secs(60);

/// When requests came to the receiver that all have.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<Instant>>>);

impl Receiver {
    fn began(&self) -> Vec<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn transport(&self) -> RecordingTransport {
        let began = Arc::clone(&self.0);
        RecordingTransport::answering(move |_, _| {
            began.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            Answer::status(200)
        })
    }

    /// The most that came within any second.
    fn most_in_a_second(&self) -> usize {
        let began = self.began();
        let second = Duration::from_secs(1);
        let within = |end: &Instant| began.iter().filter(|it| **it <= *end && **it + second > *end).count();
        began.iter().map(within).max().unwrap_or_default()
    }
}

fn service(store: PostgresStore, receiver: &Receiver) -> Webhooks {
    let deadline = Duration::from_secs(1);
    let policy = Policy::default().with_deadline(deadline).with_lease(deadline + Policy::SETTLE_MARGIN);
    let builder = Webhooks::builder(assist::catalog()).store(store).transport(receiver.transport());
    builder.policy(policy).build().expect("a sound service")
}

/// Starts a process, with a runtime of its own that takes all of it along.
fn start(schema: &Schema, receiver: &Receiver) -> Runtime {
    let runtime = Runtime::new().expect("a runtime");
    let (options, receiver) = (schema.options(), receiver.clone());
    runtime.spawn(async move {
        let store = options.connect(&url()).await.expect("connected");
        let dispatcher = service(store, &receiver).start().expect("inside tokio");
        std::future::pending::<()>().await;
        drop(dispatcher);
    });
    runtime
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.expect(what);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_holds_over_processes_while_one_is_killed() {
    let (schema, receiver) = (Schema::migrated().await, Receiver::default());
    let hooks = service(schema.store().await, &receiver);
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    let draft = WebhookDraft::new("hook", "https://hook.example/").subscribe(assist::DEVICE_ADD);
    let hook = acme.create(&draft).await.expect("sound").webhook().hook_id();
    acme.set_options(hook, DeliveryOptions::new().with_rate(RATE).expect("valid")).await.expect("set");
    let events = (0..EVENTS).map(|n| Event::new(assist::DEVICE_ADD, &n).expect("JSON"));
    for sent in acme.publish_all(events).await {
        sent.expect("published");
    }
    let killed = start(&schema, &receiver);
    let kept = [start(&schema, &receiver), start(&schema, &receiver)];
    until("a third is sent", async || receiver.began().len() >= EVENTS / 3).await;
    killed.shutdown_background();
    until("nothing is stuck", async || hooks.stats().await.expect("counted").pending() == 0).await;
    assert!(receiver.began().len() >= EVENTS);
    let most = receiver.most_in_a_second();
    assert!(most <= usize::try_from(RATE).expect("small"), "{most} in a second");
    kept.into_iter().for_each(Runtime::shutdown_background);
}
