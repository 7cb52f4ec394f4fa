//! Pages for those who run a service with hookwire. There is no code here.
//!
//! - [`durability`]: which events survive what, events that commit with the host's data, backups.
//! - [`from_a_table`]: moving here from a table of webhooks and a loop that posts them.
//! - [`from_svix`]: moving here from Svix.
//! - [`operations`]: alarms, metrics, alerts with a runbook, stuck deliveries, log lines, stopping.
//! - [`security`]: networks, keys, and what to show tenants.
//! - [`sizing`]: what one process and one database hold, what it takes on disk, and how to split by tenant.
//! - [`stability`]: what stays the same between versions.
//! - [`testing`]: testing your own service, with a whole test.
//! - [`upgrades`]: how a new version takes over, and how to go back.

pub mod durability;
pub mod from_a_table;
pub mod from_svix;
pub mod operations;
pub mod security;
pub mod sizing;
pub mod stability;
pub mod testing;
pub mod upgrades;
