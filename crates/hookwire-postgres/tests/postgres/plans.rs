//! How PostgreSQL goes about a claim when there is much to go through.

use hookwire_postgres::{claim_statements, upkeep_statements};
use tokio_postgres::Client;

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
            FROM generate_series(1, 100000) AS n;
        ANALYZE event; ANALYZE lane; ANALYZE delivery; ANALYZE tenant;";
    client.batch_execute(fill).await.expect("rows");
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
    let client = schema.client().await;
    fill(&client).await;
    client.batch_execute("SET plan_cache_mode TO force_generic_plan").await.expect("as the store does");
    for (name, sql) in claim_statements() {
        let plan = plan(&client, name, &sql).await;
        for table in ["delivery", "event", "lane"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name}:\n{plan}");
        }
        if name == "heads" {
            assert!(plan.contains("delivery_due"), "{name}:\n{plan}");
            assert!(!plan.contains("Sort"), "{name}:\n{plan}");
        }
        if name == "pick" {
            assert!(plan.contains("lane_ring"), "{name}:\n{plan}");
        }
    }
}

#[tokio::test]
async fn upkeep_goes_through_no_backlog() {
    let schema = Schema::migrated().await;
    let client = schema.client().await;
    fill(&client).await;
    let as_the_store = "SET plan_cache_mode TO force_generic_plan; SET enable_seqscan TO off";
    client.batch_execute(as_the_store).await.expect("settings");
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
                plan.matches("Limit").count() == 2,
                "one delivery of each lane:
{plan}"
            );
        }
    }
}
