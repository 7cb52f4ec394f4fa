//! Texts of users in a transaction of the host's: none of them makes it fail.

use std::sync::Arc;

use hookwire::model::MessageId;
use hookwire::store::{MemoryStore, Store};
use hookwire::testing::RecordingTransport;
use hookwire::{ErrorKind, Event, Tenant, TenantId, Webhooks, assist};
use hookwire_postgres::{PostgresStore, PublishError};
use serde_json::value::RawValue;
use tokio_postgres::Client;

use crate::support::Schema;

/// A host with a table of its own, and a store beside it.
struct Host {
    store: Arc<PostgresStore>,
    tenant: Tenant,
    client: Client,
    _schema: Schema,
}

impl Host {
    async fn new() -> Self {
        let schema = Schema::migrated().await;
        let (client, store) = (schema.client().await, Arc::new(schema.store().await));
        client.batch_execute("CREATE TABLE device (name text)").await.expect("the host's own");
        let builder = Webhooks::builder(assist::catalog()).transport(RecordingTransport::new());
        let hooks = builder.store(MemoryStore::new()).build().expect("a service");
        let tenant = hooks.tenant(TenantId::new("acme").expect("short"));
        Self { store, tenant, client, _schema: schema }
    }

    async fn kept(&self, id: &str) -> Option<String> {
        let id = MessageId::new(id).expect("an id");
        let record = self.store.event(self.tenant.id(), &id).await.expect("a log");
        record.map(|record| record.event.payload.get().to_owned())
    }

    async fn devices(&self) -> usize {
        self.client.query("SELECT FROM device", &[]).await.expect("rows").len()
    }
}

/// Payloads that PostgreSQL cannot read as JSON, or only with care.
fn odd_payloads() -> Vec<String> {
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let odd = [
        r#"{"name":"a\u0000b"}"#,
        r#"{"name":"\ud800"}"#,
        r#"{"name":"\udc00\ud800"}"#,
        r#"{"\u0000":"\\u0000","\\":"\\\u0000"}"#,
        "{ \"a\" : 1.10,\t\"a\":1e400, \"\u{e9}\u{1F600}\": \"\\ud83d\\ude00\\/'\\\"$1\" }",
        "null",
        "\"\"",
    ];
    odd.into_iter().map(str::to_owned).chain([deep(1_000), deep(100_000)]).collect()
}

fn event(payload: String) -> Event {
    let payload = RawValue::from_string(payload).expect("JSON");
    Event::new(assist::DEVICE_ONLINE, &payload).expect("JSON")
}

#[tokio::test]
async fn any_payload_commits_beside_the_hosts_own_data_and_arrives_byte_for_byte() {
    let mut host = Host::new().await;
    for (number, payload) in odd_payloads().into_iter().enumerate() {
        let names = [format!("statement-{number}"), format!("typed-{number}")];
        let ids = names.clone().map(|name| MessageId::new(name).expect("an id"));
        let [by_statement, typed] = ids.map(|id| event(payload.clone()).message_id(id));
        host.tenant.check(&by_statement).expect("nothing is wrong with it");
        let document = host.tenant.to_sql_document(&by_statement);
        let transaction = host.client.transaction().await.expect("a transaction");
        transaction.execute("INSERT INTO device VALUES ('LAB-4')", &[]).await.expect("inserted");
        transaction.execute(host.store.publish_statement(), &[&document]).await.expect("it is taken");
        host.store.publish_in(&transaction, &host.tenant, &typed).await.expect("published");
        transaction.commit().await.expect("committed");
        assert_eq!(host.devices().await, number + 1);
        for name in names {
            assert_eq!(host.kept(&name).await.as_deref(), Some(payload.as_str()), "{name}");
        }
    }
}

#[tokio::test]
async fn a_failure_of_any_kind_leaves_the_hosts_transaction_usable() {
    let mut host = Host::new().await;
    let break_it = [
        "ALTER TABLE event RENAME COLUMN actor TO other",
        "ALTER TABLE event RENAME COLUMN other TO actor; ALTER TABLE event ADD CHECK (seq < 0)",
        "ALTER FUNCTION publish(text) RENAME TO gone",
    ];
    for (number, break_it) in break_it.into_iter().enumerate() {
        host.client.batch_execute(break_it).await.expect("broken");
        let transaction = host.client.transaction().await.expect("a transaction");
        transaction.execute("INSERT INTO device VALUES ('LAB-4')", &[]).await.expect("inserted");
        host.store.publish_in(&transaction, &host.tenant, &event("1".to_owned())).await.expect_err("broken");
        transaction.execute("UPDATE device SET name = 'LAB-5'", &[]).await.expect("it goes on");
        transaction.commit().await.expect("committed");
        assert_eq!(host.devices().await, number + 1, "{break_it}");
    }
}

#[tokio::test]
async fn a_text_that_breaks_a_rule_is_told_before_the_transaction() {
    let host = Host::new().await;
    let long = "\u{e9}".repeat(Event::MAX_ACTOR_CHARS + 1);
    for actor in ["\0", "a\nb", &long] {
        let event = event("1".to_owned()).actor(actor);
        let error = host.tenant.check(&event).expect_err("refused");
        assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error:?}");
        // No statement is sent: even a client whose transaction has failed is told of the actor.
        host.client.batch_execute("BEGIN").await.expect("a transaction");
        host.client.batch_execute("SELECT 1 / 0").await.expect_err("it fails");
        let error = host.store.publish_in(&host.client, &host.tenant, &event).await.expect_err("refused");
        assert!(matches!(&error, PublishError::Refused { field, .. } if field == "actor"), "{error:?}");
        host.client.batch_execute("ROLLBACK").await.expect("ended");
    }
    let large = event(format!("\"{}\"", "x".repeat(262_143)));
    let error = host.tenant.check(&large).expect_err("refused");
    assert_eq!(error.kind(), &ErrorKind::PayloadTooLarge);
}

#[tokio::test]
async fn a_document_that_postgresql_cannot_read_is_refused_by_the_member_at_fault() {
    let host = Host::new().await;
    let cases = [
        (r#"{"tenant":"a\u0000","event_id":1,"payload":1}"#, "tenant"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"source":"\ud800"}"#, "source"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"actor":"\\\u0000"}"#, "actor"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"message_id":"\udc00"}"#, "message_id"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"time":"\u0000"}"#, "time"),
        (r#"{"tenant":"a","event_id":1,"payload":{"a":["\\u0000","\u0000"]}}"#, "payload"),
        (r#"{"tenant":"a","event_id":1,"payload":{"\u0000":1}}"#, "payload"),
        (r#"{"tenant":"a","event_id":1,"payload_text":"\u0000"}"#, "payload_text"),
        (r#"{"tenant":"a","event_id":1,"payload":1,"\u0000":1}"#, "document"),
        (r#"["\u0000"]"#, "document"),
        (r#""\u0000""#, "document"),
        (r#"{"tenant":"a","event_id":1,"payload_text":""}"#, "payload_text"),
        (r#"{"tenant":"a","event_id":1,"payload_text":"{"}"#, "payload_text"),
        (r#"{"tenant":"a","event_id":1,"payload_text":1}"#, "payload_text"),
        (r#"{"tenant":"a","event_id":1,"payload_text":null}"#, "payload"),
        (r#"{"tenant":"a","event_id":1,"payload":null,"payload_text":"1"}"#, "payload_text"),
    ];
    for (document, field) in cases {
        let published = host.client.query_one("SELECT publish($1)", &[&document]).await;
        let error = published.expect_err(document);
        let error = error.as_db_error().expect("the function speaks");
        assert_eq!(error.column(), Some(field), "{document}: {error:?}");
        assert!(error.message().starts_with(&format!("hookwire cannot publish this: {field} ")), "{error:?}");
    }
    // Escapes that only look like these are none.
    let sound = r#"{"tenant":"acme","event_id":1,"message_id":"sound","payload":["\\u0000","\u00e9\ud83d\ude00","\\\\ud800"]}"#;
    host.client.query_one("SELECT publish($1)", &[&sound]).await.expect("published");
    assert_eq!(host.kept("sound").await.as_deref(), Some(r#"["\\u0000","\u00e9\ud83d\ude00","\\\\ud800"]"#));
}
