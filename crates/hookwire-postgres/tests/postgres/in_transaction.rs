//! Publishing in the host's own transaction, up to the receiver: with real dispatchers and several of them.

use std::sync::Arc;
use std::time::Duration;

use hookwire::dispatcher::Dispatcher;
use hookwire::model::{DeliveryQuery, MessageId, PageRequest, Timestamp, TraceContext};
use hookwire::service::Tenant;
use hookwire::store::{Stats, Store};
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{DeptId, Event, EventId, SourceId, TenantId, WebhookDraft, Webhooks, assist};
use hookwire_postgres::{PostgresOptions, PostgresStore, PublishError};
use serde_json::value::RawValue;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_postgres::Client;

use crate::support::{Schema, fresh_name, url};

/// Longer than any test: nobody finds anything by looking again.
const NEVER: Duration = Duration::from_secs(60 * 60);
const SOON: Duration = Duration::from_secs(20);

fn acme() -> TenantId {
    TenantId::new("acme").expect("short")
}

fn event(id: &str) -> Event {
    let id = MessageId::new(id).expect("an id");
    Event::new(assist::DEVICE_ONLINE, &serde_json::json!({ "id": id.as_str() })).expect("JSON").message_id(id)
}

/// One process of a host: its service on a store of its own.
struct Process {
    store: Arc<PostgresStore>,
    hooks: Webhooks,
}

impl Process {
    async fn new(options: PostgresOptions, arrivals: &UnboundedSender<String>) -> Self {
        let store = Arc::new(options.connect(&url()).await.expect("a store"));
        let arrivals = arrivals.clone();
        let transport = RecordingTransport::answering(move |request, _| {
            let id = request.headers()["webhook-id"].to_str().expect("text");
            arrivals.send(id.to_owned()).expect("the test listens");
            Answer::status(200)
        });
        let builder = Webhooks::builder(assist::catalog()).store(Arc::clone(&store) as Arc<dyn Store>);
        Self { store, hooks: builder.transport(transport).build().expect("a service") }
    }

    fn start(&self) -> Dispatcher {
        self.hooks.start().expect("in a runtime, once")
    }

    fn tenant(&self) -> Tenant {
        self.hooks.tenant(acme())
    }

    /// Publishes by this process in a transaction of its own.
    async fn publish(&self, client: &mut Client, event: &Event) -> MessageId {
        let transaction = client.transaction().await.expect("a transaction");
        let id = self.store.publish_in(&transaction, &self.tenant(), event).await.expect("published");
        transaction.commit().await.expect("committed");
        id
    }

    /// The messages of the deliveries, in the order in which these were made.
    async fn deliveries(&self) -> Vec<String> {
        let page = PageRequest::first().with_limit(PageRequest::MAX_LIMIT);
        let query = DeliveryQuery::new().page(page);
        let mut made = self.tenant().deliveries(&query).await.expect("a log").items;
        made.sort_by_key(|delivery| delivery.id);
        made.into_iter().map(|delivery| delivery.message_id.to_string()).collect()
    }
}

/// A host with one webhook, and what arrives there.
struct Host {
    process: Process,
    arrived: UnboundedReceiver<String>,
    arrivals: UnboundedSender<String>,
    schema: Schema,
}

impl Host {
    /// Its dispatcher is to be woken: it does not look by itself.
    async fn new() -> Self {
        let (arrivals, arrived) = mpsc::unbounded_channel();
        let schema = Schema::migrated().await;
        let process = Process::new(schema.options().poll_every(NEVER), &arrivals).await;
        let draft = WebhookDraft::new("Log", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
        process.tenant().create(&draft).await.expect("created");
        Self { process, arrived, arrivals, schema }
    }

    async fn arrives(&mut self) -> String {
        let arrived = tokio::time::timeout(SOON, self.arrived.recv()).await;
        arrived.expect("nothing arrives").expect("the sender is kept")
    }
}

fn names(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("m{n:02}")).collect()
}

#[tokio::test]
async fn what_is_committed_is_delivered_in_order_once_the_dispatcher_is_woken() {
    let mut host = Host::new().await;
    let mut client = host.schema.client().await;
    let dispatcher = host.process.start();
    host.process.publish(&mut client, &event("first")).await;
    host.process.hooks.wake();
    assert_eq!(host.arrives().await, "first");
    // All of one transaction, and some of others.
    let transaction = client.transaction().await.expect("a transaction");
    for id in names(0..10) {
        host.process
            .store
            .publish_in(&transaction, &host.process.tenant(), &event(&id))
            .await
            .expect("published");
    }
    transaction.commit().await.expect("committed");
    for id in names(10..20) {
        host.process.publish(&mut client, &event(&id)).await;
    }
    host.process.hooks.wake();
    let mut arrived = Vec::new();
    for _ in 0..20 {
        arrived.push(host.arrives().await);
    }
    arrived.sort();
    assert_eq!(arrived, names(0..20), "each once");
    let made = host.process.deliveries().await;
    assert_eq!(made[1..], names(0..20), "in the order of publishing");
    dispatcher.shutdown_within(SOON).await;
}

#[tokio::test]
async fn what_is_rolled_back_never_happened_and_what_is_known_is_passed_over() {
    let mut host = Host::new().await;
    let mut client = host.schema.client().await;
    let dispatcher = host.process.start();
    let store = Arc::clone(&host.process.store);
    let transaction = client.transaction().await.expect("a transaction");
    store.publish_in(&transaction, &host.process.tenant(), &event("never")).await.expect("published");
    transaction.rollback().await.expect("rolled back");
    // The answer to a commit was lost, so the host runs the transaction again, with the same text.
    let parameter = host.process.tenant().to_sql_document(&event("once"));
    for _ in 0..2 {
        let transaction = client.transaction().await.expect("a transaction");
        let row = transaction.query_one(store.publish_statement(), &[&parameter]).await.expect("published");
        assert_eq!(row.get::<_, &str>(0), "once");
        transaction.commit().await.expect("committed");
    }
    host.process.publish(&mut client, &event("last")).await;
    host.process.hooks.wake();
    let arrived = [host.arrives().await, host.arrives().await];
    assert!(arrived.contains(&"once".to_owned()) && arrived.contains(&"last".to_owned()), "{arrived:?}");
    assert_eq!(host.process.deliveries().await, ["once", "last"]);
    let never = MessageId::new("never").expect("an id");
    host.process.tenant().explain(&never).await.expect_err("nobody knows it");
    dispatcher.shutdown_within(SOON).await;
}

#[tokio::test]
async fn an_event_that_the_catalog_does_not_have_ends_in_the_log_with_the_reason() {
    let mut host = Host::new().await;
    let mut client = host.schema.client().await;
    let dispatcher = host.process.start();
    let unknown = Event::new(EventId::new(4711), &1).expect("JSON");
    let unknown = host.process.publish(&mut client, &unknown).await;
    host.process.publish(&mut client, &event("known")).await;
    host.process.hooks.wake();
    assert_eq!(host.arrives().await, "known", "it holds up no others");
    let told = host.process.tenant().explain(&unknown).await.expect("a log").to_string();
    assert!(told.contains("not routed: event 4711 is not in the catalog"), "{told}");
    dispatcher.shutdown_within(SOON).await;
}

#[tokio::test]
async fn an_event_that_is_refused_names_field_and_rule_and_leaves_the_transaction_as_it_was() {
    let mut host = Host::new().await;
    let mut client = host.schema.client().await;
    client.batch_execute("CREATE TABLE device (name text)").await.expect("the host's own");
    let dispatcher = host.process.start();
    let large = Event::new(assist::DEVICE_ONLINE, &"x".repeat(300_000)).expect("JSON");
    let nul = Event::new(assist::DEVICE_ONLINE, &1).expect("JSON").actor("\0");
    let cases = [(large, "payload", "is larger than 262144 bytes"), (nul, "actor", "control characters")];
    let transaction = client.transaction().await.expect("a transaction");
    transaction.execute("INSERT INTO device VALUES ('LAB-4')", &[]).await.expect("inserted");
    for (event, named, asked) in cases {
        let published = host.process.store.publish_in(&transaction, &host.process.tenant(), &event).await;
        let error = published.expect_err("refused");
        let text = error.to_string();
        let PublishError::Refused { field, rule, .. } = error else { panic!("{error:?}") };
        assert!(field == named && rule.contains(asked), "{field}: {rule}");
        assert_eq!(text, format!("the event is refused: {field} {rule}"));
    }
    host.process
        .store
        .publish_in(&transaction, &host.process.tenant(), &event("sound"))
        .await
        .expect("published");
    transaction.commit().await.expect("committed");
    host.process.hooks.wake();
    assert_eq!(host.arrives().await, "sound");
    assert_eq!(client.query("SELECT FROM device", &[]).await.expect("rows").len(), 1);
    dispatcher.shutdown_within(SOON).await;
}

#[tokio::test]
async fn everything_of_an_event_survives_the_way_through_the_function() {
    let host = Host::new().await;
    let client = host.schema.client().await;
    let odd = "{\"b\": 1.10,\t\"a\":1e2, \"\\u00e9\":\"é\u{1F600}\", \"a\":[ ]}";
    let payload = RawValue::from_string(odd.to_owned()).expect("JSON");
    let whole = Event::new(EventId::new(u32::MAX), &payload).expect("JSON").at(Timestamp::from_millis(-1));
    let whole = whole.department(DeptId::new(i64::MIN)).source(SourceId::new("'crm\"").expect("valid"));
    let parent: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("a traceparent");
    let trace = parent.with_state("a= '\"\\ ~,\t1b_-*/@c=!\t ,").expect("a tracestate");
    let whole = whole.actor("m\u{e4}x'\\").trace_context(trace.clone());
    let id = host.process.store.publish_in(&client, &host.process.tenant(), &whole).await;
    let id = id.expect("published");
    let kept = host.process.store.event(&acme(), &id).await.expect("a log").expect("it is there").event;
    assert_eq!((kept.payload.get(), kept.event_id.get()), (odd, u32::MAX));
    assert_eq!((kept.time.as_millis(), kept.department), (-1, Some(DeptId::new(i64::MIN))));
    let source = kept.source.as_ref().map(SourceId::as_str);
    assert_eq!(kept.trace, Some(trace));
    assert_eq!((source, kept.actor.as_deref()), (Some("'crm\""), Some("m\u{e4}x'\\")));
}

#[tokio::test]
async fn the_function_has_a_limit_of_its_own_that_a_host_may_set() {
    let host = Host::new().await;
    let client = host.schema.client().await;
    client.batch_execute("UPDATE settings SET payload_bytes = 10").await.expect("a limit");
    let error = host
        .process
        .store
        .publish_in(&client, &host.process.tenant(), &event("large"))
        .await
        .expect_err("refused");
    assert_eq!(error.to_string(), "the event is refused: payload is larger than 10 bytes");
}

#[tokio::test]
async fn hosts_with_open_transactions_hold_up_nobody() {
    let mut host = Host::new().await;
    let (mut first, mut second) = (host.schema.client().await, host.schema.client().await);
    let dispatcher = host.process.start();
    let store = &host.process.store;
    let one = first.transaction().await.expect("a transaction");
    let two = second.transaction().await.expect("a transaction");
    let others = async {
        store.publish_in(&one, &host.process.tenant(), &event("one")).await.expect("published");
        store.publish_in(&two, &host.process.tenant(), &event("two")).await.expect("published");
        let draft = WebhookDraft::new("More", "https://hooks.example.com/2").subscribe(assist::DEVICE_ADD);
        host.process.tenant().create(&draft).await.expect("created");
        host.process.tenant().publish(event("beside")).await.expect("published");
    };
    tokio::time::timeout(SOON, others).await.expect("somebody waits");
    assert_eq!(host.arrives().await, "beside");
    two.commit().await.expect("committed");
    host.process.hooks.wake();
    assert_eq!(host.arrives().await, "two");
    one.commit().await.expect("committed");
    host.process.hooks.wake();
    assert_eq!(host.arrives().await, "one", "its number is lower than one that was routed");
    dispatcher.shutdown_within(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_dispatchers_route_each_event_once_and_in_order() {
    let mut host = Host::new().await;
    let mut client = host.schema.client().await;
    let options = || host.schema.options().poll_every(Duration::from_millis(20));
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(Process::new(options(), &host.arrivals).await);
    }
    let dispatchers: Vec<_> = others.iter().map(Process::start).collect();
    for (id, process) in names(0..60).iter().zip(others.iter().cycle()) {
        process.publish(&mut client, &event(id)).await;
        process.hooks.wake();
    }
    let mut arrived = Vec::new();
    for _ in 0..60 {
        arrived.push(host.arrives().await);
    }
    arrived.sort();
    assert_eq!(arrived, names(0..60), "each once");
    assert_eq!(host.process.deliveries().await, names(0..60), "in the order of publishing");
    for dispatcher in dispatchers {
        dispatcher.shutdown_within(SOON).await;
    }
}

#[tokio::test]
async fn other_processes_hear_of_a_commit_by_a_notification_after_it() {
    let mut host = Host::new().await;
    let mut client = host.schema.client().await;
    let options = host.schema.options().poll_every(NEVER).listen(true);
    let listening = Process::new(options, &host.arrivals).await;
    let dispatcher = listening.start();
    // It listens once it hears of this, and sleeps once this is delivered.
    listening.tenant().publish(event("first")).await.expect("published");
    assert_eq!(host.arrives().await, "first");
    while host.process.hooks.stats().await.expect("numbers") != Stats::default() {
        tokio::task::yield_now().await;
    }
    host.process.publish(&mut client, &event("second")).await;
    let notify = format!("NOTIFY \"hookwire_{}\"", host.schema.0);
    client.batch_execute(&notify).await.expect("told");
    assert_eq!(host.arrives().await, "second");
    host.process.publish(&mut client, &event("third")).await;
    host.process.store.wake_all();
    assert_eq!(host.arrives().await, "third");
    dispatcher.shutdown_within(SOON).await;
}

#[tokio::test]
async fn the_function_takes_no_id_of_a_test() {
    let host = Host::new().await;
    let client = host.schema.client().await;
    let document = r#"{"tenant": "acme", "message_id": "test_1", "event_id": 1, "payload": 1}"#;
    let refused = client.query_one("SELECT publish($1)", &[&document]).await.expect_err("reserved");
    let said = refused.as_db_error().expect("the function says so");
    assert_eq!((said.column(), said.code().code()), (Some("message_id"), "22023"), "{said}");
    let fine = document.replace("test_1", "tests_1");
    client.query_one("SELECT publish($1)", &[&fine]).await.expect("another id");
}

#[tokio::test]
async fn what_the_user_of_the_transaction_lacks_is_told_and_is_enough() {
    let host = Host::new().await;
    let client = host.schema.client().await;
    let (schema, role) = (&host.schema.0, fresh_name());
    client.batch_execute(&format!("CREATE ROLE {role}; SET ROLE {role}")).await.expect("a role");
    let error = host
        .process
        .store
        .publish_in(&client, &host.process.tenant(), &event("barred"))
        .await
        .expect_err("barred");
    assert!(matches!(error, PublishError::NoPrivileges { .. }), "{error:?}");
    let grant = format!(
        "RESET ROLE; GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON settings TO {role};
        GRANT INSERT, SELECT ON event TO {role}; SET ROLE {role}"
    );
    client.batch_execute(&grant).await.expect("granted");
    let published = host.process.store.publish_in(&client, &host.process.tenant(), &event("granted")).await;
    let drop_role = format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}");
    client.batch_execute(&drop_role).await.expect("dropped");
    assert_eq!(published.expect("published").as_str(), "granted");
}

#[tokio::test]
async fn a_database_without_the_function_is_told_apart() {
    let host = Host::new().await;
    let client = host.schema.client().await;
    client.batch_execute("ALTER FUNCTION publish(text) RENAME TO gone").await.expect("renamed");
    let error = host
        .process
        .store
        .publish_in(&client, &host.process.tenant(), &event("lost"))
        .await
        .expect_err("gone");
    assert!(matches!(error, PublishError::NotMigrated { .. }), "{error:?}");
    client.batch_execute("BEGIN").await.expect("a transaction");
    client.batch_execute("SELECT 1 / 0").await.expect_err("it fails");
    let error = host
        .process
        .store
        .publish_in(&client, &host.process.tenant(), &event("late"))
        .await
        .expect_err("failed");
    assert!(matches!(error, PublishError::Failed(_)), "{error:?}");
    client.batch_execute("ROLLBACK").await.expect("ended");
}
