//! The bounds of the files' sizes, and of the time for which one call holds up the others.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookwire::model::{DeliveryQuery, DeliveryState, End, HookId, MessageId, PageRequest};
use hookwire::store::{Publication, PublishAnswer, SqliteStore, StatsScope, Store, TendRequest};

use super::{
    Directory, SqliteFixture, acme, claim, create, delivered, fixture, left_by_a_kill, open, publication,
    publication_of,
};

/// The number of deliveries between two looks.
const STEP: usize = 250;

const MINUTE: Duration = Duration::from_secs(60);

/// The events of ten minutes of a day.
const EACH: usize = 200;

/// About 10 MB, as the documentation says of the log.
const MAX_USUAL: u64 = 12 * 1024 * 1024;

/// The most of it while others read, as documented.
const MAX_READ: u64 = 32 * 1024 * 1024;

fn length(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").len()
}

/// Returns the size of the file in pages, with those that are still in the log.
fn pages(directory: &Directory) -> i64 {
    let look = rusqlite::Connection::open(directory.file()).expect("a database");
    look.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a number")
}

/// The same content as another message.
fn renamed(item: &Publication, number: usize) -> Publication {
    let mut item = item.clone();
    Arc::make_mut(&mut item.event).message_id = MessageId::new(format!("m{number:07}")).expect("valid");
    item
}

/// Publishes, delivers and removes so many.
async fn turn_over(fixture: &SqliteFixture, from: usize, to: usize) {
    let SqliteFixture { store, clock, .. } = fixture;
    let item = publication(store, "m", HookId::new(1)).await;
    for step in (from..to).step_by(STEP) {
        let items: Vec<_> = (step..step + STEP).map(|n| renamed(&item, n)).collect();
        let published = store.publish(&items, None).await.expect("published");
        assert!(published.answers.iter().all(|it| matches!(it, PublishAnswer::Stored(_))));
        loop {
            let claims = claim(store).await;
            if claims.is_empty() {
                break;
            }
            store.settle(&claims.iter().map(delivered).collect::<Vec<_>>()).await.expect("settled");
        }
        clock.advance(Duration::from_secs(1));
        let keep = Duration::from_secs(3);
        let request = TendRequest { keep, keep_payloads: keep, limit: 500 };
        while store.tend(&request).await.expect("tended").more {}
    }
}

/// `HOOKWIRE_DELIVERIES=200000` makes so many; four times as many as before the first look.
#[tokio::test]
async fn space_is_used_again() {
    let wanted = std::env::var("HOOKWIRE_DELIVERIES").map(|text| text.parse().expect("a number"));
    let deliveries: usize = wanted.unwrap_or(8_000);
    let fixture = fixture().await;
    create(&fixture.store).await;
    turn_over(&fixture, 0, deliveries / 4).await;
    let early = pages(&fixture.directory);
    turn_over(&fixture, deliveries / 4, deliveries).await;
    let late = pages(&fixture.directory);
    // Row numbers take a byte more now and then.
    assert!(
        late <= early + early / 20,
        "{early} pages after a quarter of {deliveries} deliveries, {late} after all"
    );
}

/// Publishes, delivers and removes the events of ten minutes, of which an hour is kept.
async fn ten_minutes(fixture: &SqliteFixture, item: &Publication, round: usize) {
    let SqliteFixture { store, clock, .. } = fixture;
    let items: Vec<_> = (0..EACH).map(|n| renamed(item, round * EACH + n)).collect();
    store.publish(&items, None).await.expect("published");
    let mut made = 0;
    while made < EACH {
        let claims = claim(store).await;
        assert!(!claims.is_empty(), "{made} are delivered");
        store.settle(&claims.iter().map(delivered).collect::<Vec<_>>()).await.expect("settled");
        made += claims.len();
    }
    clock.advance(10 * MINUTE);
    let request = TendRequest { keep: 60 * MINUTE, keep_payloads: 60 * MINUTE, limit: 500 };
    while store.tend(&request).await.expect("tended").more {}
}

#[tokio::test]
async fn the_file_stays_flat_for_a_day_of_which_an_hour_is_kept() {
    let fixture = fixture().await;
    create(&fixture.store).await;
    let item = publication(&fixture.store, "m", HookId::new(1)).await;
    let mut sizes = Vec::new();
    for round in 0..144 {
        ten_minutes(&fixture, &item, round).await;
        let look = rusqlite::Connection::open(fixture.directory.file()).expect("a database");
        for table in ["event", "delivery"] {
            let count = format!("SELECT count(*) FROM {table}");
            let rows: u32 = look.query_row(&count, [], |row| row.get(0)).expect("a number");
            assert!(rows <= 7 * EACH as u32, "{rows} of {table} after {round}");
        }
        sizes.push(pages(&fixture.directory));
    }
    let then = sizes[23];
    // Row numbers take a byte more now and then.
    assert!(sizes[24..].iter().all(|now| *now <= then + then / 20), "{sizes:?}");
}

/// A reader keeps a snapshot open: the log grows meanwhile, and is truncated afterwards.
#[tokio::test]
async fn a_reader_that_stays_does_no_lasting_harm() {
    const MOST: u64 = 64 * 1024 * 1024;
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    let item = publication_of(&store, "m", hook, 1_000_000).await;
    let write = async |range: Range<usize>| {
        for n in range {
            store.publish(&[renamed(&item, n)], None).await.expect("published");
        }
    };
    let log = directory.0.join("hooks.db-wal");
    write(0..20).await;
    let usual = length(&log);

    let tool = rusqlite::Connection::open(directory.file()).expect("a database");
    tool.execute_batch("BEGIN; SELECT count(*) FROM event").expect("a snapshot");
    write(20..90).await;
    let grown = length(&log);
    assert!(usual < MOST && grown > MOST, "{usual} bytes, and {grown} under a reader that stays");
    let seen: i64 = tool.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).expect("a number");
    assert_eq!(seen, 20, "it still reads what was there when it began");

    tool.execute_batch("ROLLBACK").expect("it ends");
    write(90..100).await;
    assert!(length(&log) <= MOST, "{} bytes once it has ended", length(&log));
    write(100..150).await;
    assert!(length(&log) <= MOST, "and so it stays: {} bytes", length(&log));
}

/// Publishes so many, one by one, and gives the greatest length of the log meanwhile.
async fn longest_log(store: &SqliteStore, log: &Path, item: &Publication, range: Range<usize>) -> u64 {
    let mut longest = 0;
    for n in range {
        store.publish(&[renamed(item, n)], None).await.expect("published");
        longest = longest.max(length(log));
    }
    longest
}

#[tokio::test]
async fn the_log_stays_as_short_as_documented_whatever_is_written() {
    for (bytes, events) in [(1, 3_000), (4_000, 2_000), (250_000, 150)] {
        let directory = Directory::new();
        let store = open(&directory.file()).await.expect("a new file");
        let hook = create(&store).await;
        let item = publication_of(&store, "m", hook, bytes).await;
        let log = directory.path("hooks.db-wal");
        let longest = longest_log(&store, &log, &item, 0..events).await;
        let batch: Vec<_> = (events..events + 2_000).map(|n| renamed(&item, n)).collect();
        for part in batch.chunks(if bytes > 100_000 { 4 } else { 100 }).take(40) {
            store.publish(part, None).await.expect("published");
        }
        assert!(longest < MAX_USUAL, "{longest} bytes of log for payloads of {bytes}");
        assert!(length(&log) < MAX_USUAL, "{} bytes by batches for payloads of {bytes}", length(&log));
    }
}

/// Each of the processes writes too little for the log to be copied on that account.
#[tokio::test]
async fn logs_that_kills_leave_do_not_add_up() {
    let mut directory = Directory::new();
    let mut store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    let item = publication(&store, "m", hook).await;
    for run in 0..8 {
        let longest =
            longest_log(&store, &directory.path("hooks.db-wal"), &item, run * 100..(run + 1) * 100).await;
        assert!(longest < MAX_USUAL, "{longest} bytes in run {run}");
        let left = left_by_a_kill(&directory);
        drop(store);
        directory = left;
        store = open(&directory.file()).await.expect("as it was left");
    }
    assert_eq!(pending(&store).await, 800, "and nothing is lost");
}

async fn pending(store: &SqliteStore) -> u64 {
    store.stats(&StatsScope::All).await.expect("counted").pending()
}

/// Of several that count without a backoff, one or the other always reads.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_short_while_others_read_without_a_pause() {
    let directory = Directory::new();
    let store = Arc::new(open(&directory.file()).await.expect("a new file"));
    let hook = create(&store).await;
    let item = publication(&store, "m", hook).await;
    let (has_ended, log) = (Arc::new(AtomicBool::new(false)), directory.path("hooks.db-wal"));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (store, has_ended) = (Arc::clone(&store), Arc::clone(&has_ended));
            tokio::spawn(async move {
                while !has_ended.load(Ordering::Relaxed) {
                    pending(&store).await;
                }
            })
        })
        .collect();
    let longest = longest_log(&store, &log, &item, 0..4_000).await;
    has_ended.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.expect("it reads to its end");
    }
    assert!(longest < MAX_READ, "{longest} bytes of log");
}

#[tokio::test]
async fn a_large_batch_lets_others_come_in_between() {
    let directory = Directory::new();
    let store = Arc::new(open(&directory.file()).await.expect("a new file"));
    let hook = create(&store).await;
    let item = publication_of(&store, "m", hook, 10).await;
    let batch: Vec<_> = (0..20_000).map(|n| renamed(&item, n)).collect();
    let (large, other) = (Arc::clone(&store), renamed(&item, 20_000));
    let large = tokio::spawn(async move { large.publish(&batch, None).await.expect("published").answers });
    while store.stats(&StatsScope::All).await.expect("stats").pending() == 0 {
        tokio::task::yield_now().await;
    }
    store.publish(&[other], None).await.expect("published");
    assert!(!large.is_finished(), "it was not waited for");
    let answers = large.await.expect("no panic");
    assert!(answers.len() == 20_000 && answers.iter().all(|it| matches!(it, PublishAnswer::Stored(_))));
}

/// A page of a listing looks at ten thousand, and says where the next one goes on.
#[tokio::test]
async fn a_listing_looks_at_a_bounded_number_whatever_its_filter() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let hook = create(store).await;
    let item = publication(store, "m", hook).await;
    store.publish(&[renamed(&item, 0)], None).await.expect("published");
    let first = claim(store).await;
    store.settle(&first.iter().map(delivered).collect::<Vec<_>>()).await.expect("settled");
    for from in (1..10_251).step_by(STEP) {
        let items: Vec<_> = (from..from + STEP).map(|n| renamed(&item, n)).collect();
        store.publish(&items, None).await.expect("published");
    }
    let query = DeliveryQuery::new().webhook(hook).state(DeliveryState::Ended(End::Delivered));
    let newest = store.deliveries(&acme(), &query).await.expect("listed");
    assert!(newest.items.is_empty(), "it is older");
    let next = newest.next.expect("there are more to look at");
    let oldest =
        store.deliveries(&acme(), &query.clone().page(PageRequest::after(next))).await.expect("listed");
    assert_eq!((oldest.items.len(), oldest.next), (1, None));
    let all = store.deliveries(&acme(), &DeliveryQuery::new()).await.expect("listed");
    assert_eq!(all.items.len(), 100, "without a filter a page is full");
}
