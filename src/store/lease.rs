//! `HolderId`, `Fence` and `WakeMark`: the ids of dispatchers and of their claims. When leases end is in `leases`.

use crate::model::number;

number! {
    /// The id of a holder: one running dispatcher. No two holders have the same number.
    HolderId(u128)
}

number! {
    /// The proof of holding a claim: a number that a store gives once and never again.
    Fence(u64)
}

number! {
    /// A position in the sequence of a store's hints that work has come.
    #[derive(Default)]
    WakeMark(u64)
}
