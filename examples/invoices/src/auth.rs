//! Who calls: an API key for each customer, and one for the staff. A real service asks its own accounts.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use hookwire::Tenant;

use crate::App;
use crate::errors::Refused;
use crate::staff::Staff;

/// The customer that calls, as a handle on its webhooks and on nobody else's.
pub struct Customer(pub Tenant);

impl FromRequestParts<App> for Customer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let tenant = app.keys.get(key(&parts.headers)).cloned();
        tenant.map(|tenant| Self(app.hooks.tenant(tenant))).ok_or_else(unknown)
    }
}

/// Lets nobody in but the staff.
pub async fn staff_only(
    State(staff): State<Staff>,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    match key(request.headers()) == staff.key {
        true => Ok(next.run(request).await),
        false => Err(unknown()),
    }
}

fn key(headers: &HeaderMap) -> &str {
    let header = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
    header.and_then(|it| it.strip_prefix("Bearer ")).unwrap_or_default()
}

fn unknown() -> Refused {
    Refused::new(StatusCode::UNAUTHORIZED, "unknown_key", "send your API key as a bearer token")
}
