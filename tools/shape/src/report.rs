//! The table that `shape` prints.

use std::cmp::Reverse;
use std::fmt::Write;

use crate::measure::{Tree, percentile};

const LONGEST: usize = 5;

pub(crate) fn table(tree: &Tree) -> String {
    [totals(tree), longest_bodies(tree), longest_files(tree)].concat()
}

fn totals(tree: &Tree) -> String {
    let lines: usize = tree.library.iter().map(|file| file.lines).sum();
    let lengths = tree.body_lengths();
    let [median, p90, p99, max] = [50, 90, 99, 100].map(|percent| percentile(&lengths, percent));
    let body = format!("{median} / {p90} / {p99} / {max}");
    let rows = [
        ("library files", tree.library.len().to_string()),
        ("library lines", lines.to_string()),
        ("function bodies", lengths.len().to_string()),
        ("median / p90 / p99 / max", body),
        ("names at the root", tree.root_names.len().to_string()),
    ];
    rows.iter().map(|(what, value)| format!("{what:<26}{value:>18}\n")).collect()
}

fn longest_bodies(tree: &Tree) -> String {
    let mut bodies: Vec<_> = tree.bodies().collect();
    bodies.sort_by_key(|(_, body)| Reverse(body.lines));
    let mut text = "\nlongest bodies\n".to_owned();
    for (file, body) in bodies.iter().take(LONGEST) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:>5}  {}:{} {}", body.lines, file.path, body.line, body.name);
    }
    text
}

fn longest_files(tree: &Tree) -> String {
    let mut files: Vec<_> = tree.files().collect();
    files.sort_by_key(|file| Reverse(file.lines));
    let mut text = "\nlongest files\n".to_owned();
    for file in files.iter().take(LONGEST) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:>5}  {}", file.lines, file.path);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::File;

    #[test]
    fn the_table_says_what_is_longest_and_where() {
        let library = vec![File::read("src/a.rs", "fn short() {}\nfn long() {\n    x();\n}\n").unwrap()];
        let others = vec![File::unread("tests/b.rs", &"\n".repeat(7))];
        let table = table(&Tree { library, others, root_names: vec!["Name".to_owned()] });
        assert!(table.contains("    3  src/a.rs:2 long\n    1  src/a.rs:1 short\n"), "{table}");
        assert!(table.contains("    7  tests/b.rs\n    4  src/a.rs\n"), "{table}");
        assert!(table.contains("1 / 3 / 3 / 3\n"), "{table}");
    }
}
