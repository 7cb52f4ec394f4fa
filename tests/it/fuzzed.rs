//! The bodies of the fuzz targets as property tests, on what the corpus has and on arbitrary bytes; and each of
//! their planted faults, which they must find.

#[path = "../fuzzed/mod.rs"]
pub(crate) mod bodies;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hookwire::clock::ManualClock;
use hookwire::store::{Durability, SqliteStore};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use self::bodies::store;
use self::bodies::url::dial::ProxiedTransport;
use self::bodies::{TARGETS, Target, Verdict};
use crate::sqlite::Directory;

/// The longest input: enough for a long play of the store.
const MAX_BYTES: usize = 600;

/// The most steps in which a failing input is made smaller.
const SHRINKS: u32 = 4096;

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of this name")
}

/// The inputs that are kept for a target, by their paths.
fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let files = fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an entry").path());
    files.map(|path| (path.clone(), fs::read(&path).expect("a file"))).collect()
}

fn search(body: impl Fn(&[u8]) -> Verdict, cases: u32, shrinks: u32) -> Result<(), TestError<Vec<u8>>> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: shrinks, ..Config::default() };
    TestRunner::new(config)
        .run(&vec(any::<u8>(), 0..MAX_BYTES), |input| body(&input).map_err(TestCaseError::fail))
}

/// No kept input and none of so many arbitrary ones breaks anything.
fn holds(name: &str, cases: u32) {
    let target = target(name);
    for (path, input) in corpus(target) {
        let verdict = (target.holds)(&input);
        assert_eq!(verdict, Ok(()), "{}", path.display());
    }
    search(target.holds, cases, SHRINKS).unwrap_or_else(|failure| panic!("{failure}"));
}

/// Each planted fault is found in the input that is kept for it, and again among so many arbitrary ones.
fn finds(name: &str, cases: u32) {
    let target = target(name);
    for (fault, body) in target.planted {
        let kept = corpus(target).into_iter().find(|(path, _)| path.ends_with(format!("planted-{fault}")));
        let (_, input) = kept.unwrap_or_else(|| panic!("no input is kept for {fault}"));
        assert!(body(&input).is_err(), "{name} no longer finds {fault} in {input:?}");
        assert!(search(*body, cases, 0).is_err(), "{name} does not find {fault}");
    }
}

#[test]
fn no_answer_outlasts_its_deadline_or_outgrows_its_caps() {
    holds("answer", 256);
}

#[test]
fn an_answer_without_cap_or_deadline_is_found() {
    finds("answer", 1024);
}

#[test]
fn no_retry_after_is_misread_or_delays_beyond_the_cap() {
    holds("retry_after", 1024);
}

#[test]
fn a_retry_after_without_cap_or_in_32_bits_is_found() {
    finds("retry_after", 1024);
}

#[test]
fn what_was_signed_is_accepted_and_nothing_else() {
    holds("signatures", 512);
}

#[test]
fn a_verifier_that_takes_any_second_entry_or_any_time_is_found() {
    finds("signatures", 2048);
}

#[test]
fn the_memory_store_does_as_its_model() {
    holds("store", 512);
}

/// The same body on a file of the embedded store, which goes with the case.
fn on_fresh_file(input: &[u8]) -> Verdict {
    let (directory, clock) = (Directory::new(), ManualClock::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let opened = runtime.block_on(
        SqliteStore::options()
            .durability(Durability::ProcessCrash)
            .clock(clock.clone())
            .open(directory.file()),
    );
    store::on(Arc::new(opened.expect("a fresh file")), clock, input)
}

#[test]
fn the_embedded_store_does_as_its_model() {
    for (path, input) in corpus(target("store")) {
        assert_eq!(on_fresh_file(&input), Ok(()), "{}", path.display());
    }
    search(on_fresh_file, 48, SHRINKS).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_store_that_claims_too_much_or_takes_stale_fences_or_forgets_backoffs_is_found() {
    finds("store", 4096);
}

#[test]
fn no_accepted_url_reaches_a_forbidden_address() {
    holds("url", 512);
}

#[test]
fn a_guard_that_forgets_mapped_addresses_or_looks_twice_is_found() {
    finds("url", 2048);
}

#[test]
fn what_the_url_target_sees_is_what_is_dialled() {
    let answers = [[8, 8, 8, 8], [1, 1, 1, 1], [10, 0, 0, 1]].map(|it| vec![it.into()]).to_vec();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let transport = runtime.block_on(ProxiedTransport::start());
    let dialled = runtime.block_on(transport.dialled("https://hooks.example.com:444/", answers));
    assert_eq!(dialled, [SocketAddr::from(([1, 1, 1, 1], 444))], "one is for the check, one is forbidden");
}

#[test]
fn webhook_json_keeps_every_attribute_or_is_refused() {
    holds("webhook_json", 1024);
}

#[test]
fn webhook_json_that_loses_a_source_or_takes_no_department_for_all_is_found() {
    finds("webhook_json", 2048);
}
