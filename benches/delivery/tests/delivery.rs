//! The program as it is run: every scenario tells its figures, and no process outlives the one that started it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_delivery");

/// The figures of one short round.
fn run(scenario: &str, store: &str) -> Value {
    let mut command = Command::new(PROGRAM);
    command.args(["--scenario", scenario, "--store", store, "--rounds", "1", "--seconds", "0.1"]);
    let output = command.args(["--pending", "300", "--json"]).output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{scenario}, {store}: {told}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!((&document["scenario"], &document["store"]), (&scenario.into(), &store.into()));
    document
}

fn value(document: &Value, name: &str) -> f64 {
    let figures = document["figures"].as_array().expect("a list");
    let figure = figures.iter().find(|it| it["name"] == name);
    let figure = figure.unwrap_or_else(|| panic!("no {name} in {document}"));
    assert_eq!(figure["values"].as_array().map(Vec::len), Some(1), "one round: {figure}");
    figure["values"][0].as_f64().expect("a number")
}

#[test]
fn a_burst_is_told_in_shares_of_the_floor() {
    for (store, database) in [("memory", "none"), ("sqlite", "SQLite"), ("sqlite-process-crash", "SQLite")] {
        let document = run("burst", store);
        assert!(document["database"].as_str().is_some_and(|it| it.starts_with(database)), "{document}");
        for title in ["1 webhook", "10 webhooks"] {
            let [floor, store, share] = ["floor", "store", "share of the floor's rate"]
                .map(|name| value(&document, &format!("{title}: {name}")));
            assert!(floor > 0.0 && store > 0.0 && share > 0.0, "{document}");
            assert!(value(&document, &format!("{title}: CPU against the floor's")) > 0.0);
        }
    }
}

#[test]
fn an_event_of_an_idle_service_is_timed_beside_a_commit() {
    let document = run("idle", "sqlite");
    assert!(value(&document, "publish to receipt, p50") > 0.0);
    assert!(value(&document, "a synced commit, p50") > 0.0);
    assert_eq!(value(&run("idle", "memory"), "a synced commit, p50"), 0.0);
}

#[test]
fn a_receiver_that_hangs_keeps_nothing_from_the_others() {
    let document = run("hanging", "memory");
    assert_eq!(value(&document, "one hangs: the nine others made"), 100.0);
    assert_eq!(value(&document, "none hangs: the nine others made"), 100.0);
    assert!(value(&document, "one hangs: p99") > 0.0);
}

#[test]
fn a_receiver_that_comes_back_gets_everything_once() {
    let document = run("recovery", "memory");
    assert_eq!(value(&document, "pending"), 300.0);
    assert_eq!(value(&document, "sent twice"), 0.0);
}

#[test]
fn the_other_scenarios_run_to_their_end() {
    for (scenario, figure) in [
        ("far", "share of the floor's rate"),
        ("paced", "CPU against the floor's"),
        ("storm", "beside the flood: p99"),
        ("tarpits", "beside the tarpits: made"),
    ] {
        assert!(value(&run(scenario, "memory"), figure) > 0.0, "{scenario}");
    }
}

/// Needs a server: `scripts/with-postgres`.
#[test]
fn on_postgres_a_fleet_sends_nothing_twice_and_the_host_is_measured() {
    let document = run("fleet", "postgres");
    assert_eq!(value(&document, "processes: 4, sent twice"), 0.0);
    assert!(document["database"].as_str().is_some_and(|it| it.starts_with("PostgreSQL")), "{document}");
    assert!(value(&run("host", "postgres"), "with publishing: p99") > 0.0);
}

#[test]
fn what_needs_postgres_says_so() {
    for scenario in ["fleet", "host"] {
        let output = Command::new(PROGRAM).args(["--scenario", scenario]).output().expect("it starts");
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("--store postgres"));
    }
}

#[test]
fn the_receiver_ends_when_nobody_can_give_it_orders() {
    let mut command = Command::new(PROGRAM);
    let mut child =
        command.arg("receiver").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut port = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut port).expect("UTF-8");
    assert!(port.trim().parse::<u16>().is_ok(), "{port}");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}
