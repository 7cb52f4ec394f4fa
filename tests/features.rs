//! Says which tests are left out for want of features, as cargo itself passes over them in silence.
//!
//! It fails nothing: the tests of the bare core are run without features on purpose.
#![expect(clippy::print_stderr, reason = "a program: what it prints is what it is for")]

fn main() {
    let has_defaults = cfg!(all(feature = "dispatcher", feature = "http-transport", feature = "sqlite"));
    let has_testing = cfg!(feature = "testing");
    let runs = [
        ("crash", has_defaults),
        ("it", has_defaults && has_testing && cfg!(feature = "seal")),
        ("simulation", has_testing),
    ];
    for (test, _) in runs.into_iter().filter(|(_, runs)| !runs) {
        eprintln!(
            "the test `{test}` is left out, as features that it needs are off: use `cargo test --all-features`"
        );
    }
}
