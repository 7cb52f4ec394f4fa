//! The plans of PostgreSQL for large tables.

use std::sync::Arc;
use std::time::Duration;

use hookwire_postgres::{
    claim_statements, log_statements, publish_statements, route_statements, session_settings,
    settle_statements, statistics_statements, upkeep_statements,
};
use tokio_postgres::Client;

use crate::fleet::{World, publication};
use crate::support::Schema;

/// Lanes of every kind with a backlog, and events that were routed long ago.
async fn fill(client: &Client) {
    let fill = "
        INSERT INTO event (tenant, message, event_id, time, payload, published_at, alive_at, routed_at)
            SELECT 'acme', 'm' || n, 1, 0, '1', 0, 0, 0 FROM generate_series(1, 20000) AS n;
        INSERT INTO lane (tenant, hook, status, class, ready, wake_at, floor, paused_until, epoch_at, version,
                health)
            SELECT 'tenant' || n / 20, n, 1, n % 3, n % 5 = 0, CASE WHEN n % 5 > 0 THEN 4102444800000 END, 0, 0,
                0, 1, '{}' FROM generate_series(1, 5000) AS n;
        INSERT INTO delivery (lane, epoch, event, bytes, state, due, created_at, expires)
            SELECT 1 + n % 5000, 0, 1 + n % 20000, 1, n % 4, n, 0, 4102444800000
            FROM generate_series(1, 100000) AS n;";
    client.batch_execute(fill).await.expect("rows");
}

/// The same, and the server knows of it.
async fn fill_and_analyze(client: &Client) {
    fill(client).await;
    client
        .batch_execute("ANALYZE event; ANALYZE lane; ANALYZE delivery; ANALYZE tenant")
        .await
        .expect("rows");
}

/// A connection that plans statements as those of the store do.
async fn as_the_store(schema: &Schema) -> Client {
    let client = schema.client().await;
    client.batch_execute(&session_settings(&schema.0).expect("a schema")).await.expect("settings");
    client
}

/// Whether each half of a lane is read along its own part of the index: nothing of the other is filtered out.
fn reads_halves(plan: &str) -> bool {
    let mut halves = plan.lines().filter(|line| line.contains("attempts > 0")).peekable();
    halves.peek().is_some() && halves.all(|line| line.contains("Index Cond"))
}

/// Whether lanes that are known by their ids are looked up, each by its id.
fn looks_up_lanes(plan: &str) -> bool {
    let lines: Vec<&str> = plan.lines().collect();
    let mut scans = lines.windows(2).filter(|pair| pair[0].contains("using lane_pkey"));
    scans.all(|pair| pair[1].contains("Index Cond"))
}

/// The plan of a statement, whatever its parameters.
async fn plan(client: &Client, name: &str, sql: &str) -> String {
    let parameters = (1..).take_while(|number| sql.contains(&format!("${number}"))).count();
    client.batch_execute(&format!("PREPARE {name} AS {sql}")).await.expect(name);
    let nulls = vec!["NULL"; parameters].join(", ");
    let arguments = if parameters == 0 { String::new() } else { format!("({nulls})") };
    let rows = client.query(&format!("EXPLAIN EXECUTE {name}{arguments}"), &[]).await.expect(name);
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

#[tokio::test]
async fn a_claim_scans_no_table_whatever_the_backlog() {
    let schema = Schema::migrated().await;
    fill_and_analyze(&schema.client().await).await;
    let client = as_the_store(&schema).await;
    for (name, sql) in claim_statements() {
        let plan = plan(&client, name, &sql).await;
        for table in ["delivery", "event", "lane"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name}:\n{plan}");
        }
        if ["ready", "locked", "refresh"].contains(&name) {
            assert!(plan.contains("delivery_due"), "{name}:\n{plan}");
            assert!(reads_halves(&plan), "{name}:\n{plan}");
        }
        if name == "ready" {
            assert!(plan.contains("lane_ring") && plan.contains("lane_fresh"), "{name}:\n{plan}");
            assert!(looks_up_lanes(&plan), "lanes that are not wanted are not gone along:\n{plan}");
            // Nothing is sorted of the lanes and deliveries that are not read. The others are few.
            let sorted = plan.lines().filter(|line| line.contains("Sort Key")).collect::<Vec<_>>();
            assert!(sorted.iter().all(|line| !line.contains("due") && !line.contains("id + 0")), "{plan}");
        }
    }
}

/// Whether all scans of deliveries look single ones up.
fn looks_up_deliveries(plan: &str) -> bool {
    let lines: Vec<&str> = plan.lines().collect();
    let is_scan = |line: &str| ["Index", "Tid", "Seq"].iter().any(|kind| line.contains(kind));
    let mut scans = lines.windows(2).filter(|pair| is_scan(pair[0]) && pair[0].contains(" on delivery"));
    scans.all(|pair| {
        let by_id = pair[0].contains("delivery_pkey") && pair[1].contains("Index Cond: (id = ");
        by_id || pair[1].contains("TID Cond")
    })
}

#[tokio::test]
async fn deliveries_are_looked_up_by_their_ids_before_the_server_knows_of_any() {
    let schema = Schema::migrated().await;
    let client = as_the_store(&schema).await;
    let by_ids = ["take", "expire", "finish", "lanes", "claimed", "settle", "release"];
    let statements = claim_statements().into_iter().chain(settle_statements());
    for (name, sql) in statements.filter(|(name, _)| by_ids.contains(name)) {
        let plan = plan(&client, name, &sql).await;
        assert!(looks_up_deliveries(&plan) && plan.contains("delivery_pkey"), "{name}:\n{plan}");
    }
    // What the server does with ids alone.
    let sql = "UPDATE delivery SET fence = 1 WHERE id = ANY ($1::bigint[]) AND state = 0";
    let plan = plan(&client, "planted", sql).await;
    assert!(!looks_up_deliveries(&plan), "{plan}");
}

/// Whether each row is looked up by its key: no index is gone along, and none is read for one part of a key.
fn looks_up_keys(plan: &str) -> bool {
    let is_passed_over = |line: &str| {
        let filter = line.trim_start().strip_prefix("Filter: ").unwrap_or_default();
        ["message = ", "tenant = ", "hook = ", "name = "].iter().any(|key| filter.contains(key))
    };
    let filters_what_it_found =
        |lines: &[&str]| ["Subquery Scan on event", "CTE Scan"].iter().any(|scan| lines[0].contains(scan));
    let lines: Vec<&str> = plan.lines().collect();
    let passes_over = lines.windows(2).any(|pair| is_passed_over(pair[1]) && !filters_what_it_found(pair));
    let goes_along = |line: &&str| {
        let keys = ["lane.id", "lane.hook", "event.message", "tenant.name"];
        line.contains("Seq Scan") || line.contains("Join Filter") && keys.iter().any(|key| line.contains(key))
    };
    !passes_over && !lines.iter().any(goes_along)
}

/// Tables that had a row when the server last counted them may have a million by now.
#[tokio::test]
async fn events_lanes_and_tenants_are_looked_up_by_their_keys_while_the_server_knows_of_few() {
    let schema = Schema::migrated().await;
    let client = as_the_store(&schema).await;
    let one_of_each = "
        INSERT INTO tenant (name) VALUES ('acme');
        INSERT INTO event (tenant, message, event_id, time, payload, published_at, alive_at, routed_at)
            VALUES ('acme', 'm', 1, 0, '1', 0, 0, 0);
        INSERT INTO lane (tenant, hook, status, class, epoch_at, version, health) VALUES ('acme', 1, 1, 0, 0, 1, '{}');";
    let wanted =
        ["begin", "known", "lanes", "queue", "event", "of_event", "attempts", "take", "refresh", "finish"];
    let all = || {
        let publish_and_route = publish_statements().into_iter().chain(route_statements());
        publish_and_route
            .chain(log_statements())
            .chain(claim_statements())
            .chain(settle_statements().into_iter().take(1))
    };
    for (number, state) in ["", one_of_each].into_iter().enumerate() {
        client.batch_execute(state).await.expect("rows");
        client.batch_execute("ANALYZE tenant; ANALYZE event; ANALYZE lane").await.expect("counted");
        for (name, sql) in all().filter(|(name, _)| wanted.contains(name)) {
            let plan = plan(&client, &format!("{name}_{number}"), &sql).await;
            assert!(looks_up_keys(&plan), "{name}:\n{plan}");
        }
    }
    // What the server does with the keys alone.
    let planted = [
        "SELECT seq FROM event WHERE tenant = $1 AND message = $2",
        "SELECT seq FROM unnest($1::text[], $2::text[]) AS wanted (tenant, message) JOIN event USING (tenant, message)",
        "SELECT lane.id FROM unnest($1::bigint[]) AS wanted (id) JOIN lane ON lane.id = wanted.id",
    ];
    for (number, sql) in planted.into_iter().enumerate() {
        let plan = plan(&client, &format!("planted_{number}"), sql).await;
        assert!(!looks_up_keys(&plan), "{plan}");
    }
}

#[tokio::test]
async fn upkeep_goes_through_no_backlog() {
    let schema = Schema::migrated().await;
    fill_and_analyze(&schema.client().await).await;
    let client = as_the_store(&schema).await;
    for (name, sql) in upkeep_statements() {
        let plan = plan(&client, name, &sql).await;
        assert!(
            !plan.contains("Seq Scan on delivery"),
            "{name}:
{plan}"
        );
        if name == "look" {
            assert!(
                plan.contains("delivery_due"),
                "{name}:
{plan}"
            );
            assert!(
                // Two more for lanes with limits.
                plan.matches("Limit").count() == 5 && reads_halves(&plan),
                "the first delivery of each half of a lane, and the first that nobody holds:
{plan}"
            );
        }
    }
}

/// Whether the table was empty when a statement was planned, or full.
#[tokio::test]
async fn counting_goes_along_no_table() {
    let schema = Schema::migrated().await;
    let client = as_the_store(&schema).await;
    let full = "INSERT INTO statistic (lane, hour, holder, attempts, successes)
        SELECT lane, hour, '1', 1, 1 FROM generate_series(1, 100) AS lane, generate_series(1, 700) AS hour";
    for (number, state) in ["", full].into_iter().enumerate() {
        client.batch_execute(state).await.expect("rows");
        client.batch_execute("ANALYZE lane; ANALYZE statistic").await.expect("counted");
        for (name, sql) in statistics_statements() {
            let plan = plan(&client, &format!("{name}_{number}"), &sql).await;
            assert!(!plan.contains("Seq Scan") && looks_up_keys(&plan), "{name}:\n{plan}");
            if name == "remove_hours" {
                assert!(plan.contains("statistic_hour") && !plan.contains("Sort"), "{plan}");
            }
        }
    }
}

/// How many rows all indexes have given so far, as far as the server knows: connections tell it when they end.
async fn rows_read(client: &Client, schema: &Schema) -> i64 {
    loop {
        let others = "SELECT FROM pg_stat_activity WHERE application_name = $1";
        if client.query(others, &[&schema.0]).await.expect("connections").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let read = "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE schemaname = $1";
    client.query_one(read, &[&schema.0]).await.expect("statistics").get(0)
}

async fn deliver(world: &World, round: &str, count: usize) {
    for n in 0..count {
        let item = publication(world, &format!("{round}-{n}"), &world.hooks);
        world.store.publish(&[item], None).await.expect("published");
        assert_eq!(world.deliver_all().await, 1);
    }
}

#[tokio::test]
async fn statements_are_planned_anew_when_tables_grow() {
    let schema = Schema::migrated().await;
    let client = schema.client().await;
    let as_if_old = "ALTER TABLE delivery SET (autovacuum_enabled = off); ALTER TABLE event SET \
        (autovacuum_enabled = off); VACUUM ANALYZE delivery; VACUUM ANALYZE event";
    for statement in as_if_old.split(';') {
        client.batch_execute(statement).await.expect("an empty table");
    }
    let url = format!("{}?application_name={}", crate::support::url(), schema.0);
    let store = schema.options().connections(1).connect(&url).await.expect("a store");
    let world = World::new(Arc::new(store), "acme", 1).await;
    deliver(&world, "empty", 1).await;
    fill(&client).await;
    client
        .batch_execute("UPDATE lane SET status = 0, ready = false WHERE tenant <> 'acme'")
        .await
        .expect("rest");
    deliver(&world, "full", 200).await;
    drop(world);
    let read = rows_read(&client, &schema).await;
    assert!(read < 3_000_000, "{read} rows for 200 deliveries");
}
