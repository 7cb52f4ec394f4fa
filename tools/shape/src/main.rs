//! Measures the shape of the source tree, and fails when it has outgrown the limits of the house.
//!
//! `shape [root]` reads the repository at `root`, by default the current directory: function bodies and
//! files of `src` and `crates/*/src` without their tests, and the length of every `.rs` file there is.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program: what it prints is what it is for")]

mod limits;
mod measure;
mod report;
mod walk;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    match walk::tree(Path::new(&root)) {
        Ok(tree) => judge(&tree),
        Err(error) => {
            eprintln!("shape: {error}");
            ExitCode::FAILURE
        }
    }
}

fn judge(tree: &measure::Tree) -> ExitCode {
    print!("{}", report::table(tree));
    let faults = limits::faults(tree);
    for fault in &faults {
        eprintln!("shape: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
