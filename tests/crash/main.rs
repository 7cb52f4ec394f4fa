//! Programs that are killed with SIGKILL at random moments, and what must have come of them.
//!
//! The programs are this binary, started anew with `HOOKWIRE_PROGRAM` in its environment: hence a `main`
//! of its own instead of the test harness. `harness/` knows no store and no way to share work, so that any
//! store's processes can be put to it.
//!
//! `HOOKWIRE_ROUNDS=1000` kills so many times; `HOOKWIRE_SEED=7` draws the moments of that seed.

#![allow(clippy::print_stdout)]

mod catches;
mod harness;
#[allow(dead_code, reason = "simulated worlds draw more than kills do")]
#[path = "../simulation/prng.rs"]
mod prng;
mod quickstart;
mod rounds;

const CASES: [(&str, fn()); 7] = [
    ("rounds::nothing_confirmed_is_lost_by_kills", rounds::nothing_confirmed_is_lost_by_kills),
    ("catches::a_message_that_is_confirmed_too_early", catches::a_message_that_is_confirmed_too_early),
    ("catches::a_delivery_that_is_made_again", catches::a_delivery_that_is_made_again),
    ("catches::a_delivery_that_comes_twice", catches::a_delivery_that_comes_twice_without_its_kill),
    ("catches::a_settlement_that_is_not_fenced", catches::a_settlement_that_is_not_fenced),
    ("catches::a_delivery_that_is_stuck", catches::a_delivery_that_is_stuck),
    ("quickstart::what_was_pending_is_delivered_at_once", quickstart::what_was_pending_is_delivered_at_once),
];

fn main() {
    let Ok(program) = std::env::var("HOOKWIRE_PROGRAM") else { return harness::run_cases(&CASES) };
    harness::end_with_parent();
    match &*program {
        "host" => harness::host::main(rounds::open),
        "quickstart" => quickstart::example::main().expect("it runs to its end"),
        other => panic!("there is no program {other}"),
    }
}
