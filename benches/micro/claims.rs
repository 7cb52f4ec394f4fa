//! Claims from stores in which much is due, for a thousand webhooks of a hundred tenants.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use hookwire::TenantId;
use hookwire::clock::Clock;
use hookwire::delivery::Next;
use hookwire::model::{DeliveryOptions, Timestamp};
use hookwire::registry::{RegisteredWebhook, RegistryChange};
use hookwire::store::{
    Claim, ClaimRequest, Durability, HolderId, MemoryStore, Publication, Quota, Routing, Settlement,
    SqliteStore, Store,
};
use tokio::runtime::Runtime;

use crate::support::{Directory, Error};
use crate::{EVENT, event, tenant, webhook};

const TENANTS: usize = 100;
const WEBHOOKS: usize = 10;
/// The publications of one call.
const BATCH: usize = 500;
/// What a dispatcher with many free places asks for.
const MANY: usize = 64;
const HOUR: Duration = Duration::from_secs(60 * 60);

#[divan::bench(args = [1_000, 10_000, 100_000, 1_000_000], sample_count = 500, sample_size = 1)]
fn claim_1_memory(bencher: Bencher<'_, '_>, due: usize) {
    measure(bencher, Arc::new(in_memory()), due, 1);
}

#[divan::bench(args = [1_000, 10_000, 100_000, 1_000_000], sample_count = 500, sample_size = 1)]
fn claim_64_memory(bencher: Bencher<'_, '_>, due: usize) {
    measure(bencher, Arc::new(in_memory()), due, MANY);
}

#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 500, sample_size = 1)]
fn claim_1_sqlite(bencher: Bencher<'_, '_>, due: usize) {
    in_file(bencher, due, 1);
}

#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 500, sample_size = 1)]
fn claim_64_sqlite(bencher: Bencher<'_, '_>, due: usize) {
    in_file(bencher, due, MANY);
}

#[divan::bench(args = [0, 1_000], sample_count = 500, sample_size = 1)]
fn claim_1_beside_rated_memory(bencher: Bencher<'_, '_>, rated: usize) {
    beside_rated(bencher, Arc::new(in_memory()), rated);
}

#[divan::bench(args = [0, 1_000], sample_count = 500, sample_size = 1)]
fn claim_1_beside_rated_sqlite(bencher: Bencher<'_, '_>, rated: usize) {
    let directory = Directory::new(&format!("micro-rated-{rated}")).expect("room for a directory");
    beside_rated(bencher, Arc::new(open(&directory)), rated);
}

#[expect(clippy::disallowed_methods, reason = "a benchmark runs in real time")]
fn in_memory() -> MemoryStore {
    MemoryStore::with_clock(StandardClock(Instant::now()))
}

/// The clock of the standard library, since that of hookwire does not work under valgrind.
#[derive(Debug)]
struct StandardClock(Instant);

impl Clock for StandardClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_700_000_000)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn in_file(bencher: Bencher<'_, '_>, due: usize, limit: usize) {
    let directory = Directory::new(&format!("micro-{due}-{limit}")).expect("room for a directory");
    measure(bencher, Arc::new(open(&directory)), due, limit);
}

fn open(directory: &Directory) -> SqliteStore {
    // A claim waits for no disk, whatever the durability: it writes nothing.
    let options = SqliteStore::options().durability(Durability::ProcessCrash);
    runtime().block_on(options.open(directory.path().join("store"))).expect("a store")
}

/// Measures claims of one delivery of a webhook without a limit, beside so many webhooks that have used up their rates, each
/// another one, and in which more is due.
fn beside_rated(bencher: Bencher<'_, '_>, store: Arc<dyn Store>, rated: usize) {
    let runtime = runtime();
    runtime.block_on(fill_rated(&*store, rated)).expect("room for what is due");
    loop {
        let claims = claim(&runtime, &*store, MANY);
        let settlements: Vec<_> = claims.iter().map(|it| Settlement::new(it, Next::Again(HOUR))).collect();
        runtime.block_on(store.settle(&settlements)).expect("what was claimed");
        if claims.is_empty() {
            break;
        }
    }
    let free = tenant(TENANTS);
    runtime.block_on(fill_tenant(&*store, &free, 1_000)).expect("room for what is due");
    measure_claims(bencher, &runtime, &*store, 1);
}

/// Registers webhooks of ten tenants, each with another rate, and publishes more to them than their rates allow.
async fn fill_rated(store: &dyn Store, rated: usize) -> Result<(), Error> {
    for number in 0..rated {
        let tenant = tenant(number % 10);
        let registry = store.registry(&tenant).await?;
        let rate = u32::try_from(1 + number % 20)?;
        let options = DeliveryOptions::new().with_rate(rate).map_err(|broken| broken.to_string())?;
        let new = RegisteredWebhook { options, ..webhook(registry.next_hook_id, EVENT) };
        store.commit(&tenant, registry.revision, &RegistryChange::Create(new)).await?;
    }
    for number in 0..rated.min(10) * 25 {
        let item = publication_to(store, &tenant(number % 10), number).await?;
        store.publish(&[item], None).await?;
    }
    Ok(())
}

/// Registers one webhook of a tenant, and publishes so many events to it.
async fn fill_tenant(store: &dyn Store, tenant: &TenantId, events: usize) -> Result<(), Error> {
    let registry = store.registry(tenant).await?;
    let change = RegistryChange::Create(webhook(registry.next_hook_id, EVENT));
    store.commit(tenant, registry.revision, &change).await?;
    for number in 0..events {
        let item = publication_to(store, tenant, TENANTS * BATCH + number).await?;
        store.publish(&[item], None).await?;
    }
    Ok(())
}

/// Measures claims of `limit` deliveries. Between two of them, outside of what is measured, they are given back.
fn measure(bencher: Bencher<'_, '_>, store: Arc<dyn Store>, due: usize, limit: usize) {
    let runtime = runtime();
    runtime.block_on(fill(&*store, due)).expect("room for what is due");
    measure_claims(bencher, &runtime, &*store, limit);
}

fn measure_claims(bencher: Bencher<'_, '_>, runtime: &Runtime, store: &dyn Store, limit: usize) {
    let held = RefCell::new(Vec::new());
    let give_back = || {
        let settlements: Vec<_> = held.take().iter().map(|it| Settlement::new(it, Next::Release)).collect();
        runtime.block_on(store.settle(&settlements)).expect("what was claimed");
    };
    bencher.with_inputs(give_back).bench_local_values(|()| {
        let claims = claim(runtime, store, limit);
        assert_eq!(claims.len(), limit);
        held.replace(claims);
    });
}

fn claim(runtime: &Runtime, store: &dyn Store, limit: usize) -> Vec<Claim> {
    let quota = Quota::default().with_in_all(MANY * 4).with_per_tenant(MANY).with_per_webhook(MANY);
    let holder = HolderId::new(1);
    let request = ClaimRequest {
        holder,
        lease: HOUR,
        limit,
        max_bytes: usize::MAX,
        quota,
        start_within: Duration::from_secs(1),
    };
    runtime.block_on(store.claim(&request)).expect("a store that works").deliveries
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread")
}

/// Registers the webhooks, and publishes events to each tenant's ten in turn until so many deliveries are due.
async fn fill(store: &dyn Store, due: usize) -> Result<(), Error> {
    for number in 0..TENANTS {
        register(store, number).await?;
    }
    let events = due / WEBHOOKS;
    for first in (0..events).step_by(BATCH) {
        let mut publications = Vec::with_capacity(BATCH);
        for number in first..events.min(first + BATCH) {
            publications.push(publication(store, number).await?);
        }
        store.publish(&publications, None).await?;
    }
    Ok(())
}

async fn register(store: &dyn Store, number: usize) -> Result<(), Error> {
    let tenant = tenant(number);
    for _ in 0..WEBHOOKS {
        let registry = store.registry(&tenant).await?;
        let change = RegistryChange::Create(webhook(registry.next_hook_id, EVENT));
        store.commit(&tenant, registry.revision, &change).await?;
    }
    Ok(())
}

async fn publication(store: &dyn Store, number: usize) -> Result<Publication, Error> {
    publication_to(store, &tenant(number % TENANTS), number).await
}

async fn publication_to(store: &dyn Store, tenant: &TenantId, number: usize) -> Result<Publication, Error> {
    let registry = store.registry(tenant).await?;
    let targets = registry.webhooks.iter().map(|it| it.hook_id()).collect();
    let routing = Routing { targets, skipped: Vec::new() };
    Ok(Publication::new(tenant.clone(), event(number, 300), registry.revision, routing, 24 * HOUR))
}
