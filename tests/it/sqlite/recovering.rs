//! Recovering very much, in steps, and by another process from where the last one broke off.

use std::time::Duration;

use hookwire::delivery::Next;
use hookwire::model::{End, HookId, PageRequest, Timestamp};
use hookwire::store::{Recovered, Recovery, Settlement, SqliteStore, Store};
use rusqlite::Connection;

use super::{Directory, acme, claim, create, open, publish};
use crate::support::alone::is_alone;
use crate::support::memory::resident;

/// Deliveries that were given up.
const MISSED: usize = 50_000;

/// As much as memory may grow, however much is recovered: about twice what the store's caches may have.
const MAX_GROWTH: u64 = 40 * 1024 * 1024;

/// A file with so many missed deliveries of one webhook: one by the store itself, and copies of it.
async fn missed(directory: &Directory) -> HookId {
    let store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    publish(&store, "m", hook).await;
    let claims = claim(&store).await;
    let given_up = Settlement::new(&claims[0], Next::End(End::Exhausted));
    store.settle(&[given_up]).await.expect("settled");
    drop(store);
    let copy = format!(
        "PRAGMA synchronous = OFF; BEGIN;
        WITH RECURSIVE copy (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM copy WHERE n < {MISSED})
        INSERT INTO event (id, tenant, message, digest, published_at, routed, first, made, targets, skipped, meta,
                routing, payload)
            SELECT n, tenant, 'c' || n, digest, published_at, routed, n, made, targets, skipped, meta, routing, payload
            FROM copy, event WHERE event.id = 1;
        WITH RECURSIVE copy (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM copy WHERE n < {MISSED})
        INSERT INTO delivery (id, event, lane, epoch, behind, state, due, expires, created_at, attempts, ended_at)
            SELECT n, n, lane, epoch, behind, state, due, expires, created_at, attempts, ended_at
            FROM copy, delivery WHERE delivery.id = 1;
        COMMIT"
    );
    let file = Connection::open(directory.file()).expect("a database");
    file.execute_batch(&copy).expect("rows");
    hook
}

async fn step(store: &SqliteStore, hook: HookId, page: &PageRequest) -> Recovered {
    let (since, expires) = (Timestamp::default(), Duration::from_secs(60 * 60));
    let recovery = Recovery { hook, since, expires, page: page.clone() };
    store.recover(&acme(), &recovery).await.expect("recovered")
}

/// Goes on for so many steps, and returns how many were made, and where to go on.
async fn recover(
    store: &SqliteStore,
    hook: HookId,
    mut page: PageRequest,
    steps: usize,
) -> (usize, Option<PageRequest>) {
    let mut made = 0;
    for _ in 0..steps {
        let recovered = step(store, hook, &page).await;
        made += recovered.made;
        let Some(next) = recovered.next else { return (made, None) };
        page = PageRequest::after(next).with_limit(PageRequest::MAX_LIMIT);
    }
    (made, Some(page))
}

/// The memory is that of a process.
#[tokio::test]
async fn very_much_is_recovered_in_little_memory_by_one_process_after_the_other() {
    let name = "sqlite::recovering::very_much_is_recovered_in_little_memory_by_one_process_after_the_other";
    if !is_alone(name, "true").await {
        return;
    }
    let directory = Directory::new();
    let hook = missed(&directory).await;
    let before = resident();
    let first = PageRequest::first().with_limit(PageRequest::MAX_LIMIT);
    let store = open(&directory.file()).await.expect("a file");
    let (made, rest) = recover(&store, hook, first.clone(), 100).await;
    assert_eq!(made, 25_000, "each step makes as many as were asked for");
    drop(store);
    let store = open(&directory.file()).await.expect("as the other left it");
    let (more, end) = recover(&store, hook, rest.expect("there is more"), usize::MAX).await;
    assert_eq!((made + more, end.is_none()), (MISSED, true));
    assert_eq!(recover(&store, hook, first, usize::MAX).await.0, 0, "none is made twice");
    let grown = resident().saturating_sub(before);
    assert!(grown < MAX_GROWTH, "memory grew by {grown} bytes");
}
