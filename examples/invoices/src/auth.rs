//! Who calls: an API key for each customer. A real service asks its own accounts.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use hookwire::{Tenant, TenantId};

use crate::App;
use crate::errors::Refused;

/// The customers by their keys.
#[derive(Clone, Default)]
pub struct Keys(Arc<HashMap<String, TenantId>>);

impl FromIterator<(String, TenantId)> for Keys {
    fn from_iter<I: IntoIterator<Item = (String, TenantId)>>(keys: I) -> Self {
        Self(Arc::new(keys.into_iter().collect()))
    }
}

/// The customer that calls, as a handle on its webhooks and on nobody else's.
pub struct Customer(pub Tenant);

impl FromRequestParts<App> for Customer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
        let key = header.and_then(|it| it.strip_prefix("Bearer ")).unwrap_or_default();
        let tenant = app.keys.0.get(key).cloned();
        let unknown =
            || Refused::new(StatusCode::UNAUTHORIZED, "unknown_key", "send your API key as a bearer token");
        tenant.map(|tenant| Self(app.hooks.tenant(tenant))).ok_or_else(unknown)
    }
}
