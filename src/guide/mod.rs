//! Pages for those who run a service with hookwire. There is no code here.
//!
//! - [`durability`]: which events survive what, events that commit with the host's data, backups, sizes.
//! - [`operations`]: stuck deliveries, alarms, log lines, tests, stopping.
//! - [`security`]: networks, keys, and what to show tenants.
//! - [`stability`]: what stays the same between versions.
//! - [`upgrades`]: how a new version takes over, and how to go back.

pub mod durability;
pub mod operations;
pub mod security;
pub mod stability;
pub mod upgrades;
