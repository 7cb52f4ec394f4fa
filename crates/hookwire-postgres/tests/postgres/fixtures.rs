//! Schemas of released versions are brought up to date, tell what they told then, and deliver what waits in them.
//! `tests/fixtures/README.md` of the repository says what they are, and how the next one is written.

#[path = "../../../../tests/it/fixtures/kept.rs"]
mod kept;
#[path = "../../../../tests/it/fixtures/scene.rs"]
mod scene;
#[path = "../../../../tests/it/fixtures/tell.rs"]
mod tell;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookwire::EventId;
use hookwire::clock::{Clock, ManualClock};
use hookwire::store::Store;
use hookwire_postgres::PostgresStore;
use tokio_postgres::Client;

use crate::support::{Schema, client, fresh_name, url};
use kept::Kept;
use scene::{SCENE_TAKES, World};
use tell::tell;

/// The name that stands for that of the schema in each fixture.
const NAME: &str = "hookwire_fixture";

/// A schema whose clock stands still.
struct Stopped {
    store: Arc<PostgresStore>,
    clock: ManualClock,
    client: Client,
}

impl Stopped {
    async fn new(schema: &Schema, after: Duration) -> Self {
        let clock = ManualClock::default();
        let client = schema.client().await;
        let stopped = Self { store: Arc::new(schema.store().await), clock, client };
        stopped.advance(after).await;
        stopped
    }

    /// Puts the clock back that the schema came with.
    async fn go_on(self, with: &str) {
        self.client.batch_execute(with).await.expect("a clock");
    }
}

#[async_trait]
impl World for Stopped {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as _
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        let now = self.clock.now().as_millis();
        let stand = format!(
            "CREATE OR REPLACE FUNCTION clock_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE AS 'SELECT {now}'"
        );
        self.client.batch_execute(&stand).await.expect("a clock");
    }

    async fn write_unrouted(&self, tenant: &str, event_id: EventId, message_id: &str) {
        let document = format!(
            r#"{{"tenant":"{tenant}","event_id":{event_id},"message_id":"{message_id}","payload":{{"from" : "SQL"}}}}"#
        );
        self.client.execute("SELECT publish($1)", &[&document]).await.expect("published");
    }
}

/// Runs a fixture in a schema of its own, and brings it up to date.
async fn load(sql: &str) -> Schema {
    let schema = Schema(fresh_name());
    client(&url()).await.batch_execute(&sql.replace(NAME, &schema.0)).await.expect("it loads");
    schema.options().migrate(&url()).await.expect("it is brought up to date");
    schema
}

async fn told_of(schema: &Schema) -> String {
    tell(&Stopped::new(schema, SCENE_TAKES).await).await
}

/// Columns, indexes and functions.
async fn shape(schema: &Schema) -> Vec<String> {
    let parts = "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
            || coalesce(column_default, '') FROM information_schema.columns WHERE table_schema = $1
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = $1
        UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace::regnamespace::text = $1
        ORDER BY 1";
    let rows = schema.client().await.query(parts, &[&schema.0]).await.expect("a catalog");
    rows.iter().map(|row| row.get::<_, String>(0).replace(&schema.0, NAME)).collect()
}

/// The schema as plain SQL, without what is for psql alone or differs from server to server.
fn dump(schema: &Schema) -> String {
    let dumped = Command::new("pg_dump")
        .args(["--inserts", "--no-owner", "--no-privileges", "--schema", &schema.0, &url()])
        .output()
        .expect("pg_dump is there");
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    let text = String::from_utf8(dumped.stdout).expect("UTF-8").replace(&schema.0, NAME);
    let not_ours = |line: &str| {
        line.is_empty()
            || ["--", "\\", "SET ", "SELECT pg_catalog.set_config"].iter().any(|it| line.starts_with(it))
    };
    text.lines().filter(|line| !not_ours(line)).map(|line| format!("{line}\n")).collect()
}

const KEPT: Kept = Kept { folder: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"), extension: "sql" };

#[tokio::test]
async fn a_schema_of_each_released_form_is_brought_up_to_date_and_delivers() {
    let present = shape(&Schema::migrated().await).await;
    for (file, then) in KEPT.forms() {
        let schema = load(&fs::read_to_string(&file).expect("SQL")).await;
        assert_eq!(shape(&schema).await, present, "{file:?}");
        assert_eq!(told_of(&schema).await, then, "{file:?}");
    }
}

/// With `HOOKWIRE_WRITE_FIXTURE=NAME` the schema is kept as the fixture of that name.
#[tokio::test]
async fn a_schema_of_the_present_form_tells_the_same_once_it_was_dumped_and_loaded() {
    let schema = Schema::migrated().await;
    let clock = "SELECT pg_get_functiondef('clock_ms'::regproc)";
    let clock: String = schema.client().await.query_one(clock, &[]).await.expect("a function").get(0);
    let world = Stopped::new(&schema, Duration::ZERO).await;
    scene::write(&world).await;
    world.go_on(&clock).await;
    let sql = dump(&schema);
    let told = told_of(&load(&sql).await).await;
    assert_eq!(told_of(&schema).await, told);
    KEPT.keep(sql.as_bytes(), &told);
}
