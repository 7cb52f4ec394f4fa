//! A service of invoices whose customers get webhooks. Read `events`, `billing`, `api` and `log` in this order.

pub mod alerts;
pub mod api;
pub mod auth;
pub mod billing;
pub mod errors;
pub mod events;
pub mod log;
pub mod staff;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use hookwire::{TenantId, Webhooks};

/// What the handlers of the customers' API share.
#[derive(Clone)]
pub struct App {
    pub hooks: Webhooks,
    /// The customers by their API keys.
    pub keys: Arc<HashMap<String, TenantId>>,
}

/// Returns the API of the customers, their webhooks and what was sent to them, and that of the staff under `/staff`.
pub fn router(app: App, staff: Router) -> Router {
    let customers = api::routes().merge(log::routes()).with_state(app);
    customers.nest("/staff", staff).layer(map_response(errors::as_json))
}
