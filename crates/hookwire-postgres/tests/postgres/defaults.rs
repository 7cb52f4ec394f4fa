//! Defaults of a database or a role that others have set: everything works the same, or the setting is named.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hookwire::store::{HolderId, Stats, Store};
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use hookwire_postgres::{ConnectError, PostgresOptions, PostgresStore, migration_sql};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::support::{client, fresh_name, url};

const SOON: Duration = Duration::from_secs(20);

type Failed = Box<dyn Error + Send + Sync>;

/// A database of its own, which goes with this value.
struct Database {
    name: String,
    url: String,
    admin: Client,
}

impl Database {
    async fn new() -> Self {
        let (name, admin) = (fresh_name(), client(&url()).await);
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
        let server = server();
        Self { url: format!("{server}/{name}"), name, admin }
    }

    /// Sets a default for the sessions that follow.
    async fn set(&self, setting: &str, value: &str) {
        let name = &self.name;
        let set = format!("ALTER DATABASE {name} RESET ALL; ALTER DATABASE {name} SET {setting} TO {value}");
        self.admin.batch_execute(&set).await.expect(setting);
    }

    /// Sets a default of the user, which goes before that of the database.
    async fn set_for_user(&self, setting: &str, value: &str) {
        let name = &self.name;
        let set = format!("ALTER ROLE CURRENT_USER IN DATABASE {name} SET {setting} TO {value}");
        self.admin.batch_execute(&set).await.expect(setting);
    }

    fn options(&self, schema: &str) -> PostgresOptions {
        PostgresStore::options().schema(schema).connections(2).poll_every(Duration::from_millis(20))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop_database = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let clean = move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let _ = client(&url()).await.batch_execute(&drop_database).await;
            });
        };
        let _ = std::thread::spawn(clean).join();
    }
}

/// The server under test, without a database.
fn server() -> String {
    let url = url();
    let (server, _) = url.rsplit_once('/').expect("DATABASE_URL names a database");
    server.to_owned()
}

/// What `ALTER DATABASE .. SET` can change and this crate could depend on, and what its own transactions have instead.
const HOSTILE: [(&str, &str, Option<&str>); 35] = [
    ("DateStyle", "'SQL, DMY'", None),
    ("IntervalStyle", "sql_standard", None),
    ("TimeZone", "'Pacific/Kiritimati'", None),
    ("array_nulls", "off", None),
    ("backslash_quote", "off", None),
    ("bytea_output", "escape", None),
    ("check_function_bodies", "off", None),
    ("client_encoding", "LATIN1", Some("UTF8")),
    ("client_min_messages", "error", None),
    ("cursor_tuple_fraction", "0", None),
    ("default_statistics_target", "1", None),
    ("default_transaction_deferrable", "on", Some("off")),
    ("default_transaction_isolation", "'repeatable read'", Some("read committed")),
    ("default_transaction_isolation", "serializable", Some("read committed")),
    ("enable_indexonlyscan", "off", Some("on")),
    ("enable_indexscan", "off", Some("on")),
    ("enable_nestloop", "off", Some("on")),
    ("escape_string_warning", "on", None),
    ("exit_on_error", "on", Some("off")),
    ("extra_float_digits", "-15", None),
    ("idle_in_transaction_session_timeout", "5000", Some("10s")),
    ("idle_session_timeout", "5000", None),
    ("join_collapse_limit", "1", None),
    ("lc_messages", "'C'", None),
    ("lock_timeout", "1", Some("5s")),
    ("plan_cache_mode", "force_custom_plan", Some("force_generic_plan")),
    ("plpgsql.extra_errors", "'all'", None),
    ("plpgsql.variable_conflict", "use_column", None),
    ("quote_all_identifiers", "on", None),
    ("row_security", "off", None),
    ("search_path", "elsewhere", None),
    ("standard_conforming_strings", "off", Some("on")),
    ("statement_timeout", "500", Some("8s,48s")),
    ("synchronous_commit", "off", Some("on")),
    ("transform_null_equals", "on", None),
];

/// Makes the clock, which every transaction of the store reads, refuse one that has none of the values that it needs.
async fn guard(database: &Client, schema: &str, setting: &str, needed: &str) -> Result<(), Failed> {
    // The isolation of the transaction itself is what counts.
    let setting = match setting {
        "default_transaction_isolation" => "transaction_isolation",
        "default_transaction_deferrable" => "transaction_deferrable",
        other => other,
    };
    let guard = format!(
        "CREATE OR REPLACE FUNCTION {schema}.clock_ms() RETURNS bigint LANGUAGE plpgsql AS $$
        BEGIN
            IF current_setting('application_name') = 'hookwire' AND current_setting('{setting}') <> ALL (string_to_array('{needed}', ',')) THEN
                RAISE EXCEPTION '{setting} is %', current_setting('{setting}') USING ERRCODE = 'XX000';
            END IF;
            RETURN floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;
        END $$"
    );
    Ok(database.batch_execute(&guard).await?)
}

/// Runs deliveries to their end: published by the service, by SQL of the host's, and by hand.
async fn deliver(database: &Database, schema: &str, needed: Option<(&str, &str)>) -> Result<(), Failed> {
    database.options(schema).migrate(&database.url).await?;
    if let Some((setting, needed)) = needed {
        guard(&client(&database.url).await, schema, setting, needed).await?;
    }
    let store = Arc::new(database.options(schema).connect(&database.url).await?);
    let (arrivals, mut arrived) = mpsc::unbounded_channel();
    let transport = RecordingTransport::answering(move |_, _| {
        // Nobody listens any more once a case has failed.
        let _ = arrivals.send(());
        Answer::status(200)
    });
    let builder = Webhooks::builder(assist::catalog()).store(Arc::clone(&store) as Arc<dyn Store>);
    let hooks = builder.transport(transport).build()?;
    let tenant = hooks.tenant(TenantId::new("acme")?);
    let draft = WebhookDraft::new("Log", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
    tenant.create(&draft).await?;
    let dispatcher = hooks.start()?;
    let event = || Event::new(assist::DEVICE_ONLINE, "a\\b\0'\"").map(|event| event.actor("m\\x'"));
    tenant.publish(event()?).await?;
    let mut host = client(&database.url).await;
    // The limits of the host's own session hold for the host, also on a slow machine.
    host.batch_execute("SET statement_timeout TO 0; SET lock_timeout TO 0").await?;
    let transaction = host.transaction().await?;
    store.publish_in(&transaction, &tenant, &event()?).await?;
    let document = r#"{"tenant":"acme","event_id":13,"time":5,"payload":{"a":"\\u0000\\"}}"#;
    transaction.execute(store.publish_statement(), &[&document]).await?;
    transaction.commit().await?;
    hooks.wake();
    for _ in 0..3 {
        tokio::time::timeout(SOON, arrived.recv()).await?;
    }
    while hooks.stats().await? != Stats::default() {
        tokio::task::yield_now().await;
    }
    dispatcher.shutdown_within(SOON).await;
    Ok(())
}

#[tokio::test]
async fn a_delivery_comes_to_its_end_under_any_default_of_the_database() {
    let database = Database::new().await;
    let mut failed = Vec::new();
    for (number, (setting, value, needed)) in HOSTILE.into_iter().enumerate() {
        database.set(setting, value).await;
        let needed = needed.map(|needed| (setting, needed));
        if let Err(error) = deliver(&database, &format!("hooks_{number}"), needed).await {
            failed.push(format!("{setting} = {value}: {error:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test]
async fn a_delivery_comes_to_its_end_under_any_isolation_that_is_the_users_default() {
    let database = Database::new().await;
    for (number, isolation) in ["'read uncommitted'", "'repeatable read'", "serializable"].iter().enumerate()
    {
        database.set_for_user("default_transaction_isolation", isolation).await;
        let needed = Some(("default_transaction_isolation", "read committed"));
        deliver(&database, &format!("hooks_{number}"), needed).await.expect(isolation);
    }
}

#[tokio::test]
async fn processes_that_migrate_at_once_see_what_others_did_under_any_isolation() {
    let database = Database::new().await;
    database.set("default_transaction_isolation", "'repeatable read'").await;
    let mut migrations = JoinSet::new();
    for _ in 0..6 {
        let (options, url) = (database.options("hooks"), database.url.clone());
        migrations.spawn(async move { options.migrate(&url).await });
    }
    while let Some(migrated) = migrations.join_next().await {
        migrated.expect("no panic").expect("migrated");
    }
}

#[tokio::test]
async fn a_migration_and_a_connection_wait_for_locks_under_any_time_limit() {
    let database = Database::new().await;
    database.set("lock_timeout", "1").await;
    let holder = client(&database.url).await;
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('hookwire migrates hooks', 0))";
    holder.batch_execute(lock).await.expect("locked");
    let (options, url) = (database.options("hooks"), database.url.clone());
    let migration = tokio::spawn(async move { options.migrate(&url).await });
    let waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND waitstart < now() - interval '50 ms'
        AND database = (SELECT oid FROM pg_database WHERE datname = $1)";
    while database.admin.query(waits, &[&database.name]).await.expect("locks").is_empty() {
        assert!(!migration.is_finished(), "it does not wait");
        tokio::task::yield_now().await;
    }
    holder.batch_execute("COMMIT").await.expect("unlocked");
    migration.await.expect("no panic").expect("migrated");
}

#[tokio::test]
async fn the_printed_sql_runs_under_hostile_defaults() {
    let database = Database::new().await;
    database.set("standard_conforming_strings", "off").await;
    let sql = migration_sql("hooks").expect("a name");
    assert!(sql.starts_with("BEGIN ISOLATION LEVEL READ COMMITTED"), "{}", &sql[..60]);
    client(&database.url).await.batch_execute(&sql).await.expect("it runs as it is");
    deliver(&database, "hooks", None).await.expect("delivered");
}

#[tokio::test]
async fn a_database_that_is_read_only_by_default_is_told_by_the_name_of_the_setting() {
    const NAME: &str = "default_transaction_read_only";
    let database = Database::new().await;
    database.options("hooks").migrate(&database.url).await.expect("migrated");
    let connected = database.options("hooks").connections(1);
    database.set(NAME, "on").await;
    for error in [
        database.options("hooks").connect(&database.url).await.expect_err("read-only"),
        database.options("hooks").migrate(&database.url).await.expect_err("read-only"),
        database.options("other").migrate(&database.url).await.expect_err("read-only"),
    ] {
        assert!(matches!(error, ConnectError::ReadOnly) && error.to_string().contains(NAME), "{error:?}");
    }
    // It may become so while a store is open: the next connection of the pool has it.
    database.set(NAME, "off").await;
    let store = connected.connect(&database.url).await.expect("a store");
    database.set(NAME, "on").await;
    let error = store.release(HolderId::new(1)).await.expect_err("it writes");
    let source = error.source().expect("a cause").to_string();
    assert!(source.contains(NAME), "{source}");
}

/// Bursts to a few webhooks, by several publishers beside each other, while two processes deliver.
#[tokio::test(flavor = "multi_thread")]
async fn no_burst_is_left_behind_under_any_isolation_that_is_the_default() {
    const BURSTS: usize = 40;
    const EVENTS: usize = 25;
    for isolation in ["'repeatable read'", "serializable"] {
        let database = Database::new().await;
        database.set("default_transaction_isolation", isolation).await;
        database.options("hooks").migrate(&database.url).await.expect("a schema");
        let processes = [service(&database).await, service(&database).await];
        let tenant = processes[0].tenant(TenantId::new("acme").expect("short"));
        for name in ["one", "two", "three"] {
            let draft =
                WebhookDraft::new(name, "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
            tenant.create(&draft).await.expect("sound");
        }
        let dispatchers: Vec<_> = processes.iter().map(|it| it.start().expect("inside tokio")).collect();
        let mut publishing = JoinSet::new();
        for burst in 0..BURSTS {
            let tenant = processes[burst % 2].tenant(tenant.id().clone());
            publishing.spawn(async move {
                let event = |n| Event::new(assist::DEVICE_ONLINE, &n).expect("JSON");
                for sent in tenant.publish_all((0..EVENTS).map(event)).await {
                    sent.expect("published");
                }
            });
        }
        publishing.join_all().await;
        let all = async {
            while processes[0].stats().await.expect("counted") != Stats::default() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, all).await.expect(isolation);
        for dispatcher in dispatchers {
            dispatcher.shutdown_within(SOON).await;
        }
    }
}

async fn service(database: &Database) -> Webhooks {
    let store = database.options("hooks").connect(&database.url).await.expect("a store");
    let builder = Webhooks::builder(assist::catalog()).store(store).transport(RecordingTransport::new());
    builder.build().expect("a sound service")
}
