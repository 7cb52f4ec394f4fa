//! The store of [`hookwire`] for a fleet: webhooks, events and deliveries in a PostgreSQL database.
//!
//! Any number of processes publish and dispatch together over one schema; which of them holds a delivery
//! is decided by locks in the database, and what time it is by its clock.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use hookwire::{Webhooks, assist};
//! use hookwire_postgres::PostgresStore;
//!
//! # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "postgres://hooks:password@db.internal/app?sslmode=require";
//! PostgresStore::migrate(url).await?; // when deployed, by a user who may create a schema
//! let store = Arc::new(PostgresStore::connect(url).await?); // in each process
//! let builder = Webhooks::builder(assist::catalog()).store(Arc::clone(&store)); // `store` remains, to publish with
//! # let _ = builder;
//! # Ok(())
//! # }
//! ```
//!
//! # Publishing within a transaction of your own
//!
//! The schema has a function that writes an event where your own data is written. Roll back, and it never
//! happened; commit, and it is delivered. Whatever can run one statement can call it:
//!
//! - **`tokio_postgres`**, and pools of it: [`PostgresStore::publish_in`] is the typed form.
//! - **Any other driver** (sqlx, diesel, SeaORM): [`PostgresStore::publish_statement`] with the text of
//!   [`Tenant::to_sql_document`](hookwire::Tenant::to_sql_document) as its parameter.
//! - **A trigger, `psql`, another language**: the function itself.
//!
//! ```sql
//! BEGIN;
//! UPDATE device SET online = true WHERE id = 4;
//! SELECT hookwire.publish('{"tenant": "acme", "event_id": 13, "payload": {"deviceName": "LAB-4"}}');
//! COMMIT;
//! ```
//!
//! `examples/transactions` in the repository has a program for each.
//!
//! ## The document
//!
//! The parameter is a JSON object with `tenant`, `event_id` and `payload`, and perhaps `message_id`, `time`
//! (milliseconds since 1970), `department`, `source` and `actor`. The function gives the message id.
//!
//! - What is malformed raises `invalid_parameter_value`, with field and rule in the message and the field as
//!   the error's column. A text that is no JSON, or that holds the escape `\u0000`, is refused by PostgreSQL
//!   itself. As after any error, the transaction can then only be rolled back, to a savepoint at least.
//! - A payload larger than `settings.payload_bytes` is refused in the same way. That is 262144 unless you
//!   change it, as in [`Policy`](hookwire::policy::Policy::with_payload_bytes): change both.
//! - The payload is kept byte for byte.
//! - A message id that the tenant has already is no error, and keeps what it was first used for. So run a
//!   transaction whose commit had no answer again with the same id: it is published once.
//! - A kind of event that the catalog does not have ends in the log with that reason.
//!
//! The function reads and locks nothing that others write. Transactions wait for each other only where
//! they publish the same message id: the second until the first has ended.
//!
//! ## From the commit to the dispatcher
//!
//! Dispatchers route such events, each once, in the order of their publishing within each tenant. How soon:
//!
//! - A dispatcher in the same process at once, if [`Webhooks::wake`](hookwire::Webhooks::wake) is called
//!   after the commit; before it, there is nothing to be found.
//! - Dispatchers of other processes that [listen](PostgresOptions::listen) at once, if somebody runs
//!   `NOTIFY hookwire_hookwire` (`hookwire_` and the name of the schema) after the commit. Within the
//!   transaction it would have all commits of the database wait for each other.
//! - Otherwise when they next [look](PostgresOptions::poll_every), within half a second.
//!
//! The user of the transaction needs the rights that go with it: `USAGE` on the schema, `SELECT` on
//! `settings`, `INSERT` and `SELECT` on `event`.
//!
//! # The tables, as an interface
//!
//! [`migration_sql`] prints the schema; its comments say what each column means. Reading is always safe.
//! What may be written by others than this crate is `settings.payload_bytes`, and events by the function.
//!
//! ```sql
//! -- What waits, by webhook.
//! SELECT tenant, hook, count(*) AS waiting, to_timestamp(min(due) / 1000.0) AS first
//! FROM hookwire.delivery JOIN hookwire.lane ON lane.id = delivery.lane AND lane.epoch = delivery.epoch
//! WHERE state = 0 GROUP BY tenant, hook;
//! -- The last answers of receivers.
//! SELECT delivery, number, doc -> 'outcome' FROM hookwire.attempt ORDER BY delivery DESC, number LIMIT 20;
//! -- The payloads' own values; `webhook`, `options`, `health` are JSON too.
//! SELECT message, payload::json ->> 'deviceName' FROM hookwire.event WHERE tenant = 'acme';
//! ```
//!
//! | table | one row for each |
//! |---|---|
//! | `tenant` | customer of the host, with the revision of its webhooks |
//! | `lane` | webhook, with its queue's state and what is known of its receiver |
//! | `event` | message, with its payload and what routing decided |
//! | `delivery` | event and webhook |
//! | `attempt` | request of a delivery |
//! | `dropped` | backlog that upkeep still has to end |
//! | `settings` | schema: one row |
//!
//! A transaction that stays open anywhere in the database, even one that only reads, keeps PostgreSQL from
//! cleaning up behind the queue: claims slow down while it lasts.

mod choose;
mod claim;
mod connect;
mod deliver;
mod fault;
mod gather;
mod hands;
mod host;
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
mod turns;
mod upkeep;
mod walk;

#[doc(hidden)]
pub use claim::claim_statements;
pub use connect::ConnectError;
pub use host::PublishError;
pub use options::PostgresOptions;
pub use schema::migration_sql;
pub use store::PostgresStore;
pub use tokio_postgres;
#[doc(hidden)]
pub use upkeep::upkeep_statements;
