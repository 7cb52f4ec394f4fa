//! Rounds of kills on the embedded store: one process at a time, on one file.

use hookwire::store::SqliteStore;

use crate::harness::{Rounds, Scratch};

pub(crate) fn nothing_confirmed_is_lost_by_kills() {
    let scratch = Scratch::new("rounds");
    Rounds::wanted(1).must_hold(&scratch.place());
}

/// The store of the one that was killed.
pub(crate) async fn open(file: String) -> SqliteStore {
    SqliteStore::open(file).await.expect("it is nobody's now")
}
