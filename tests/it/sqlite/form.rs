//! The form of the file: what a claim leaves in it, its versions, rows that cannot be read, and time across openings.

use std::sync::Arc;
use std::time::Duration;

use hookwire::clock::{Clock, ManualClock};
use hookwire::delivery::Next;
use hookwire::model::{DeliveryQuery, DeliveryState, End, HookId};
use hookwire::store::{
    Claim, Durability, Publication, PublishAnswer, Settlement, SqliteStore, StatsScope, Store, TendRequest,
};
use rusqlite::Connection;

use super::{Directory, acme, claim, create, delivered, open, publication, publish, request};

fn look(directory: &Directory) -> Connection {
    Connection::open(directory.file()).expect("a database")
}

fn number(directory: &Directory, sql: &str) -> i64 {
    look(directory).query_row(sql, [], |row| row.get(0)).expect("a number")
}

#[tokio::test]
async fn a_claim_and_its_release_write_nothing() {
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    for id in ["a", "b", "c"] {
        publish(&store, id, hook).await;
    }
    let watch = look(&directory);
    let version =
        || -> i64 { watch.query_row("PRAGMA data_version", [], |row| row.get(0)).expect("a number") };
    let before = version();
    let claims = claim(&store).await;
    assert_eq!(claims.len(), 3);
    store.settle(&[Settlement::new(&claims[0], Next::Release)]).await.expect("settled");
    store
        .settle(&[Settlement::new(&claims[1], Next::Extend(Duration::from_secs(90)))])
        .await
        .expect("settled");
    store.release(hookwire::store::HolderId::new(1)).await.expect("released");
    assert_eq!(version(), before, "nobody has written");
    let again = claim(&store).await;
    store.settle(&again.iter().map(delivered).collect::<Vec<_>>()).await.expect("settled");
    assert_ne!(version(), before, "and now somebody has");
}

/// One of a later version says itself whether this code may use it.
#[tokio::test]
async fn a_later_form_that_lets_this_code_in_is_used_and_left_as_it_is() {
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    publish(&store, "before", hook).await;
    drop(store);
    let later = "PRAGMA user_version = 99; ALTER TABLE delivery ADD COLUMN later TEXT DEFAULT 'x'";
    look(&directory).execute_batch(later).expect("a later form");
    let store = open(&directory.file()).await.expect("it may be used");
    publish(&store, "after", hook).await;
    let claims = claim(&store).await;
    assert_eq!(claims.len(), 2);
    store.settle(&claims.iter().map(delivered).collect::<Vec<_>>()).await.expect("settled");
    drop(store);
    assert_eq!(number(&directory, "PRAGMA user_version"), 99);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_holds_up_nobody() {
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    for id in ["bad", "good"] {
        publish(&store, id, hook).await;
    }
    drop(store);
    look(&directory).execute_batch("UPDATE event SET meta = '{' WHERE message = 'bad'").expect("spoilt");
    let store = open(&directory.file()).await.expect("open");
    let claims = claim(&store).await;
    let ids: Vec<_> = claims.iter().map(|claim| claim.event.message_id.as_str()).collect();
    assert_eq!(ids, ["good"]);
    store.settle(&[delivered(&claims[0])]).await.expect("settled");
    assert!(claim(&store).await.is_empty());
    let stats = store.stats(&StatsScope::All).await.expect("counted");
    assert_eq!((stats.pending(), stats.held), (1, 0), "it is set aside, and not ended");
    look(&directory)
        .execute_batch("UPDATE event SET meta = (SELECT meta FROM event WHERE message = 'good')")
        .expect("mended");
    drop(store);
    let store = open(&directory.file()).await.expect("open");
    assert_eq!(claim(&store).await.len(), 1, "once it is mended, it is sent");
}

/// What is taken beside it is sent, and what is unrouted behind it is handed out. Its reason is in the file.
#[tokio::test]
async fn an_unrouted_event_that_cannot_be_read_holds_up_nobody() {
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    publish(&store, "good", hook).await;
    for id in ["bad", "behind"] {
        let unrouted = Arc::unwrap_or_clone(publication(&store, id, hook).await.event);
        store.publish_unrouted(&acme(), unrouted).await.expect("written");
    }
    drop(store);
    look(&directory).execute_batch("UPDATE event SET meta = '{' WHERE message = 'bad'").expect("spoilt");
    let store = open(&directory.file()).await.expect("open");
    let claimed = store.claim(&request()).await.expect("claimed");
    let messages: Vec<_> = claimed.deliveries.iter().map(|claim| claim.event.message_id.as_str()).collect();
    assert_eq!(messages, ["good"]);
    let unrouted: Vec<_> = claimed.unrouted.iter().map(|it| it.event.message_id.as_str()).collect();
    assert_eq!(unrouted, ["behind"]);
    let told =
        "SELECT count(*) FROM event WHERE message = 'bad' AND routed AND routing LIKE '%cannot be read%'";
    assert_eq!(number(&directory, told), 1);
}

/// A publish of several in which one cannot be written: the others are.
#[tokio::test]
async fn one_bad_item_of_a_publish_fails_alone() {
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    let hook = create(&store).await;
    let trigger = "CREATE TRIGGER planted BEFORE INSERT ON delivery
        WHEN (SELECT message FROM event WHERE id = new.event) = 'bad'
        BEGIN SELECT RAISE(ABORT, 'planted'); END";
    drop(store);
    look(&directory).execute_batch(trigger).expect("planted");
    let store = open(&directory.file()).await.expect("open");
    let mut items: Vec<Publication> = Vec::new();
    for id in ["a", "bad", "b"] {
        items.push(publication(&store, id, hook).await);
    }
    let answers = store.publish(&items, None).await.expect("published").answers;
    let [PublishAnswer::Stored(_), PublishAnswer::Failed(_), PublishAnswer::Stored(_)] = answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(number(&directory, "SELECT count(*) FROM event"), 2);
    assert_eq!(claim(&store).await.len(), 2);
}

async fn open_at(directory: &Directory, clock: &ManualClock) -> SqliteStore {
    let options = SqliteStore::options().durability(Durability::ProcessCrash).clock(clock.clone());
    options.open(directory.file()).await.expect("a file")
}

const HOUR: i64 = 60 * 60;
const YEARS: i64 = 70 * 365 * 24 * HOUR;

/// Retried in five seconds, whatever the date becomes between two openings.
#[tokio::test]
async fn no_step_of_the_date_strands_or_hastens_or_expires_across_an_opening() {
    for step in [HOUR, -HOUR, 24 * HOUR, -24 * HOUR, YEARS, -YEARS] {
        let (directory, clock) = (Directory::new(), ManualClock::default());
        let store = open_at(&directory, &clock).await;
        let hook = create(&store).await;
        publish(&store, "m", hook).await;
        let again = |claim: &Claim| Settlement::new(claim, Next::Again(Duration::from_secs(50 * 60 * 60)));
        let items: Vec<_> = claim(&store).await.iter().map(again).collect();
        store.settle(&items).await.expect("settled");
        publish(&store, "n", hook).await;
        drop(store);
        clock.step(step);
        let store = open_at(&directory, &clock).await;
        publish(&store, "o", hook).await;
        let claims = claim(&store).await;
        let ids: Vec<_> = claims.iter().map(|claim| claim.event.message_id.as_str()).collect();
        // The expiry of an hour may come early by no more than the time away that counts.
        let expected: &[&str] = if step >= HOUR { &["o"] } else { &["n", "o"] };
        assert_eq!(ids, expected, "{step}");
        clock.advance(Duration::from_secs(1));
        assert!(claim(&store).await.is_empty(), "a retry in 50 hours is not due: {step}");
    }
}

#[tokio::test]
async fn no_step_of_the_date_moves_a_lease_while_the_store_is_open() {
    for step in [HOUR, -HOUR, YEARS, -YEARS] {
        let (directory, clock) = (Directory::new(), ManualClock::default());
        let store = open_at(&directory, &clock).await;
        let hook = create(&store).await;
        publish(&store, "m", hook).await;
        let claims = claim(&store).await;
        clock.step(step);
        assert!(claim(&store).await.is_empty(), "it is held");
        let log = store.deliveries(&acme(), &DeliveryQuery::new()).await.expect("log");
        let due = log.items[0].due_at.expect("pending");
        let shown = due.since(clock.now());
        assert_eq!(shown, Duration::from_secs(60), "as the date has it");
        let request = TendRequest { keep: Duration::ZERO, keep_payloads: Duration::ZERO, limit: 10 };
        assert_eq!(store.tend(&request).await.expect("tended").expired, 0);
        store.settle(&[delivered(&claims[0])]).await.expect("settled");
        let log = store.deliveries(&acme(), &DeliveryQuery::new()).await.expect("log");
        assert_eq!(log.items[0].state, DeliveryState::Ended(End::Delivered));
    }
}

/// Lanes are leapt over: what has ended and what waits in each is not looked at. `HOOKWIRE_ROWS=1000000` makes so many
/// that have ended, and half as many that wait.
#[tokio::test]
async fn opening_costs_as_much_as_there_are_lanes_with_work() {
    let wanted = std::env::var("HOOKWIRE_ROWS").map(|text| text.parse().expect("a number"));
    let rows: i64 = wanted.unwrap_or(20_000);
    let directory = Directory::new();
    let store = open(&directory.file()).await.expect("a new file");
    for _ in 0..20 {
        create(&store).await;
    }
    publish(&store, "m", HookId::new(1)).await;
    drop(store);
    let fill = format!(
        "INSERT INTO delivery (id, event, lane, epoch, behind, state, due, expires, created_at)
        WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {rows} * 3 / 2)
        SELECT i, 1, 1 + i % 20, 0, 0, CASE WHEN i > {rows} THEN 0 ELSE 3 END, 1, 1 << 60, 0 FROM n"
    );
    look(&directory).execute_batch(&fill).expect("filled");
    let began = tokio::time::Instant::now();
    let store = open(&directory.file()).await.expect("open");
    assert!(!claim(&store).await.is_empty());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(
        store.stats(&StatsScope::All).await.expect("counted").pending(),
        u64::try_from(rows / 2 + 1).expect("few")
    );
}
