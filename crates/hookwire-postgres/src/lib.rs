//! The store of [`hookwire`] for a fleet: webhooks, events and deliveries in a PostgreSQL database.

mod choose;
mod claim;
mod connect;
mod deliver;
mod fault;
mod hands;
mod lanes;
mod log;
mod news;
mod options;
mod publish;
mod registry;
mod route;
mod rows;
mod schema;
mod session;
mod settle;
mod store;
mod tls;
mod upkeep;

#[doc(hidden)]
pub use claim::claim_statements;
pub use connect::ConnectError;
pub use options::PostgresOptions;
pub use schema::migration_sql;
pub use store::PostgresStore;
