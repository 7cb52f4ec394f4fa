//! What keeps the files from growing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hookwire::model::{HookId, MessageId};
use hookwire::store::{Publication, PublishAnswer, Store, TendRequest};

use super::{Directory, SqliteFixture, claim, create, delivered, fixture, open, publication, publication_of};

/// How many deliveries are made between two looks.
const STEP: usize = 250;

fn length(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").len()
}

/// How much the file holds, with what the log has not yet given to it.
fn pages(directory: &Directory) -> i64 {
    let look = rusqlite::Connection::open(directory.file()).expect("a database");
    look.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a number")
}

/// The same content as another message.
fn renamed(item: &Publication, number: usize) -> Publication {
    let mut item = item.clone();
    item.event.message_id = MessageId::new(format!("m{number:07}")).expect("valid");
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
        let request = TendRequest { keep: Duration::from_secs(3), limit: 500 };
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

/// Somebody reads along and does not end: the log grows meanwhile, and is cut when that has ended.
#[tokio::test]
async fn a_reader_that_stays_does_no_lasting_harm() {
    const MOST: u64 = 64 * 1024 * 1024;
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    let item = publication_of(&store, "m", hook, 1_000_000).await;
    let write = async |range: std::ops::Range<usize>| {
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
