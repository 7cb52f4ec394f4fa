//! The HTTP API of [hookwire]: a host's users manage their webhooks and read what was sent to them, by one axum
//! router that the host nests.
//!
//! Choose the names in which the API speaks: those of Zoho Assist, [`assist::router`], or plain ones, [`plain::router`]. The
//! host says who calls: [`Access`] is its own sign-in, and decides the tenant and the scopes of each request; its page has a
//! whole one. With the feature `page` there is a page for users too, in the module `page`.
//!
//! ```
//! use axum::http::request::Parts;
//! use axum::response::Response;
//! use axum::Router;
//! use hookwire::Webhooks;
//! use hookwire_axum::Caller;
//!
//! fn host(hooks: Webhooks) -> Router {
//!     Router::new().nest("/api/webhooks", hookwire_axum::plain::router(hooks, access))
//! }
//!
//! async fn access(parts: Parts) -> Result<Caller, Response> {
//! #   use axum::response::IntoResponse;
//! #   let _ = parts;
//!     // Look up who sends this session or this token.
//! #   Err(axum::http::StatusCode::UNAUTHORIZED.into_response())
//! }
//! # let _ = host;
//! ```
//!
//! # What it has
//!
//! | method and path, behind the prefix | scope | |
//! |---|---|---|
//! | `GET /v1/event-types` | `READ` | the events, `?module=` |
//! | `GET /v1/departments` | `READ` | those that the host [names](Access::departments) |
//! | `GET`, `POST /v1/webhooks` | `READ`, `CREATE` | list; create, which shows the secret this once, with an `Idempotency-Key` if you like |
//! | `GET`, `PUT`, `PATCH`, `DELETE /v1/webhooks/{id}` | `READ`, `UPDATE`, `UPDATE`, `DELETE` | one webhook with its state; a patch is RFC 7396 |
//! | `POST /v1/webhooks/{id}/enable`, `/disable`, `/pause`, `/resume` | `UPDATE` | |
//! | `PUT /v1/webhooks/{id}/options` | `UPDATE` | envelope, signature, headers, rate, cap |
//! | `POST /v1/webhooks/{id}/rotate-secret`, `/reveal-secret` | `UPDATE` | |
//! | `POST /v1/ping` | `CREATE` or `UPDATE` | a URL on trial, bare or with the sample of an event |
//! | `POST /v1/webhooks/{id}/ping`, `/check-receiver` | `CREATE` or `UPDATE` | signed tests |
//! | `GET /v1/webhooks/{id}/statistics`, `/v1/statistics` | `READ` | |
//! | `POST /v1/webhooks/{id}/recover`, `/recover-skipped` | `UPDATE`, `RECOVER` | sends again what was missed `since`: 202 and an operation |
//! | `GET`, `DELETE /v1/operations/{id}` | `READ`, `UPDATE` | how far it is; cancel it |
//! | `GET /v1/messages`, `/v1/messages/{id}` | `READ` | published events; what became of one, and why |
//! | `POST /v1/messages/{id}/redeliver` | `UPDATE` | again, under a new id |
//! | `DELETE /v1/messages/{id}/payload` | `DELETE` | |
//! | `GET /v1/deliveries` | `READ` | with their attempts |
//! | `POST /v1/deliveries/{id}/redeliver` | `UPDATE` | again, under the same id |
//! | `GET /v1/openapi.json` | none | all of this as OpenAPI 3.1 |
//!
//! - The paths are under `/v1`, to which things are only added. A parameter of a query that an operation does not have is refused with 400.
//! - Listings answer `items`; those that are long also `next`, which is passed on as `after`, and take `limit`, from 1 to 100.
//!   `since` and `until` are half-open.
//! - What is refused is told as RFC 9457 has it, with every fault of a body at once (422). No value that was sent is repeated,
//!   except names: of events, headers, attributes and parameters. A missing scope is 403 and named; what another tenant has is 404.
//! - `ETag` is the version of a webhook. A change of a webhook with `If-Match` is made to that version, or refused with 412.
//! - A creation with the header `Idempotency-Key`, 1 to 255 visible ASCII characters, may be repeated when its answer was lost:
//!   the repeated one is answered with 200 and the webhook as it is now, without the secret, which `reveal-secret` shows. The
//!   same key with other content is 422, `creation_key_reused`. Once the webhook is deleted, its key may be used again.
//! - `READ` shows URLs whole, other than the page does. A change by a caller without it is answered with 204, and so is a repeated creation.
//! - No answer may be cached. A body has at most 256 KiB.
//! - An operation is known to the process that began it, as long as it runs. With several behind one address, a request
//!   that another process gets is answered 404; what the operation has made stays made.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `page` | | `page`: the page on which users manage their webhooks |
//!
//! # Log lines
//!
//! What a user reveals, replaces, has sent again or erases is logged as a `tracing` event of level info and the target
//! `hookwire`, with `tenant`, `id` and [`actor`](Caller::actor).

mod access;
pub mod assist;
mod call;
mod catalog;
mod log;
mod openapi;
mod operations;
mod options;
#[cfg(feature = "page")]
pub mod page;
pub mod plain;
mod problem;
mod read;
mod receivers;
mod recovery;
mod routes;
mod view;
mod webhooks;

pub use access::{Access, Caller, Department};
