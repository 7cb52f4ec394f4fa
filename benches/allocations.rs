//! The allocations of deliveries: from publishing an event until the outcomes of all its deliveries are recorded,
//! through `MemoryStore` and a transport that answers at once. All of it runs on the one thread whose allocations are
//! counted. Counts are the same at each run; times are not.
//!
//! ```sh
//! cargo bench --bench allocations
//! ```

mod support;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use hookwire::dispatcher::Dispatcher;
use hookwire::model::CallbackUrl;
use hookwire::store::MemoryStore;
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{Event, Tenant, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response};
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use support::Error;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// So many events, published one after the other before the first is sent, for so many webhooks each.
struct Case {
    events: usize,
    webhooks: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>2} events x {:>2} webhooks", self.events, self.webhooks)
    }
}

const CASES: [Case; 4] = [
    Case { events: 1, webhooks: 1 },
    Case { events: 1, webhooks: 10 },
    Case { events: 64, webhooks: 1 },
    Case { events: 64, webhooks: 10 },
];

#[divan::bench(args = CASES, sample_count = 50, sample_size = 4)]
fn publish_to_recorded(bencher: Bencher<'_, '_>, case: &Case) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread");
    let world = runtime.block_on(World::new(case.webhooks)).expect("a service");
    world.deliver(&runtime, 256 / case.webhooks);
    bencher.bench_local(|| world.deliver(&runtime, case.events));
}

/// A service with a running dispatcher, and a tenant with webhooks that get all of its events.
struct World {
    tenant: Tenant,
    dispatcher: Dispatcher,
    webhooks: usize,
    answered: Arc<AtomicUsize>,
}

impl World {
    async fn new(webhooks: usize) -> Result<Self, Error> {
        let answered = Arc::new(AtomicUsize::new(0));
        let hooks = Webhooks::builder(assist::catalog())
            .store(MemoryStore::new())
            .transport(AtOnce(Arc::clone(&answered)))
            .build()?;
        let tenant = hooks.tenant(TenantId::new("acme")?);
        for n in 0..webhooks {
            let draft = WebhookDraft::new(format!("hook {n}"), format!("https://receiver-{n}.example/hooks"));
            tenant.create(&draft.subscribe(assist::DEVICE_ONLINE)).await?;
        }
        Ok(Self { tenant, dispatcher: hooks.start()?, webhooks, answered })
    }

    /// Publishes events, and waits until all their deliveries are recorded.
    fn deliver(&self, runtime: &Runtime, events: usize) {
        let expected = self.answered.load(Ordering::Relaxed) + events * self.webhooks;
        runtime.block_on(async {
            for _ in 0..events {
                let event = Event::new(assist::DEVICE_ONLINE, r#"{"deviceName":"LAB-4"}"#).expect("a text");
                self.tenant.publish(event).await.expect("room for the event");
            }
            while self.answered.load(Ordering::Relaxed) < expected || self.dispatcher.health().in_flight > 0 {
                yield_now().await;
            }
        });
    }
}

/// A transport whose receivers say yes at once.
#[derive(Debug)]
struct AtOnce(Arc<AtomicUsize>);

#[async_trait]
impl Transport for AtOnce {
    async fn send(&self, _: Request<Bytes>, _: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Response::new(Bytes::new()))
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}
