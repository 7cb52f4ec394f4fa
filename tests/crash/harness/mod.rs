//! What a parent needs to kill processes and to judge what came of it, whatever store they share.
//!
//! A [`Fleet`] of processes, each a [`host`] on the store that it opened, tells what it knows by lines on
//! standard output ([`Word`]); requests carry their process's number. All of it goes into the [`Ledger`],
//! which [`judge`] reads at the end.

mod fleet;
pub(crate) mod host;
mod ledger;
mod process;
mod receiver;
mod verdict;

pub(crate) use fleet::Fleet;
pub(crate) use ledger::{Delivery, Ledger};
pub(crate) use process::{Process, Scratch, end_with_parent};
pub(crate) use receiver::Receiver;
pub(crate) use verdict::judge;
