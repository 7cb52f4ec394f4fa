//! The log reads only what it shows, even beside a tenant with a million rows.

use std::sync::Arc;

use hookwire::model::{DeliveryState, End, PageRequest};
use hookwire::{DeliveryQuery, HookId};
use hookwire_postgres::{log_statements, missed_statement};
use tokio_postgres::Client;

use crate::fleet::{World, publication};
use crate::support::Schema;

/// The webhooks of the small tenant, each with two deliveries.
const HOOKS: usize = 3;

/// Another tenant, with a thousand webhooks and a million deliveries. Every tenth is pending.
async fn fill(client: &Client) {
    let fill = "
        ALTER TABLE event SET UNLOGGED; ALTER TABLE lane SET UNLOGGED; ALTER TABLE delivery SET UNLOGGED;
        INSERT INTO lane (tenant, hook, status, class, epoch_at, version, health)
            SELECT 'large' || n % 10, n, 1, 0, 0, 1, '{}' FROM generate_series(1, 1000) AS n;
        INSERT INTO event (tenant, message, event_id, time, payload, published_at, alive_at, routed_at)
            SELECT 'large' || n % 10, 'm' || n, 1, 0, '1', 0, 0, 0 FROM generate_series(1, 200000) AS n;
        INSERT INTO delivery (lane, epoch, event, bytes, state, due, created_at, expires)
            SELECT (SELECT min(id) FROM lane WHERE tenant <> 'small') + n % 1000, 0,
                (SELECT min(seq) FROM event WHERE tenant <> 'small') + n % 200000, 1,
                CASE WHEN n % 10 = 0 THEN 0 ELSE 3 END, n, 0, 4102444800000
            FROM generate_series(1, 1000000) AS n;
        INSERT INTO statistic (lane, hour, holder, attempts, successes)
            SELECT lane.id, hour, '1', 1, 1 FROM lane, generate_series(1, 1000) AS hour
            WHERE tenant <> 'large1' AND lane.hook < 100;
        ANALYZE statistic, event, lane, delivery, attempt, tenant";
    client.batch_execute(fill).await.expect("rows");
}

/// The rows that a statement reads from tables and indexes.
async fn rows_read(client: &Client, sql: &str, arguments: &str) -> f64 {
    let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {sql}({arguments})");
    let rows = client.simple_query(&explain).await.expect("a plan");
    let plan = rows.iter().find_map(|row| match row {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan: serde_json::Value = serde_json::from_str(plan.expect("a plan")).expect("JSON");
    read_by(&plan[0]["Plan"])
}

fn read_by(node: &serde_json::Value) -> f64 {
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    let is_scan = node["Relation Name"].is_string();
    let filtered = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let own = if is_scan { (number("Actual Rows") + filtered) * number("Actual Loops") } else { 0.0 };
    let below = node["Plans"].as_array().into_iter().flatten().map(read_by).sum::<f64>();
    own + below
}

async fn small_world(schema: &Schema) -> World {
    let world = World::new(Arc::new(schema.store().await), "small", HOOKS).await;
    let items = ["m1", "m2"].map(|id| publication(&world, id, &world.hooks));
    world.store.publish(&items, None).await.expect("published");
    world
}

#[tokio::test]
async fn the_log_of_a_small_tenant_reads_none_of_a_million_rows_of_others() {
    let schema = Schema::migrated().await;
    let client = schema.client().await;
    let before = small_world(&schema).await;
    fill(&client).await;
    let items = [publication(&before, "m3", &before.hooks)];
    before.store.publish(&items, None).await.expect("published");
    let as_the_store = "SET plan_cache_mode TO force_generic_plan; SET enable_seqscan TO off;
        SET enable_bitmapscan TO off";
    client.batch_execute(as_the_store).await.expect("settings");
    let id: i64 = client.query_one("SELECT max(id) FROM delivery", &[]).await.expect("an id").get(0);
    let last = i64::MAX;
    for (name, sql) in log_statements() {
        client.batch_execute(&format!("PREPARE {name} AS {sql}")).await.expect(name);
        let arguments = match name {
            "attempts" => format!("'small', ARRAY[{id}, {id} - 1, 1]"),
            "event" => "'small', 'm1'".to_owned(),
            "of_event" => format!("'small', NULL, 'm1', NULL, 0, {last}, 101, {last}, NULL"),
            "of_lanes" => format!("'small', NULL, NULL, NULL, 0, {last}, 101, {last}, NULL"),
            "messages" => format!("'small', NULL, 0, {last}, {last}, 101"),
            "disabled" => "0, NULL, NULL, NULL, 101".to_owned(),
            "statistics" => "'small', 1, 980".to_owned(),
            "stats_of_tenant" => "'small'".to_owned(),
            "stats_of_webhook" => "'small', 1".to_owned(),
            other => panic!("{other} is not tested"),
        };
        let read = rows_read(&client, name, &arguments).await;
        assert!(read <= 60.0, "{name} reads {read} rows");
    }
    client.batch_execute(&format!("PREPARE missed AS {}", missed_statement())).await.expect("a statement");
    let lane: i64 = client.query_one("SELECT max(id) FROM lane", &[]).await.expect("an id").get(0);
    let read = rows_read(&client, "missed", &format!("{lane}, 0, {}, 11, 100", i64::MAX)).await;
    assert!(read <= 300.0, "recovering reads {read} rows");
}

#[tokio::test]
async fn a_filter_that_few_pass_gives_short_pages_and_shows_each_once() {
    let schema = Schema::migrated().await;
    let client = schema.client().await;
    let world = World::new(Arc::new(schema.store().await), "acme", 2).await;
    world.store.publish(&[publication(&world, "m1", &world.hooks)], None).await.expect("published");
    let copy = "INSERT INTO delivery (lane, epoch, event, bytes, state, due, created_at, expires, ended_at)
        SELECT lane, epoch, event, bytes, CASE WHEN n % 9000 = 0 THEN 4 ELSE 3 END, due, created_at, expires, due
        FROM delivery, generate_series(1, 30000) AS n";
    client.batch_execute(copy).await.expect("rows");
    let query = DeliveryQuery::new().state(DeliveryState::Ended(End::Exhausted));
    let (mut page, mut ids, mut pages) = (PageRequest::first(), Vec::new(), 0);
    loop {
        let listed = world.store.deliveries(&world.tenant, &query.clone().page(page)).await.expect("a page");
        pages += 1;
        ids.extend(listed.items.iter().map(|it| it.id));
        let Some(next) = listed.next else { break };
        page = PageRequest::after(next);
    }
    assert_eq!(ids.len(), 6);
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    assert!(pages > 3, "each looks at some only: {pages}");
    let one = query.webhook(HookId::new(2)).page(PageRequest::first().with_limit(1));
    let listed = world.store.deliveries(&world.tenant, &one).await.expect("a page");
    assert_eq!((listed.items.len(), listed.next.is_some()), (1, true));
}
