//! Planted bugs, each with a seed that finds it: a simulation that never fails proves nothing.

use crate::bug::{Bug, Kind};
use crate::play::play;

/// Asserts that the world of this seed is sound, and reports a violation with these words once the bug is in.
fn catches(kind: Kind, seed: u64, words: &str) {
    assert!(play(seed, None).violations.is_empty(), "the world is sound without the bug");
    let violations = play(seed, Some(Bug::new(kind))).violations;
    assert!(violations.iter().any(|what| what.contains(words)), "{kind:?} went unseen: {violations:?}");
}

#[test]
fn a_claim_over_the_limit_is_caught() {
    catches(Kind::ClaimsOverTheLimit, 1, "over the limit");
}

#[test]
fn a_webhook_that_is_called_after_it_was_disabled_is_caught() {
    catches(Kind::ForgetsToDisable, 0, "after disabling it returned");
}

#[test]
fn an_event_that_is_dropped_on_a_store_error_is_caught() {
    catches(Kind::DropsEvents, 1, "was confirmed and is lost");
}

#[test]
fn a_delivery_that_is_settled_before_the_answer_is_caught() {
    catches(Kind::SettlesBeforeTheAnswer, 0, "no receiver saw what the log tells");
}

#[test]
fn a_fence_that_is_not_checked_is_caught() {
    catches(Kind::SkipsTheFence, 6, "with a stale fence took effect");
}

#[test]
fn a_wake_that_is_forgotten_is_caught() {
    catches(Kind::ForgetsToWake, 0, "dispatchers sleep while work waits");
}
