//! A store of [`hookwire`] in PostgreSQL, for several processes: webhooks, events and deliveries are kept in a schema of
//! your database.
//!
//! Any number of processes publish and dispatch together over one schema. Locks in the database decide which of them gets
//! a delivery. All times are those of the database's clock.
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
//! let builder = Webhooks::builder(assist::catalog()).store(Arc::clone(&store)); // keep `store` to publish with
//! # let _ = builder;
//! # Ok(())
//! # }
//! ```
//!
//! # Publishing within a transaction of your own
//!
//! The schema has a function that writes an event in the transaction that calls it, beside your own data. The event is
//! delivered if you commit, and never happened if you roll back. There are four ways to call it:
//!
//! - **`tokio_postgres`**, and pools of it: [`PostgresStore::publish_in`] is the typed form.
//! - **sqlx**: `publish_in` of the crate `hookwire-sqlx`.
//! - **Any other driver** (diesel, SeaORM): [`PostgresStore::publish_statement`] with the text of
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
//! (milliseconds since 1970), `department`, `source`, `actor` and `trace`. The function returns the message id.
//!
//! - In place of `payload` there may be `payload_text`: a string that has the payload as JSON, as in the text of
//!   [`Tenant::to_sql_document`](hookwire::Tenant::to_sql_document). It may be any JSON. PostgreSQL cannot read the escape
//!   `\u0000` or half a surrogate pair elsewhere in a document; the function refuses the member that has them.
//! - `trace` is the trace context in which the event is published: an object with the headers `traceparent` and perhaps
//!   `tracestate`, of version 00.
//! - A malformed document raises `invalid_parameter_value`. The message has the field and the rule, and the column of the
//!   error is the field. PostgreSQL itself refuses a text that is no JSON. As after any error, the transaction can then
//!   only be rolled back, to its beginning or to a savepoint, and `COMMIT` rolls it back without an error.
//!   [`PostgresStore::publish_in`] has a savepoint of its own. With another driver, call
//!   [`Tenant::check`](hookwire::Tenant::check) before the transaction: what passes it is not refused for its texts.
//! - A payload larger than `settings.payload_bytes` is refused in the same way. The default is 262144 bytes, as in
//!   [`Policy`](hookwire::policy::Policy::with_payload_bytes). Change both together.
//! - The payload is kept byte for byte.
//! - A message id that the tenant has used before is no error; its first event stays. So if the answer to a commit was
//!   lost, run the transaction again with the same id: the event is published once.
//! - An event that the catalog does not have is recorded in the delivery log as unroutable.
//!
//! The function reads and locks nothing that others write. Two transactions wait for each other only if they publish the
//! same message id.
//!
//! ## From the commit to the dispatcher
//!
//! Dispatchers route these events, each once, in the order in which a tenant published them:
//!
//! - A dispatcher in the same process does so at once if you call [`Webhooks::wake`](hookwire::Webhooks::wake) after the
//!   commit.
//! - Dispatchers of other processes that [listen](PostgresOptions::listen) do so at once if you call
//!   [`PostgresStore::wake_all`] after the commit, or run `NOTIFY hookwire_hookwire` (`hookwire_` and the name of the
//!   schema). Do not run it within the transaction: all commits of the database would wait for each other.
//! - Otherwise they find the events when they next [poll](PostgresOptions::poll_every), every half second by default.
//!
//! The user of the transaction needs these privileges: `USAGE` on the schema, `SELECT` on
//! `settings`, `INSERT` and `SELECT` on `event`.
//!
//! # The tables, as an interface
//!
//! [`migration_sql`] prints the schema, with comments on its tables and on most columns. Reading is always safe. Write
//! nothing but `settings.payload_bytes`, and events by the function.
//!
//! | column | values |
//! |---|---|
//! | `delivery.first_attempt`, `attempt.doc` | a request and what came of it, as JSON |
//! | `delivery.retry` | the position in the schedule, as JSON; null while every attempt used a step of it |
//! | `delivery.state` | 0 pending, 1 unreadable, 2 cancelled, 3 delivered, 4 exhausted, 5 expired, 6 erased |
//! | `lane.status` | 0 disabled or paused, or its tenant suspended, 1 enabled, 2 deleted |
//! | `lane.disabled_at` | when the webhook was disabled, in milliseconds since 1970; null while it is enabled |
//! | `lane.disabled` | why hookwire disabled the webhook, as JSON; null if it did not |
//! | `lane.succeeded_at` | when the last attempt that succeeded began, to the minute in which it is written |
//! | `lane.creation_key` | hashes of the key under which the webhook was created and of what was sent, 32 bytes each; null without a key |
//! | `lane.health` | what recent attempts showed of the receiver, as JSON |
//!
//! ```sql
//! -- Waiting deliveries by webhook.
//! SELECT tenant, hook, count(*) AS waiting, to_timestamp(min(due) / 1000.0) AS first
//! FROM hookwire.delivery JOIN hookwire.lane ON lane.id = delivery.lane AND lane.epoch = delivery.epoch
//! WHERE state = 0 GROUP BY tenant, hook;
//! -- The latest answers of receivers.
//! SELECT id, 1 AS number, first_attempt -> 'outcome' AS outcome FROM hookwire.delivery WHERE attempts > 0
//! UNION ALL SELECT delivery, number, doc -> 'outcome' FROM hookwire.attempt ORDER BY id DESC, number LIMIT 20;
//! -- Values of payloads. `webhook`, `options` and `health` are JSON too.
//! SELECT message, payload::json ->> 'deviceName' FROM hookwire.event WHERE tenant = 'acme';
//! ```
//!
//! | table | one row for each |
//! |---|---|
//! | `tenant` | customer of the host, with the revision of its webhooks |
//! | `lane` | webhook, with the state of its queue and the health of its receiver |
//! | `event` | message, with its payload and the decision of routing |
//! | `delivery` | event and webhook |
//! | `attempt` | request of a delivery after its first |
//! | `dropped` | dropped backlog whose deliveries upkeep has yet to end |
//! | `statistic` | webhook, hour (counted since 1970) and process that counted, with the attempts and successes |
//! | `operation` | nothing yet: it is to come |
//! | `settings` | schema (one row), and which code may use it |
//!
//! A transaction that stays open anywhere in the database, even one that only reads, keeps PostgreSQL from removing dead
//! rows of the queue. Claims get slower while it is open.

mod ahead;
mod batch;
mod claim;
mod connection;
mod core;
mod erase;
mod error;
mod insert;
mod log;
mod notifier;
mod publish;
mod publish_in;
mod recover;
mod registry;
mod route;
mod rows;
mod schedule;
mod settle;
mod statistics;
mod store;
mod time;
mod transaction;
mod unreadable;
mod upkeep;

#[doc(hidden)]
pub use claim::claim_statements;
#[doc(hidden)]
pub use connection::begin::session_settings;
pub use connection::error::ConnectError;
pub use connection::options::PostgresOptions;
pub use connection::schema::migration_sql;
#[doc(hidden)]
pub use log::log_statements;
#[doc(hidden)]
pub use publish::publish_statements;
pub use publish_in::{PublishError, ServerError};
#[doc(hidden)]
pub use recover::missed_statement;
#[doc(hidden)]
pub use route::route_statements;
#[doc(hidden)]
pub use settle::settle_statements;
pub use statistics::statistics_statements;
pub use store::PostgresStore;
pub use tokio_postgres;
#[doc(hidden)]
pub use upkeep::upkeep_statements;
