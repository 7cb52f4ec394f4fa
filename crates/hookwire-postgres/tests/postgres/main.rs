//! The store on a real server. `scripts/with-postgres` starts one.

mod bounded_reads;
mod clock_steps;
mod conformance;
mod connecting;
mod cut;
mod defaults;
mod fixtures;
mod fleet;
mod function;
mod gathering;
mod health;
mod host;
mod in_transaction;
mod keys;
mod leases;
#[path = "../../../../tests/it/support/log.rs"]
mod log;
mod outage;
mod partly;
mod plans;
mod pooled;
mod rates;
mod recovering;
mod retention;
mod server;
mod stand_still;
mod stress;
mod support;
mod texts;
mod tls;
mod turns;
mod unreadable;
