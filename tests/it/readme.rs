//! README.md shows Rust that is compiled and run: each of its blocks is made of lines of one example, in their order.

use std::fs;
use std::path::Path;

/// The sources that are compiled elsewhere: the examples, and the documentation of the front page.
const SOURCES: [&str; 4] = [
    "examples/outbox_sqlite.rs",
    "examples/transactions/src/bin/sqlx.rs",
    "examples/transactions/src/lib.rs",
    "src/lib.rs",
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of Rust of a page.
fn blocks(page: &str) -> Vec<&str> {
    let ends = page.split("```rust\n").skip(1);
    ends.map(|rest| rest.split_once("\n```").expect("a block has an end").0).collect()
}

/// Whether the lines of a block are lines of the source, in the same order, some perhaps left out.
fn is_taken_from(block: &str, source: &str) -> bool {
    let mut lines = source.lines().map(|line| line.trim_start_matches("//! ").trim());
    block
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .all(|wanted| lines.any(|line| line == wanted))
}

#[test]
fn every_block_is_taken_from_code_that_is_compiled() {
    let page = read("README.md");
    let blocks = blocks(&page);
    assert!(blocks.len() > 5);
    let sources = SOURCES.map(read);
    for block in blocks {
        assert!(sources.iter().any(|source| is_taken_from(block, source)), "in no example:\n{block}");
    }
}

#[test]
fn a_block_that_differs_from_its_example_is_found() {
    let source = "fn main() {\n    one();\n    two();\n    three();\n}";
    assert!(is_taken_from("one();\n\nthree();", source));
    assert!(!is_taken_from("three();\none();", source));
    assert!(!is_taken_from("one();\nfour();", source));
}
