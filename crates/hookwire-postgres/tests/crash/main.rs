//! Processes on one database. One at a time is killed with SIGKILL or stopped for a while; the tests check the result.
//! The harness is that of `hookwire` itself.
//!
//! `HOOKWIRE_ROUNDS=1000` kills so many times; `HOOKWIRE_SEED=7` draws the moments of that seed.

#![allow(clippy::print_stdout)]

#[allow(dead_code, unused_imports, reason = "files are what the embedded store is killed on")]
#[path = "../../../../tests/crash/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "simulated worlds draw more than kills do")]
#[path = "../../../../tests/simulation/prng.rs"]
mod prng;
mod standstill;
#[allow(dead_code, reason = "the clock here is that of the server")]
#[path = "../postgres/support.rs"]
mod support;

use hookwire_postgres::PostgresStore;
use tokio::runtime::Runtime;

use harness::Rounds;
use harness::host::Bug;
use support::Schema;

/// How many processes there are at a time.
const FLEET: usize = 3;

const CASES: [(&str, fn()); 4] = [
    ("nothing_confirmed_is_lost_by_kills", nothing_confirmed_is_lost_by_kills),
    ("catches_a_message_that_is_confirmed_too_early", catches_a_message_that_is_confirmed_too_early),
    ("what_a_process_held_that_stood_still_is_sent_by_another_alone", standstill::holds),
    ("catches_a_process_that_trusts_its_leases", standstill::catches_a_process_that_trusts_its_leases),
];

fn main() {
    if std::env::var_os("HOOKWIRE_PROGRAM").is_none() {
        return harness::run_cases(&CASES);
    }
    harness::end_with_parent();
    harness::host::main(open);
}

async fn open(schema: String) -> PostgresStore {
    PostgresStore::options().schema(schema).connect(&support::url()).await.expect("a store")
}

fn schema() -> Schema {
    Runtime::new().expect("a runtime").block_on(Schema::migrated())
}

fn nothing_confirmed_is_lost_by_kills() {
    let schema = schema();
    Rounds::wanted(FLEET).must_hold(&schema.0);
}

fn catches_a_message_that_is_confirmed_too_early() {
    let schema = schema();
    let rounds = Rounds::planted(Bug::ConfirmsEarly, FLEET);
    rounds.must_complain(&schema.0, "was confirmed, and never arrived");
}
