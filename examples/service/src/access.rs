//! Who calls. A real service asks its own sessions and accounts; this one knows the tokens in `TOKENS`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hookwire::model::Scopes;
use hookwire::{TenantId, Webhooks};
use hookwire_axum::Caller;

use crate::options::Options;

/// The tenants and their scopes by token: `TOKENS="s3cret=acme ZohoAssist.webhooks.ALL;other=.."`. A demonstration lets
/// everybody in, as the tenant `demo`.
#[derive(Clone)]
pub struct Access {
    callers: Arc<HashMap<String, Caller>>,
    guest: Option<Caller>,
}

impl Access {
    pub fn new(hooks: &Webhooks, options: &Options) -> Self {
        let tokens = std::env::var("TOKENS").unwrap_or_default();
        let callers = tokens.split(';').filter_map(|entry| {
            let (token, rest) = entry.split_once('=')?;
            let (tenant, scopes) = rest.split_once(' ')?;
            let scopes = hooks.catalog().scope_prefix().parse(scopes).ok()?;
            Some((token.to_owned(), Caller::new(TenantId::new(tenant).ok()?, scopes)))
        });
        let guest = TenantId::new(crate::demo::TENANT).ok().filter(|_| options.is_demo);
        let guest = guest.map(|tenant| Caller::new(tenant, Scopes::all()).actor("guest"));
        Self { callers: Arc::new(callers.collect()), guest }
    }
}

/// A bearer token of the API, or the cookie `token` of a browser.
fn token(parts: &Parts) -> Option<&str> {
    let header = |name| parts.headers.get(name).and_then(|it| it.to_str().ok());
    let bearer = header(AUTHORIZATION).and_then(|it| it.strip_prefix("Bearer "));
    let cookies = header(COOKIE).unwrap_or_default().split("; ");
    bearer.or_else(|| cookies.filter_map(|it| it.strip_prefix("token=")).next())
}

#[async_trait::async_trait]
impl hookwire_axum::Access for Access {
    async fn caller(&self, parts: &Parts) -> Result<Caller, Response> {
        let known = token(parts).and_then(|token| self.callers.get(token));
        let caller = known.or(self.guest.as_ref()).cloned();
        caller.ok_or_else(|| (StatusCode::UNAUTHORIZED, "send a token of TOKENS").into_response())
    }
}
