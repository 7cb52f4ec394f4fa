//! The order in which lanes are served. `lanes` decides whether a lane is ready, `ready` reads the ready ones with their
//! due deliveries, `cursor` which of many it reads, `places` whose turn it is, `select` which deliveries a claim takes,
//! `holder` counts what a dispatcher has, and `holders` has all of them.

pub(crate) mod cursor;
pub(crate) mod holder;
pub(crate) mod holders;
pub(crate) mod lanes;
pub(crate) mod places;
pub(crate) mod ready;
pub(crate) mod select;
pub(crate) mod use_clock;

#[cfg(test)]
mod scan_tests;
