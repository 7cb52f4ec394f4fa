//! A service of invoices whose customers get webhooks. Read `events`, `billing`, `api` and `log` in this order.

pub mod alerts;
pub mod api;
pub mod auth;
pub mod billing;
pub mod errors;
pub mod events;
pub mod log;

use axum::Router;
use hookwire::Webhooks;

use auth::Keys;

/// What the handlers of the customers' API share.
#[derive(Clone)]
pub struct App {
    pub hooks: Webhooks,
    pub keys: Keys,
}

/// Returns the API of the customers: their webhooks, and the log of what was sent to them.
pub fn router(app: App) -> Router {
    api::routes().merge(log::routes()).with_state(app)
}
