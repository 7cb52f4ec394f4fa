//! SECURITY.md names a test for each promise: the tests must exist.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table of promises: promise, mechanism, tests.
fn promises(page: &str) -> Vec<[&str; 3]> {
    let (_, table) = page.split_once("| promise | mechanism | tests |\n").expect("the table is there");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_matches('|').splitn(3, " | ").map(str::trim).collect::<Vec<_>>());
    cells.map(|cells| cells.try_into().expect("three cells")).collect()
}

/// The tests that a cell names, as file and function.
fn named(cell: &str) -> Vec<(&str, &str)> {
    cell.split('`').filter_map(|text| text.split_once("::")).collect()
}

/// Returns the faults of a row: missing tests, or words that say nothing.
fn faults([promise, mechanism, tests]: [&str; 3], has: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let named = named(tests);
    let mut faults = Vec::new();
    if mechanism.is_empty() || named.is_empty() {
        faults.push(format!("\"{promise}\" has no mechanism or no test"));
    }
    let missing = named.into_iter().filter(|(file, test)| !has(file, test));
    faults.extend(missing.map(|(file, test)| format!("{file} has no test {test}")));
    faults
}

fn has_test(file: &str, test: &str) -> bool {
    let source = read(file);
    let Some(at) = source.find(&format!("fn {test}(")) else { return false };
    // The attribute stands right above; `proptest!` and the conformance macros ask for it too.
    let above: Vec<_> = source[..at].lines().rev().take(5).collect();
    above.iter().any(|line| line.contains("test]") || line.contains("test(start_paused"))
}

#[test]
fn every_promise_has_a_test_that_exists() {
    let page = read("SECURITY.md");
    let promises = promises(&page);
    assert!(promises.len() > 10);
    let faults: Vec<_> = promises.into_iter().flat_map(|row| faults(row, has_test)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_promise_without_a_test_is_found() {
    let page = "| promise | mechanism | tests |\n|---|---|---|\n| a | by b |  |\n| c | by d | `e.rs::f`, `e.rs::g` |\n";
    let found = promises(page).into_iter().flat_map(|row| faults(row, |_, test| test == "f"));
    let found: Vec<_> = found.collect();
    assert_eq!(found, ["\"a\" has no mechanism or no test", "e.rs has no test g"]);
}

/// Every manifest of the tree, those outside the workspace too.
fn manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_ours = !name.to_string_lossy().starts_with('.') && name != "target" && name != "node_modules";
        if path.is_dir() && is_ours {
            manifests(&path, found);
        } else if name == "Cargo.toml" {
            found.push(path);
        }
    }
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let mut found = Vec::new();
    manifests(root(), &mut found);
    assert!(found.len() > 1);
    for manifest in found {
        let text = fs::read_to_string(&manifest).expect("a manifest");
        let inherits = text.contains("[lints]\nworkspace = true");
        let forbids = text.contains("[workspace]") && text.contains("unsafe_code = \"forbid\"");
        assert!(inherits || forbids, "{} does not forbid unsafe code", manifest.display());
    }
}
