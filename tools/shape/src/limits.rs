//! The limits of the house. Whoever has to move one writes down why, here.

use crate::measure::{File, Tree, percentile};

/// Half of the bodies are no longer than this. It was 8, and bindings that have nothing to do with each other were
/// joined into one line (`let (a, b) = (x, y)`) to stay below it: a line more that reads well is better.
const MEDIAN_BODY: usize = 9;
/// It was 25, for which one `match` with an arm for each case, and a few lines before it, was too long.
const P90_BODY: usize = 30;
/// Longer than this, a file has more than one subject.
const FILE_LINES: usize = 500;
const ROOT_NAMES: usize = 16;

/// Every limit that the tree is beyond, in words.
pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let lengths = tree.body_lengths();
    let mut faults = Vec::new();
    faults.extend(beyond("median body", percentile(&lengths, 50), MEDIAN_BODY));
    faults.extend(beyond("p90 body", percentile(&lengths, 90), P90_BODY));
    faults.extend(tree.files().filter_map(|file| beyond(&file.path, file.lines, FILE_LINES)));
    faults.extend(beyond("names at the root of src/lib.rs", tree.root_names.len(), ROOT_NAMES));
    faults.extend(globs(tree));
    faults.extend(tree.files().filter_map(unsigned));
    faults
}

fn beyond(what: &str, measured: usize, limit: usize) -> Option<String> {
    (measured > limit).then(|| format!("{what}: {measured}, the limit is {limit}"))
}

/// Every file says what it is for. None is left out: nothing is brought in by `include!`, where `//!` may not stand.
fn unsigned(file: &File) -> Option<String> {
    (!file.has_sign).then(|| format!("{}: says in no `//!` line at its top what it is for", file.path))
}

/// A glob would hide any number of names from the count.
fn globs(tree: &Tree) -> Option<String> {
    let glob = tree.root_names.iter().any(|name| name == "*");
    glob.then(|| "src/lib.rs re-exports a glob: name what it brings".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(source: &str) -> Tree {
        Tree { library: vec![File::read("src/lib.rs", &signed(source)).unwrap()], ..Tree::default() }
    }

    fn signed(source: &str) -> String {
        format!("//! A file.\n{source}")
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
    }

    #[test]
    fn a_tree_at_its_limits_has_no_fault() {
        let mut tree = tree(&(function(9).repeat(8) + &function(30) + &function(99)));
        tree.others.push(File::unread("tests/it/main.rs", &signed(&"\n".repeat(499))));
        tree.root_names = (0..16).map(|name| name.to_string()).collect();
        assert_eq!(faults(&tree), Vec::<String>::new());
    }

    #[test]
    fn long_bodies_are_faults() {
        assert_eq!(faults(&tree(&function(10))), ["median body: 10, the limit is 9"]);
        let source = function(3).repeat(8) + &function(31).repeat(2);
        assert_eq!(faults(&tree(&source)), ["p90 body: 31, the limit is 30"]);
    }

    #[test]
    fn a_planted_file_of_501_lines_is_a_fault_wherever_it_is() {
        let long = "\n".repeat(500);
        let mut tree = tree(&long);
        tree.others.push(File::unread("tests/it/long.rs", &signed(&long)));
        let expected =
            ["src/lib.rs", "tests/it/long.rs"].map(|path| format!("{path}: 501, the limit is 500"));
        assert_eq!(faults(&tree), expected);
    }

    #[test]
    fn too_many_names_at_the_root_are_a_fault_and_so_is_a_glob() {
        let named = Tree { root_names: vec!["Name".to_owned(); 17], ..Tree::default() };
        assert_eq!(faults(&named), ["names at the root of src/lib.rs: 17, the limit is 16"]);
        let glob = Tree { root_names: vec!["*".to_owned()], ..Tree::default() };
        assert_eq!(faults(&glob), ["src/lib.rs re-exports a glob: name what it brings"]);
    }

    #[test]
    fn a_planted_file_without_a_sign_is_a_fault_wherever_it_is() {
        let mut tree = tree("fn f() {}\n");
        tree.others.push(File::unread("benches/b.rs", "fn main() {}\n"));
        assert_eq!(faults(&tree), ["benches/b.rs: says in no `//!` line at its top what it is for"]);
    }
}
