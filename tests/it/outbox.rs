//! The outbox in the host's own SQLite file: published with the host's data, or not at all.

#![expect(clippy::future_not_send, reason = "the host's connection stays on its test's thread")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hookwire::model::{Timestamp, TraceContext};
use hookwire::store::sqlite::{OUTBOX_SCHEMA, OutboxError, OutboxReport};
use hookwire::store::{ClaimRequest, Claimed, HolderId, MemoryStore, Quota, SqliteStore, Store, Unrouted};
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use rusqlite::Connection;

use crate::sqlite::Directory;
use crate::support::log::Log;

/// A host with its own file, and hookwire with another.
struct Host {
    store: Arc<SqliteStore>,
    app: Connection,
    directory: Directory,
}

impl Host {
    async fn new() -> Self {
        let directory = Directory::new();
        // A host that holds its lock is waited for only so long, in real time.
        let options = SqliteStore::options().publish_timeout(Duration::from_millis(5));
        let store = Arc::new(options.open(directory.file()).await.expect("a new file"));
        let app = Connection::open(directory.path("app.db")).expect("a new file");
        app.pragma_update(None, "journal_mode", "WAL").expect("a log");
        app.execute_batch("CREATE TABLE device (name TEXT)").expect("the host's own");
        app.execute_batch(OUTBOX_SCHEMA).expect("an outbox");
        app.execute_batch(OUTBOX_SCHEMA).expect("again does no harm");
        Self { store, app, directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path("app.db")
    }

    fn insert(&self, tenant: &str, message: &str, payload: &str) {
        let insert =
            "INSERT INTO hookwire_outbox (tenant, event_id, payload, message_id) VALUES (?, 13, ?, ?)";
        self.app.execute(insert, [tenant, payload, message]).expect("inserted");
    }

    async fn drain(&self) -> Result<OutboxReport, OutboxError> {
        self.store.drain_outbox(self.file()).await
    }

    /// Drains one step. Returns how many rows were copied, how many refused, and whether there are more.
    async fn drained(&self) -> (usize, usize, bool) {
        let drained = self.drain().await.expect("drained");
        (drained.copied, drained.refused, drained.more)
    }

    fn left(&self) -> i64 {
        let count = "SELECT count(*) FROM hookwire_outbox";
        self.app.query_row(count, [], |row| row.get(0)).expect("counted")
    }

    /// Returns the events in hookwire's file, in order.
    async fn published(&self) -> Vec<Unrouted> {
        let request = ClaimRequest {
            holder: HolderId::new(1),
            lease: Duration::from_secs(60),
            limit: 10_000,
            max_bytes: usize::MAX,
            quota: Quota::default(),
            start_within: Duration::from_secs(1),
        };
        let Claimed { unrouted, .. } = self.store.claim(&request).await.expect("claimed");
        unrouted
    }

    async fn messages(&self) -> Vec<String> {
        let published = self.published().await;
        published.into_iter().map(|it| it.event.message_id.to_string()).collect()
    }
}

fn trace() -> TraceContext {
    let context: TraceContext = PARENT.parse().expect("a traceparent");
    context.with_state("congo=t61").expect("a tracestate")
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const ODD: &str = "{\"b\": 1.10,\t\"a\":1e2, \"\\u00e9\":\"é\u{1F600}\", \"a\":[ ]}";

#[tokio::test]
async fn what_the_host_commits_is_published_with_everything_that_it_wrote() {
    let host = Host::new().await;
    let insert = "INSERT INTO hookwire_outbox \
        (tenant, event_id, payload, message_id, time, department, source, actor, trace) \
        VALUES ('acme', 13, ?, 'm-1', 1688928870551, 7, 'crm', 'maria', ?)";
    let trace = serde_json::to_string(&trace()).expect("JSON");
    host.app.execute(insert, [ODD, &trace]).expect("inserted");
    assert_eq!((host.drained().await, host.left()), ((1, 0, false), 0));
    let published = host.published().await.remove(0);
    let event = published.event;
    assert_eq!(published.tenant, TenantId::new("acme").expect("valid"));
    assert_eq!((event.message_id.as_str(), event.event_id), ("m-1", assist::DEVICE_ONLINE));
    assert_eq!(event.payload.get(), ODD, "bytes come back identical");
    assert_eq!(event.time.as_millis(), 1_688_928_870_551);
    assert_eq!(event.department.map(hookwire::DeptId::get), Some(7));
    assert_eq!(event.source.map(String::from).as_deref(), Some("crm"));
    assert_eq!(event.actor.as_deref(), Some("maria"));
    assert_eq!(event.trace, Some(self::trace()));
}

/// A host that has not run its migration yet.
#[tokio::test]
async fn an_outbox_without_traces_is_drained_and_has_them_once_there_is_a_column() {
    let host = Host::new().await;
    host.app.execute_batch("ALTER TABLE hookwire_outbox DROP COLUMN trace").expect("dropped");
    host.app.execute_batch(OUTBOX_SCHEMA).expect("which adds no column");
    host.insert("acme", "before", "{}");
    assert_eq!(host.drained().await, (1, 0, false));
    host.app.execute_batch("ALTER TABLE hookwire_outbox ADD COLUMN trace TEXT").expect("as it is documented");
    host.insert("acme", "after", "{}");
    let trace = serde_json::to_string(&trace()).expect("JSON");
    host.app.execute("UPDATE hookwire_outbox SET trace = ?", [trace]).expect("updated");
    assert_eq!(host.drained().await, (1, 0, false));
    let published = host.published().await;
    let traces: Vec<_> = published.into_iter().map(|it| it.event.trace).collect();
    assert_eq!(traces, [None, Some(self::trace())]);
}

#[tokio::test]
async fn what_the_host_leaves_open_is_fixed_by_its_insert() {
    let host = Host::new().await;
    let open = "INSERT INTO hookwire_outbox (tenant, event_id, payload) VALUES ('acme', 13, '{}')";
    let null = "INSERT INTO hookwire_outbox (tenant, event_id, payload, message_id, time) \
        VALUES ('acme', 13, '{}', NULL, NULL)";
    host.app.execute(open, []).expect("inserted");
    host.app.execute(null, []).expect("inserted");
    let ids = "SELECT group_concat(message_id) FROM hookwire_outbox";
    let ids: String = host.app.query_row(ids, [], |row| row.get(0)).expect("two ids");
    let now = "SELECT max(abs(time - 1000 * strftime('%s', 'now'))) FROM hookwire_outbox";
    let off: i64 = host.app.query_row(now, [], |row| row.get(0)).expect("a time");
    assert!(off < 60_000, "{off} ms");
    assert_eq!(host.drained().await, (2, 0, false));
    assert_eq!(host.messages().await.join(","), ids);
}

#[tokio::test]
async fn any_payload_is_copied_byte_for_byte_and_a_text_with_a_nul_is_put_aside_by_name() {
    let host = Host::new().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let payloads = [r#"{"name":"a\u0000b"}"#, r#"{"name":"\ud800"}"#, r#"{"\u0000":"\\\u0000"}"#, &deep];
    for (number, payload) in payloads.into_iter().enumerate() {
        host.insert("acme", &format!("m{number}"), payload);
    }
    host.insert("acme", "raw", "\"a\0b\"");
    host.insert("ac\0me", "tenant", "1");
    assert_eq!(host.drained().await, (payloads.len(), 2, false));
    let given = host.published().await;
    assert_eq!(given.iter().map(|item| item.event.payload.get()).collect::<Vec<_>>(), payloads);
    let refused = "SELECT group_concat(substr(refused, 1, 7)) FROM hookwire_outbox";
    let refused: String = host.app.query_row(refused, [], |row| row.get(0)).expect("rows");
    assert_eq!(refused, "payload,tenant:");
}

#[tokio::test]
async fn what_the_host_rolls_back_never_happened() {
    let host = Host::new().await;
    host.app.execute_batch("BEGIN; INSERT INTO device VALUES ('LAB-4')").expect("begun");
    host.insert("acme", "m-1", "{}");
    assert_eq!(host.drained().await, (0, 0, false), "nothing is committed yet");
    host.app.execute_batch("ROLLBACK").expect("rolled back");
    assert_eq!((host.drained().await, host.messages().await.len()), ((0, 0, false), 0));
}

/// A trigger that refuses the deletion stands for a crash between copy and deletion.
#[tokio::test]
async fn a_crash_between_copy_and_deletion_publishes_once() {
    let host = Host::new().await;
    host.insert("acme", "m-1", "{}");
    host.insert("acme", "m-2", "{}");
    let crash =
        "CREATE TRIGGER crash BEFORE DELETE ON hookwire_outbox BEGIN SELECT raise(ABORT, 'crash'); END";
    host.app.execute_batch(crash).expect("planted");
    let error = host.drain().await.expect_err("it is not deleted");
    assert!(matches!(error, OutboxError::Other { .. }), "{error:?}");
    assert_eq!(host.left(), 2);
    host.app.execute_batch("DROP TRIGGER crash").expect("mended");
    host.insert("acme", "m-3", "{}");
    assert_eq!((host.drained().await, host.left()), ((3, 0, false), 0));
    assert_eq!(host.messages().await, ["m-1", "m-2", "m-3"]);
}

#[tokio::test]
async fn a_malformed_row_is_put_aside_with_the_reason_and_holds_up_nobody() {
    let host = Host::new().await;
    let bad = [
        ("'', 13, '{}', 'm', 1, NULL, NULL, NULL", "tenant: a tenant id is 1 to 128"),
        ("x'00', 13, '{}', 'm', 1, NULL, NULL, NULL", "tenant: it must be text"),
        ("'acme', -1, '{}', 'm', 1, NULL, NULL, NULL", "event_id: it must be a number from 0"),
        ("'acme', 'x', '{}', 'm', 1, NULL, NULL, NULL", "event_id: it must be an integer"),
        ("'acme', 13, '{', 'm', 1, NULL, NULL, NULL", "payload: it must be JSON"),
        ("'acme', 13, x'7b7d', 'm', 1, NULL, NULL, NULL", "payload: it must be text"),
        ("'acme', 13, CAST(x'22ff22' AS TEXT), 'm', 1, NULL, NULL, NULL", "payload: it must be UTF-8"),
        ("'acme', 13, '{}', 'a b', 1, NULL, NULL, NULL", "message_id: a message id is 1 to 64"),
        ("'acme', 13, '{}', 'm', 'now', NULL, NULL, NULL", "time: it must be an integer"),
        ("'acme', 13, '{}', 'm', 1, 'it', NULL, NULL", "department: it must be an integer"),
        ("'acme', 13, '{}', 'm', 1, NULL, '', NULL", "source: a source id is 1 to 128"),
        ("'acme', 13, '{}', 'm', 1, NULL, NULL, x'00'", "actor: it must be text"),
        ("'acme', 13, '{}', 'm', 1, NULL, NULL, char(10)", "actor: holds control characters"),
        ("'acme', 13, '{}', 'm', 1, NULL, NULL, printf('%257s', '')", "actor: has 257 characters"),
    ]
    .map(|(values, rule)| (format!("{values}, NULL"), rule));
    let of_trace = |trace: &str| format!("'acme', 13, '{{}}', 'm', 1, NULL, NULL, NULL, {trace}");
    let bad_traces = [
        (of_trace("x'00'"), "trace: it must be text"),
        (of_trace("'00-4bf9'"), "trace: "),
        (of_trace("'{}'"), "trace: missing field `traceparent`"),
        (of_trace("'{\"traceparent\": \"00-4bf9\"}'"), "trace: a traceparent is like 00-"),
    ];
    let bad: Vec<_> = bad.into_iter().chain(bad_traces).collect();
    for (values, _) in &bad {
        let columns = "tenant, event_id, payload, message_id, time, department, source, actor, trace";
        let insert = format!("INSERT INTO hookwire_outbox ({columns}) VALUES ({values})");
        host.app.execute(&insert, []).expect("inserted");
    }
    host.insert("acme", "sound", "{}");
    assert_eq!(host.drained().await, (1, bad.len(), false));
    assert_eq!(host.drained().await, (0, 0, false), "they are not looked at again");
    assert_eq!(host.messages().await, ["sound"]);
    let mut select = host.app.prepare("SELECT refused FROM hookwire_outbox ORDER BY seq").expect("sound");
    let told = select.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    for (told, (values, rule)) in told.zip(bad) {
        let told = told.expect("a reason");
        assert!(told.starts_with(rule), "{values}: {told}");
    }
    let mend = "UPDATE hookwire_outbox SET payload = '{}', refused = NULL WHERE refused LIKE 'payload: it must be JSON%'";
    assert_eq!(host.app.execute(mend, []).expect("mended"), 1);
    assert_eq!(host.drained().await, (1, 0, false));
}

/// The same again is a repetition, and passed over; something else under the same id must not be lost.
#[tokio::test]
async fn a_message_id_that_is_reused_for_something_else_is_put_aside_and_told() {
    let host = Host::new().await;
    host.insert("acme", "m-1", "1");
    host.insert("acme", "m-1", "1");
    host.insert("acme", "m-1", "2");
    host.insert("globex", "m-1", "2");
    assert_eq!((host.drained().await, host.left()), ((3, 1, false), 1));
    host.insert("acme", "m-1", "3");
    host.insert("acme", "m-1", "1");
    let log = Log::default();
    let guard = log.record_thread();
    assert_eq!((host.drained().await, host.left()), ((1, 1, false), 2));
    drop(guard);
    for told in ["WARN", "app.db", "message_id: it was published before with other content"] {
        assert!(log.text().contains(told), "{}", log.text());
    }
    let refused = "SELECT group_concat(payload || refused) FROM hookwire_outbox";
    let refused: String = host.app.query_row(refused, [], |row| row.get(0)).expect("two reasons");
    let why = "message_id: it was published before with other content; choose another";
    assert_eq!(refused, format!("2{why},3{why}"));
    let mend = "UPDATE hookwire_outbox SET message_id = 'm-' || payload, refused = NULL";
    assert_eq!(host.app.execute(mend, []).expect("mended"), 2);
    assert_eq!(host.drained().await, (2, 0, false));
    assert_eq!(host.messages().await, ["m-1", "m-2", "m-3", "m-1"], "by tenant");
}

/// Where nobody waits for an answer, the log has to tell.
#[tokio::test]
async fn an_id_that_is_used_for_something_else_is_told_by_every_store() {
    let (host, memory) = (Host::new().await, MemoryStore::new());
    let acme = TenantId::new("acme").expect("valid");
    let event = |content: u8| {
        let event = Event::new(assist::DEVICE_ONLINE, &content).expect("JSON");
        event.stamped(|| "m-1".parse().expect("valid"), Timestamp::default())
    };
    let log = Log::default();
    let guard = log.record_thread();
    let told = || log.text().matches("not published: it was published before with other content").count();
    for (content, times) in [(1, 0), (1, 0), (2, 1)] {
        host.store.publish_unrouted(&acme, event(content)).await.expect("the store goes on");
        assert_eq!(told(), times, "{}", log.text());
    }
    for (content, times) in [(1, 1), (1, 1), (2, 2)] {
        memory.publish_unrouted(&acme, event(content));
        assert_eq!(told(), times, "{}", log.text());
    }
    drop(guard);
    let kept = memory.event(&acme, &"m-1".parse().expect("valid")).await.expect("read").expect("kept");
    assert_eq!(kept.event.payload.get(), "1", "the first is as it was");
}

#[tokio::test]
async fn a_host_that_holds_its_lock_holds_up_nothing_but_the_deletion() {
    let host = Host::new().await;
    host.insert("acme", "m-1", "{}");
    let other = Connection::open(host.file()).expect("a second connection");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let error = host.drain().await.expect_err("it cannot be deleted");
    assert!(matches!(error, OutboxError::Busy { .. }), "{error:?}");
    assert!(error.to_string().contains("app.db"), "{error}");
    assert_eq!(host.messages().await, ["m-1"], "the event is here all the same");
    let acme = TenantId::new("acme").expect("valid");
    let event = Event::new(assist::DEVICE_ONLINE, &()).expect("JSON");
    let event = event.stamped(|| "m-2".parse().expect("valid"), Timestamp::default());
    host.store.publish_unrouted(&acme, event).await.expect("the store goes on");
    other.execute_batch("COMMIT").expect("unlocked");
    assert_eq!((host.drained().await, host.left()), ((1, 0, false), 0));
}

#[tokio::test]
async fn a_tenants_events_keep_their_order_over_steps_and_drainers() {
    let host = Host::new().await;
    let message = |n: usize| format!("m-{n:04}");
    host.app.execute_batch("BEGIN").expect("begun");
    (0..600).for_each(|n| host.insert(if n % 2 == 0 { "even" } else { "odd" }, &message(n), "{}"));
    host.app.execute_batch("COMMIT").expect("committed");
    assert_eq!(host.drained().await, (256, 0, true));
    while host.left() > 0 {
        // One may find the other at the lock; the next step goes on.
        let _ = tokio::join!(host.drain(), host.drain());
    }
    let published = host.published().await;
    for (tenant, first) in [("even", 0), ("odd", 1)] {
        let of = published.iter().filter(|it| it.tenant.as_str() == tenant);
        let ids: Vec<_> = of.map(|it| it.event.message_id.to_string()).collect();
        assert_eq!(ids, (first..600).step_by(2).map(message).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_file_without_an_outbox_is_told_apart_and_none_is_made() {
    let host = Host::new().await;
    let drain = async |path: PathBuf| host.store.drain_outbox(path).await.expect_err("no outbox");
    let absent = host.directory.path("absent.db");
    let error = drain(absent.clone()).await;
    assert!(matches!(error, OutboxError::Other { .. }) && !absent.exists(), "{error:?}");
    assert!(error.to_string().contains("absent.db"), "{error}");
    host.app.execute_batch("DROP TABLE hookwire_outbox").expect("dropped");
    let error = drain(host.file()).await;
    assert!(matches!(error, OutboxError::NoOutbox { .. }), "{error:?}");
    assert!(error.to_string().contains("OUTBOX_SCHEMA"), "{error}");
    host.app.execute_batch("CREATE TABLE hookwire_outbox (seq INTEGER, refused TEXT)").expect("another");
    let error = drain(host.file()).await;
    assert!(matches!(error, OutboxError::NoOutbox { .. }), "{error:?}");
}

/// The whole way: the dispatcher hears of what was copied, routes it, and delivers it.
#[tokio::test]
async fn a_drained_event_is_delivered_and_an_unknown_one_ends_in_the_log() {
    let host = Host::new().await;
    let transport = RecordingTransport::answering(|_, _| Answer::status(204));
    let builder = Webhooks::builder(assist::catalog()).store(Arc::clone(&host.store)).send_trace_context();
    let hooks = builder.transport(transport.clone()).build().expect("a service");
    let acme = hooks.tenant(TenantId::new("acme").expect("valid"));
    let draft = WebhookDraft::new("hook", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
    acme.create(&draft).await.expect("created");
    host.insert("acme", "known", ODD);
    let traced = format!("UPDATE hookwire_outbox SET trace = '{{\"traceparent\": \"{PARENT}\"}}'");
    host.app.execute(&traced, []).expect("updated");
    let unknown = "INSERT INTO hookwire_outbox (tenant, event_id, payload, message_id) \
        VALUES ('acme', 99, '{}', 'unknown')";
    host.app.execute(unknown, []).expect("inserted");
    assert_eq!(host.drained().await, (2, 0, false));
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 1);
    assert_eq!(transport.requests()[0].headers()["traceparent"], PARENT);
    let told = async |id: &str| {
        let id = id.parse().expect("valid");
        acme.explain(&id).await.expect("known").to_string()
    };
    assert!(told("known").await.contains("delivered"), "{}", told("known").await);
    assert!(told("unknown").await.contains("not in the catalog"), "{}", told("unknown").await);
}
