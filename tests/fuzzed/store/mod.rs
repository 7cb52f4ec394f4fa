//! Sequences of publish, claim, settle and the rest leave a store where a simple model of its contract says.

mod acts;
mod claims;
mod looks;
mod model;
mod subject;

use std::sync::Arc;

use hookwire::clock::ManualClock;
use hookwire::store::{MemoryStore, Store};
use tokio::runtime::Runtime;

use self::acts::Play;
use self::subject::{Fault, Subject};
use super::input::Input;
use super::{Target, Verdict};

pub(crate) const TARGET: Target = Target {
    name: "store",
    holds: |input| on_memory(Fault::None, input),
    planted: &[
        ("one_too_many", |input| on_memory(Fault::OneTooMany, input)),
        ("stale_fence", |input| on_memory(Fault::StaleFence, input)),
        ("forgets_backoffs", |input| on_memory(Fault::ForgetsBackoffs, input)),
    ],
};

thread_local! {
    static RUNTIME: Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
}

fn on_memory(fault: Fault, input: &[u8]) -> Verdict {
    let clock = ManualClock::default();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    played(Subject { store, clock, fault }, input)
}

/// Plays what the input says on a fresh store that goes by this clock.
pub(crate) fn on(store: Arc<dyn Store>, clock: ManualClock, input: &[u8]) -> Verdict {
    played(Subject { store, clock, fault: Fault::None }, input)
}

fn played(subject: Subject, input: &[u8]) -> Verdict {
    RUNTIME.with(|runtime| runtime.block_on(play(subject, input)))
}

async fn play(subject: Subject, input: &[u8]) -> Verdict {
    let mut play = Play::new(subject);
    let mut input = Input::new(input);
    // Enough to meet every rule, and not so many that a case takes long.
    for _ in 0..64 {
        if input.is_over() {
            break;
        }
        play.act(&mut input).await?;
    }
    play.look().await
}
