//! Runs the bodies of the fuzz targets (`tests/fuzzed`), or a fault that was planted for one.

use std::sync::LazyLock;

#[expect(dead_code, reason = "some of it is for the stable tests alone")]
#[path = "../../tests/fuzzed/mod.rs"]
mod fuzzed;

use fuzzed::{Body, TARGETS, Target};

/// Names the planted fault that the target is put to instead of hookwire, so that it can be seen to find it.
const PLANTED: &str = "HOOKWIRE_PLANTED";

static FAULT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(PLANTED).ok());

/// Puts one input to a target.
///
/// # Panics
///
/// When the input breaks what the target promises, or there is no such target or fault.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    if let Err(broken) = body(target)(input) {
        panic!("found by {name}: {broken}");
    }
}

fn body(target: &Target) -> Body {
    let Some(fault) = FAULT.as_deref() else { return target.holds };
    let planted = target.planted.iter().find(|(name, _)| *name == fault);
    planted.expect("a planted fault of this name").1
}
