//! Publishing by SQL, within a transaction of the host's.

use std::collections::BTreeSet;
use std::time::Duration;

use hookwire::model::{MessageId, PageRequest};
use hookwire::registry::Revision;
use hookwire::store::{
    ClaimRequest, HolderId, MemoryStore, Publication, PublishAnswer, Quota, Routed, Routing, RoutingRecord,
    Store, Unrouted,
};
use hookwire::testing::RecordingTransport;
use hookwire::{Event, EventId, TenantId, Webhooks, assist};
use hookwire_postgres::PostgresStore;
use tokio_postgres::{Client, Transaction};

use crate::support::Schema;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn acme() -> TenantId {
    TenantId::new("acme").expect("short")
}

fn request(holder: u128) -> ClaimRequest {
    let (lease, quota) = (Duration::from_secs(30), Quota::default());
    ClaimRequest {
        holder: HolderId::new(holder),
        lease,
        limit: 100,
        max_bytes: usize::MAX,
        quota,
        start_within: Duration::from_secs(1),
    }
}

async fn publish(client: &Client, document: &str) -> Result<String, tokio_postgres::Error> {
    Ok(client.query_one("SELECT publish($1)", &[&document]).await?.get(0))
}

async fn publish_in(transaction: &Transaction<'_>, document: &str) -> String {
    transaction.query_one("SELECT publish($1)", &[&document]).await.expect("published").get(0)
}

async fn unrouted(store: &PostgresStore, holder: u128) -> Vec<Unrouted> {
    store.claim(&request(holder)).await.expect("a claim").unrouted
}

fn names(unrouted: &[Unrouted]) -> Vec<&str> {
    unrouted.iter().map(|item| item.event.message_id.as_str()).collect()
}

async fn record(store: &PostgresStore, id: &str) -> Option<RoutingRecord> {
    let id = MessageId::new(id).expect("an id");
    store.event(&acme(), &id).await.expect("a log").map(|record| record.routing)
}

#[tokio::test]
async fn bytes_are_kept_and_what_is_left_out_is_filled_in() {
    let schema = Schema::migrated().await;
    let (client, store) = (schema.client().await, schema.store().await);
    let odd = "{\"b\": 1.10,\t\"a\":1e2, \"\\u00e9\":\"é\u{1F600}\", \"a\":[ ]}";
    let document =
        format!("{{\"tenant\":\"acme\", \"event_id\": \"13\", \"payload\" : {odd} , \"department\":7}}");
    let id = publish(&client, &document).await.expect("published");
    assert!(id.starts_with("msg_") && MessageId::new(&id).is_ok(), "{id}");
    let given = unrouted(&store, 1).await;
    assert_eq!(names(&given), [id]);
    let event = &given[0].event;
    assert_eq!(event.payload.get(), odd);
    assert_eq!((event.event_id.get(), event.department.map(|it| it.get())), (13, Some(7)));
    let row = client.query_one("SELECT published_at FROM event", &[]).await.expect("a row");
    assert_eq!(event.time.as_millis(), row.get::<_, i64>(0), "it happened when it was published");
}

#[tokio::test]
async fn the_trace_of_an_event_is_kept_and_checked() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let schema = Schema::migrated().await;
    let (client, store) = (schema.client().await, schema.store().await);
    let document = |trace: &str| {
        format!(r#"{{"tenant":"acme","event_id":13,"message_id":"traced","payload":1,"trace":{trace}}}"#)
    };
    for wrong in [
        "1".to_owned(),
        "{}".to_owned(),
        format!(r#"{{"traceparent":"{}"}}"#, PARENT.to_uppercase()),
        format!(r#"{{"traceparent":"{}"}}"#, PARENT.replace("00f067aa0ba902b7", &"0".repeat(16))),
        format!(r#"{{"traceparent":"{PARENT}","tracestate":"a"}}"#),
        format!(r#"{{"traceparent":"{PARENT}","tracestate":"a={}"}}"#, "b".repeat(511)),
    ] {
        let error = publish(&client, &document(&wrong)).await.expect_err("no trace");
        assert_eq!(error.as_db_error().and_then(|it| it.column()), Some("trace"), "{wrong}");
    }
    let trace = format!(r#"{{"traceparent":"{PARENT}","tracestate":"rojo=1, 1b_-*/@c=~ !,"}}"#);
    publish(&client, &document(&trace)).await.expect("published");
    let plain = document("null").replace("traced", "plain");
    publish(&client, &plain).await.expect("null is none");
    let given = unrouted(&store, 1).await;
    let traces: Vec<_> = given.iter().map(|it| it.event.trace.clone()).collect();
    let kept = traces[0].as_ref().expect("kept");
    assert_eq!((kept.to_string(), kept.tracestate()), (PARENT.to_owned(), Some("rojo=1, 1b_-*/@c=~ !,")));
    assert_eq!(traces[1], None);
    client.execute("UPDATE event SET trace = '{\"traceparent\":\"01\"}'", &[]).await.expect("updated");
    let record = store.event(&acme(), &MessageId::new("traced").expect("an id")).await.expect("a log");
    assert_eq!(record.expect("kept").event.trace, None, "what cannot be read stops no event");
}

#[tokio::test]
async fn what_is_malformed_is_refused_by_field() {
    let schema = Schema::migrated().await;
    let client = schema.client().await;
    client.batch_execute("UPDATE settings SET payload_bytes = 10").await.expect("a limit");
    let long = format!(r#"{{"tenant":"{}","event_id":1,"payload":1}}"#, "é".repeat(129));
    let long_actor = format!(r#"{{"tenant":"a","event_id":1,"payload":1,"actor":"{}"}}"#, "é".repeat(257));
    let cases = [
        (long_actor.as_str(), "actor"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"actor":"a\u0007"}"#, "actor"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"actor":"a\u0085"}"#, "actor"),
        ("[]", "document"),
        ("\"text\"", "document"),
        (r#"{"event_id":1,"payload":1}"#, "tenant"),
        (r#"{"tenant":null,"event_id":1,"payload":1}"#, "tenant"),
        (r#"{"tenant":7,"event_id":1,"payload":1}"#, "tenant"),
        (r#"{"tenant":"a\u0007","event_id":1,"payload":1}"#, "tenant"),
        (&long, "tenant"),
        (r#"{"tenant":"a","payload":1}"#, "event_id"),
        (r#"{"tenant":"a","event_id":1.5,"payload":1}"#, "event_id"),
        (r#"{"tenant":"a","event_id":-1,"payload":1}"#, "event_id"),
        (r#"{"tenant":"a","event_id":4294967296,"payload":1}"#, "event_id"),
        (r#"{"tenant":"a","event_id":1}"#, "payload"),
        (r#"{"tenant":"a","event_id":1,"payload":"12345678901"}"#, "payload"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"message_id":"a b"}"#, "message_id"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"message_id":7}"#, "message_id"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"source":""}"#, "source"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"actor":{}}"#, "actor"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"time":"yesterday"}"#, "time"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"department":[7]}"#, "department"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"department":9223372036854775808}"#, "department"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"deptid":7}"#, "deptid"),
    ];
    for (document, field) in cases {
        let error = publish(&client, document).await.expect_err(document);
        let error = error.as_db_error().expect("the function speaks");
        assert_eq!(error.column(), Some(field), "{document}: {error:?}");
        assert!(error.message().contains(field), "{document}: {error:?}");
    }
    publish(&client, "{").await.expect_err("no JSON");
    client.query_one("SELECT publish(NULL)", &[]).await.expect_err("nothing");
    assert_eq!(client.query("SELECT FROM event", &[]).await.expect("rows").len(), 0, "nothing is written");
}

#[tokio::test]
async fn the_longest_actor_that_an_event_may_have_is_taken() {
    let schema = Schema::migrated().await;
    let (client, store) = (schema.client().await, schema.store().await);
    let hooks =
        Webhooks::builder(assist::catalog()).store(MemoryStore::new()).transport(RecordingTransport::new());
    let tenant = hooks.build().expect("a service").tenant(acme());
    for actor in ["é".repeat(Event::MAX_ACTOR_CHARS), String::new()] {
        let event = Event::new(EventId::new(1), &1).expect("JSON").actor(&actor);
        let id = store.publish_in(&client, &tenant, &event).await.expect("published");
        let row = client.query_one("SELECT actor FROM event WHERE message = $1", &[&id.as_str()]).await;
        assert_eq!(row.expect("a row").get::<_, String>(0), actor);
    }
}

#[tokio::test]
async fn a_duplicate_is_kept_silently_and_known_to_both_ways_of_publishing() {
    let schema = Schema::migrated().await;
    let (client, store) = (schema.client().await, schema.store().await);
    let document = r#"{"tenant":"acme","event_id":1,"payload":{"n":1},"message_id":"once"}"#;
    assert_eq!(publish(&client, document).await.expect("published"), "once");
    let other = document.replace("\"n\":1", "\"n\":2");
    assert_eq!(publish(&client, &other).await.expect("no error"), "once");
    let given = unrouted(&store, 1).await;
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].event.payload.get(), r#"{"n":1}"#, "the first stays");
    let event = given[0].event.clone();
    let item = Publication::new(acme(), event, Revision::default(), Routing::default(), DAY);
    let other = Event::new(EventId::new(1), &2)
        .expect("JSON")
        .stamped(|| item.event.message_id.clone(), item.event.time);
    let reused = Publication::new(acme(), other, Revision::default(), Routing::default(), DAY);
    let answers = store.publish(&[item, reused], None).await.expect("answers").answers;
    assert!(matches!(answers[..], [PublishAnswer::Duplicate(_), PublishAnswer::IdReused]), "{answers:?}");
}

#[tokio::test]
async fn what_is_rolled_back_never_happened_and_hosts_do_not_wait_for_each_other() {
    let schema = Schema::migrated().await;
    let (mut first, mut second) = (schema.client().await, schema.client().await);
    let store = schema.store().await;
    // Both are the first of a tenant that nobody has heard of.
    let one = first.transaction().await.expect("a transaction");
    let two = second.transaction().await.expect("a transaction");
    publish_in(&one, &message("one")).await;
    let soon = Duration::from_secs(10);
    tokio::time::timeout(soon, publish_in(&two, &message("two"))).await.expect("it does not wait");
    assert!(unrouted(&store, 1).await.is_empty(), "nothing is committed yet");
    two.commit().await.expect("committed");
    one.rollback().await.expect("rolled back");
    assert_eq!(names(&unrouted(&store, 1).await), ["two"]);
    let tenants = store.tenants(&PageRequest::first()).await.expect("tenants").items;
    assert_eq!(tenants, [acme()]);
    assert_eq!(record(&store, "one").await, None);
}

/// A plain event under this message id.
fn message(id: &str) -> String {
    format!(r#"{{"tenant":"acme","event_id":1,"payload":1,"message_id":"{id}"}}"#)
}

#[tokio::test]
async fn events_are_routed_in_order_by_one_holder_and_late_ones_are_found() {
    let schema = Schema::migrated().await;
    let (client, mut late, store) = (schema.client().await, schema.client().await, schema.store().await);
    let open = late.transaction().await.expect("a transaction");
    publish_in(&open, &message("m0")).await;
    for id in 1..=3 {
        publish(&client, &message(&format!("m{id}"))).await.expect("published");
    }
    let given = unrouted(&store, 1).await;
    assert_eq!(names(&given), ["m1", "m2", "m3"]);
    assert!(unrouted(&store, 2).await.is_empty(), "one holder at a time");
    route(&store, &given).await;
    open.commit().await.expect("committed");
    let given = unrouted(&store, 2).await;
    assert_eq!(names(&given), ["m0"], "its number is lower than those that were routed");
    route(&store, &given).await;
    assert_eq!(record(&store, "m0").await, Some(RoutingRecord::Unroutable("unknown event".to_owned())));
}

async fn route(store: &PostgresStore, given: &[Unrouted]) {
    let item = |unrouted: &Unrouted| Routed {
        unrouted: unrouted.clone(),
        routed_at: Revision::default(),
        routing: Err("unknown event".to_owned()),
        expires: DAY,
    };
    let items: Vec<_> = given.iter().map(item).collect();
    let answers: BTreeSet<_> =
        store.route(&items).await.expect("routed").iter().map(|it| format!("{it:?}")).collect();
    assert_eq!(answers, BTreeSet::from(["Routed".to_owned()]));
}

#[tokio::test]
async fn a_row_that_nobody_can_read_stops_no_others() {
    let schema = Schema::migrated().await;
    let (client, store) = (schema.client().await, schema.store().await);
    let by_hand = "INSERT INTO event (tenant, message, event_id, time, payload, published_at, alive_at)
        VALUES ('acme', 'broken', 1, 0, '{', 0, 0)";
    client.batch_execute(by_hand).await.expect("a row");
    publish(&client, &message("whole")).await.expect("one");
    assert_eq!(names(&unrouted(&store, 1).await), ["whole"]);
}

#[tokio::test]
async fn one_that_commits_while_others_are_being_routed_stops_nothing() {
    let schema = Schema::migrated().await;
    let (client, mut late, store) = (schema.client().await, schema.client().await, schema.store().await);
    let open = late.transaction().await.expect("a transaction");
    publish_in(&open, &message("m0")).await;
    publish(&client, &message("m1")).await.expect("published");
    let given = unrouted(&store, 1).await;
    open.commit().await.expect("committed");
    route(&store, &given).await;
    assert_eq!(names(&unrouted(&store, 2).await), ["m0"], "it comes next");
}

#[tokio::test]
async fn a_tenant_that_nobody_can_read_stops_no_others() {
    let schema = Schema::migrated().await;
    let (client, store) = (schema.client().await, schema.store().await);
    let by_hand = "INSERT INTO event (tenant, message, event_id, time, payload, published_at, alive_at)
        VALUES ('', 'none', 1, 0, '1', 0, 0), (E'\\u0007', 'control', 1, 0, '1', 0, 0)";
    client.batch_execute(by_hand).await.expect("rows");
    publish(&client, &message("whole")).await.expect("one");
    assert_eq!(store.tenants(&PageRequest::first()).await.expect("tenants").items, [acme()]);
    assert_eq!(names(&unrouted(&store, 1).await), ["whole"]);
    let waiting = client.query("SELECT FROM event WHERE unroutable IS NULL", &[]).await.expect("rows");
    assert_eq!(waiting.len(), 1, "the others are put aside");
}
