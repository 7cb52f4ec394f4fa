//! The bodies of the fuzz targets: each makes of arbitrary bytes a case, puts it to the thing under test, and says
//! what it broke. `fuzz/` runs them with libFuzzer, `tests/it/fuzzed.rs` as property tests on stable.
//!
//! The thing under test is an argument, so that the same body is put to faults that were planted: one that no longer
//! finds its own has gone blind.

/// Fails with what is written, unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err(format!($($words)+));
        }
    };
}

mod answer;
mod input;
mod retry_after;
mod signatures;
pub(crate) mod store;
pub(crate) mod url;
mod webhook_json;

/// What a case broke, if anything.
pub(crate) type Verdict = Result<(), String>;

/// Puts the case that these bytes make to the thing under test.
pub(crate) type Body = fn(&[u8]) -> Verdict;

/// One body, with the thing itself and with each planted fault.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) holds: Body,
    pub(crate) planted: &'static [(&'static str, Body)],
}

pub(crate) const TARGETS: [Target; 6] = [
    answer::TARGET,
    retry_after::TARGET,
    signatures::TARGET,
    store::TARGET,
    url::TARGET,
    webhook_json::TARGET,
];
