//! The guide, its alerts and the dashboard name exactly the metrics that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hookwire::dispatcher::DispatcherHealth;
use hookwire::store::Stats;
use serde_json::Value;

use super::recorder::Recorded;

const GUIDE: &str = include_str!("../../../src/guide/operations.rs");
const RULES: &str = include_str!("../../../docs/alerts.yml");
const DASHBOARD: &str = include_str!("../../../docs/grafana.json");

/// What one process records.
fn recorded() -> Recorded {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        drop(hookwire::metrics::observer());
        let oldest_due = Some(Duration::from_secs(1));
        hookwire::metrics::record_stats(&Stats { oldest_due, ..Stats::default() });
        hookwire::metrics::record_health(&DispatcherHealth::default());
    });
    recorded
}

/// The labels of each metric, with their values.
fn labels(recorded: &Recorded) -> BTreeMap<String, BTreeSet<String>> {
    let mut labels: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for series in recorded.series() {
        let (name, rest) = series.split_once('{').unwrap_or((&series, ""));
        let own = labels.entry(name.to_owned()).or_default();
        own.extend(rest.strip_suffix('}').map(str::to_owned));
    }
    labels
}

/// The rows of the guide's table of metrics: name, kind, labels.
fn table() -> Vec<[&'static str; 3]> {
    let rows = GUIDE.lines().filter(|line| line.starts_with("//! | `hookwire_"));
    let cell = |cell: &'static str| cell.trim().trim_matches('`');
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        [cell(cells[1]), cell(cells[2]), cell(cells[3])]
    })
    .collect()
}

/// The names of metrics in an expression, without what an exporter adds to that of a histogram.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let own = words.filter(|word| word.starts_with("hookwire_"));
    own.map(|name| name.strip_suffix("_bucket").unwrap_or(name)).collect()
}

/// The alerts of the guide: name, expression, and how long it has to hold, as Prometheus writes it.
fn alerts() -> Vec<[String; 3]> {
    let chapters = GUIDE.split("//! ## ").skip(1).filter(|chapter| chapter.contains("```promql\n"));
    chapters.map(alert).collect()
}

fn alert(chapter: &str) -> [String; 3] {
    let between = |from: &str, to: &str| Some(chapter.split_once(from)?.1.split_once(to)?.0);
    let name = chapter.lines().next().expect("a title");
    let expression = between("```promql\n//! ", "\n//! ```").expect("an expression on a line");
    let (number, unit) = between("//! For ", ". ").and_then(|time| time.split_once(' ')).expect("a time");
    [format!("Hookwire{name}"), expression.to_owned(), format!("{number}{}", &unit[..1])]
}

/// The same of the rules for Prometheus.
fn rules() -> Vec<[String; 3]> {
    let value = |rule: &str, key| {
        let line = rule.lines().find_map(|line| line.trim().strip_prefix(key)).expect("a key of a rule");
        line.trim_matches([' ', '\'']).to_owned()
    };
    RULES
        .split("\n      - ")
        .skip(1)
        .map(|rule| ["alert:", "expr:", "for:"].map(|key| value(rule, key)))
        .collect()
}

/// The expressions of the dashboard's panels.
fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect()
}

#[test]
fn the_guide_has_exactly_the_metrics_that_are_recorded() {
    let recorded = recorded();
    let described = recorded.described();
    let of_table: BTreeMap<_, _> =
        table().into_iter().map(|[name, kind, _]| (name.to_owned(), kind)).collect();
    let kinds: BTreeMap<_, _> = described.iter().map(|(name, (kind, _))| (name.clone(), *kind)).collect();
    assert_eq!(of_table, kinds);
    assert_eq!(table().len(), kinds.len(), "a metric stands twice");
    let registered: Vec<_> = labels(&recorded).into_keys().collect();
    assert_eq!(registered, kinds.into_keys().collect::<Vec<_>>());
}

#[test]
fn the_guide_has_the_labels_and_their_values() {
    let labels = labels(&recorded());
    for [name, _, told] in table() {
        let values = &labels[name];
        let keys: BTreeSet<_> = values.iter().filter_map(|label| label.split('=').next()).collect();
        assert_eq!(told, keys.into_iter().collect::<Vec<_>>().join(", "), "{name}");
        for value in values.iter().filter_map(|label| label.split('=').nth(1)) {
            assert!(GUIDE.contains(&format!("`{value}`")), "the guide lacks `{value}` of {name}");
        }
    }
}

#[test]
fn names_and_units_are_those_of_prometheus() {
    for (name, (kind, unit)) in recorded().described() {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert_eq!(name.ends_with("_seconds"), unit == Some(metrics::Unit::Seconds), "{name}");
    }
}

#[test]
fn the_rules_for_prometheus_are_the_alerts_of_the_guide() {
    assert_eq!(rules(), alerts());
}

#[test]
fn alerts_and_dashboard_name_metrics_that_there_are() {
    let recorded = recorded();
    let described = recorded.described();
    let labels = labels(&recorded);
    assert!(alerts().len() > 10 && panels().len() > 10);
    for expression in alerts().into_iter().map(|[_, expression, _]| expression).chain(panels()) {
        assert!(!names(&expression).is_empty(), "{expression}");
        for name in names(&expression) {
            assert!(described.contains_key(name), "{name} in {expression}");
        }
        for label in matched(&expression) {
            assert!(labels.values().any(|known| known.contains(&label)), "{label} in {expression}");
        }
    }
}

/// The labels that an expression asks for, as `label=value`.
fn matched(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    for selector in expression.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
        let parts: Vec<_> = selector.split('"').collect();
        for pair in parts.chunks_exact(2) {
            let label = pair[0].trim_matches(|c: char| !c.is_ascii_lowercase());
            found.extend(pair[1].split('|').map(|value| format!("{label}={value}")));
        }
    }
    found
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let panels = panels().join("\n");
    let shown = names(&panels);
    let missing: Vec<_> = table().into_iter().filter(|[name, ..]| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_an_expression_names_is_found() {
    let text = r#"rate(hookwire_a_total{end=~"x|y", to!="z"}[5m]) / hookwire_b_seconds_bucket"#;
    assert_eq!(names(text).into_iter().collect::<Vec<_>>(), ["hookwire_a_total", "hookwire_b_seconds"]);
    assert_eq!(matched(text), ["end=x", "end=y", "to=z"]);
}
