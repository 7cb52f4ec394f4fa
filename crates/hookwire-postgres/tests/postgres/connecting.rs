//! Schemas and connections that are not as they should be: each its own clear error.

use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;

use hookwire::TenantId;
use hookwire::store::Store;
use hookwire_postgres::{ConnectError, PostgresStore, migration_sql};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::fleet::{World, publication};
use crate::support::{Schema, client, fresh_name, url};

const PASSWORD: &str = "an-unguessable-password";

/// The URL of the server under test with another part.
fn url_with(user: Option<(&str, &str)>, port: Option<u16>, database: Option<&str>) -> String {
    let config: Config = url().parse().expect("DATABASE_URL is a URL");
    let Some(Host::Tcp(host)) = config.get_hosts().first() else { panic!("DATABASE_URL names no host") };
    let password = String::from_utf8_lossy(config.get_password().unwrap_or_default()).into_owned();
    let (user, password) = user.unwrap_or_else(|| (config.get_user().expect("a user"), &password));
    let port = port.or_else(|| config.get_ports().first().copied()).unwrap_or(5432);
    let database = database.or_else(|| config.get_dbname()).unwrap_or("postgres");
    format!("postgres://{user}:{password}@{host}:{port}/{database}")
}

async fn refusal(schema: &Schema, url: &str) -> ConnectError {
    let error = schema.options().connect(url).await.expect_err("it cannot be used");
    let mut told = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    assert!(!told.contains(PASSWORD), "a password is told: {told}");
    error
}

#[tokio::test]
async fn migrating_twice_and_at_once_is_harmless() {
    let schema = Schema(fresh_name());
    let mut migrations = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let options = schema.options();
        migrations.spawn(async move { options.migrate(&url()).await });
    }
    while let Some(migrated) = migrations.join_next().await {
        migrated.expect("no panic").expect("migrated");
    }
    schema.options().migrate(&url()).await.expect("again");
    let tenant = TenantId::new("acme").expect("short");
    assert!(schema.store().await.registry(&tenant).await.expect("a registry").webhooks.is_empty());
}

#[tokio::test]
async fn the_printed_sql_makes_the_same_schema() {
    let schema = Schema(fresh_name());
    let sql = migration_sql(&schema.0).expect("a name");
    client(&url()).await.batch_execute(&sql).await.expect("it runs as it is");
    schema.store().await;
}

#[tokio::test]
async fn other_versions_are_told_apart() {
    let schema = Schema(fresh_name());
    assert!(matches!(refusal(&schema, &url()).await, ConnectError::NotMigrated { .. }));
    let schema = Schema::migrated().await;
    let client = schema.client().await;
    client.batch_execute("UPDATE settings SET version = 0").await.expect("updated");
    assert!(matches!(refusal(&schema, &url()).await, ConnectError::Older { found: 0, .. }));
    client.batch_execute("UPDATE settings SET version = 99, oldest_code = 98").await.expect("updated");
    assert!(matches!(refusal(&schema, &url()).await, ConnectError::Newer { found: 99, .. }));
    let error = schema.options().migrate(&url()).await.expect_err("a later version is left alone");
    assert!(matches!(error, ConnectError::Newer { found: 99, .. }), "{error:?}");
}

/// The next version of the schema, which only adds: this code goes on, before and after.
#[tokio::test]
async fn a_later_version_that_only_adds_is_used() {
    let schema = Schema::migrated().await;
    let client = schema.client().await;
    let before = World::new(Arc::new(schema.store().await), "acme", 1).await;
    let version = "SELECT version FROM settings";
    let known: i32 = client.query_one(version, &[]).await.expect("a row").get(0);
    let next = "ALTER TABLE lane ADD COLUMN more text; ALTER TABLE delivery ADD COLUMN more bigint DEFAULT 1;
        UPDATE settings SET version = version + 1";
    client.batch_execute(next).await.expect("migrated");
    schema.options().migrate(&url()).await.expect("there is nothing to do");
    let after = World { store: Arc::new(schema.store().await), ..before.clone() };
    for (n, world) in [&before, &after].into_iter().enumerate() {
        let item = publication(world, &format!("m{n}"), &world.hooks);
        world.store.publish(&[item], None).await.expect("published");
    }
    assert_eq!(before.deliver_all().await, 2);
    let found: i32 = client.query_one(version, &[]).await.expect("a row").get(0);
    assert_eq!(found, known + 1, "it was left as it is");
}

#[tokio::test]
async fn texts_that_are_no_url_are_refused() {
    let schema = Schema(fresh_name());
    let with_password = format!("postgres://hooks:{PASSWORD}@[::1/app");
    let split = format!("host=localhost password=two {PASSWORD}");
    for text in ["", "nonsense", "mysql://localhost/app", "postgres://", &with_password, &split] {
        let error = refusal(&schema, text).await;
        assert!(matches!(error, ConnectError::Url), "{text:?}: {error:?}");
    }
}

#[tokio::test]
async fn names_that_are_no_schema_are_refused() {
    for name in ["", "Hooks", "a-b", "a\"b", "1a", "pg_hooks", &"a".repeat(64)] {
        let error = PostgresStore::options().schema(name).connect(&url()).await.expect_err("no schema");
        assert!(matches!(error, ConnectError::SchemaName { .. }), "{name:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_dead_server_a_wrong_password_and_a_missing_database_are_told_apart() {
    let schema = Schema::migrated().await;
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let dead = refusal(&schema, &url_with(Some(("hooks", PASSWORD)), Some(port), None)).await;
    assert!(matches!(dead, ConnectError::Unreachable(_)), "{dead:?}");
    let stranger = refusal(&schema, &url_with(Some(("nobody", PASSWORD)), None, None)).await;
    assert!(matches!(stranger, ConnectError::Refused(_)), "{stranger:?}");
    let config: Config = url().parse().expect("a URL");
    let user = config.get_user().expect("DATABASE_URL names a user");
    let wrong = refusal(&schema, &url_with(Some((user, PASSWORD)), None, None)).await;
    assert!(matches!(wrong, ConnectError::Refused(_)), "the server must ask for passwords: {wrong:?}");
    let missing = refusal(&schema, &url_with(None, None, Some("no_such_database"))).await;
    assert!(matches!(missing, ConnectError::NoDatabase(_)), "{missing:?}");
    let plain = format!("{}?sslmode=require", url_with(Some((user, PASSWORD)), None, None));
    let plain = refusal(&schema, &plain).await;
    assert!(matches!(plain, ConnectError::Tls(_)), "the server has no certificate: {plain:?}");
}

#[tokio::test]
async fn a_url_without_a_password_is_refused_and_one_that_asks_for_tls_in_vain_is_told_so_first() {
    let schema = Schema::migrated().await;
    let bare = url_with(None, None, None);
    let (user, server) = bare.split_once('@').expect("a user");
    let bare = format!("{}@{server}", user.rsplit_once(':').expect("a password").0);
    let error = refusal(&schema, &bare).await;
    assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");
    let error = refusal(&schema, &format!("{bare}?sslmode=require")).await;
    assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
}

#[tokio::test]
async fn missing_privileges_are_told() {
    let schema = Schema::migrated().await;
    let owner = schema.client().await;
    let role = &schema.0;
    owner.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")).await.expect("a role");
    let stranger = url_with(Some((role, PASSWORD)), None, None);
    let connected = refusal(&schema, &stranger).await;
    let migrated = Schema(fresh_name()).options().migrate(&stranger).await;
    owner.batch_execute(&format!("DROP ROLE {role}")).await.expect("dropped");
    assert!(matches!(connected, ConnectError::NoPrivileges { .. }), "{connected:?}");
    let migrated = migrated.expect_err("it may make no schema");
    assert!(matches!(migrated, ConnectError::NoPrivileges { .. }), "{migrated:?}");
}

#[tokio::test]
async fn nothing_prints_the_password() {
    let store = Schema::migrated().await.store().await;
    let config: Config = url().parse().expect("a URL");
    let password = String::from_utf8_lossy(config.get_password().unwrap_or_default()).into_owned();
    assert!(!format!("{store:?}").contains(&format!("{password}@")), "{store:?}");
}
