//! [`Call`]: a request that the host has let in, and [`Api`], what all of them share.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hookwire::model::{Scope, Timestamp, Violation};
use hookwire::registry::Version;
use hookwire::{Catalog, Error, ErrorKind, Tenant, Webhooks};
use tracing::info;

use crate::access::{Access, Caller, Department};
use crate::operations::Operations;
use crate::problem::Problem;
use crate::view::View;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    hooks: Webhooks,
    access: Box<dyn Access>,
    operations: Operations,
}

impl Api {
    pub(crate) fn new(hooks: Webhooks, access: impl Access) -> Self {
        Self(Arc::new(Shared { hooks, access: Box::new(access), operations: Operations::default() }))
    }
}

/// A request of a caller whom the host knows, for an API in the names of `V`.
#[derive(Debug)]
pub(crate) struct Call<V> {
    api: Api,
    caller: Caller,
    /// The handle on the caller's tenant, narrowed to its scopes and to the version in `If-Match`.
    pub(crate) tenant: Tenant,
    view: PhantomData<V>,
}

impl<V: View> Call<V> {
    pub(crate) fn catalog(&self) -> &Catalog {
        self.api.0.hooks.catalog()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.api.0.hooks.now()
    }

    pub(crate) fn operations(&self) -> &Operations {
        &self.api.0.operations
    }

    pub(crate) async fn departments(&self) -> Result<Vec<Department>, Response> {
        self.api.0.access.departments(&self.caller).await
    }

    /// The handle on the caller's tenant with all scopes, to show what a call of the caller's has changed.
    pub(crate) fn whole_tenant(&self) -> Tenant {
        self.api.0.hooks.tenant(self.caller.tenant.clone())
    }

    /// Refuses a caller without a scope, where no call of hookwire's does.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Problem> {
        let name = self.catalog().scope_prefix().name(scope);
        let missing = || {
            let kind = ErrorKind::MissingScope;
            Problem::new(kind.as_str(), StatusCode::FORBIDDEN, format!("this needs the scope {name}"))
        };
        self.caller.scopes.grant(scope).then_some(()).ok_or_else(missing)
    }

    /// Tells violations in the names of the view.
    pub(crate) fn refused(&self, violations: &[Violation]) -> Problem {
        let faults = violations.iter().map(|it| V::fault(self.catalog(), it));
        Problem::invalid(faults.collect())
    }

    /// Returns a function that tells errors in the names of the view.
    pub(crate) fn told(&self) -> impl Fn(Error) -> Problem {
        |error| {
            let faults = error.violations().iter().map(|it| V::fault(self.catalog(), it));
            Problem::of(&error, faults.collect())
        }
    }

    /// Logs that the caller did something that somebody may ask about.
    pub(crate) fn log(&self, what: &'static str, id: &dyn std::fmt::Display) {
        let actor = self.caller.actor.as_deref().unwrap_or_default();
        info!(target: "hookwire", tenant = %self.tenant.id(), %id, actor, "{what}");
    }
}

impl<V: View> FromRequestParts<Api> for Call<V> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let caller = api.0.access.caller(parts).await?;
        let tenant = api.0.hooks.tenant(caller.tenant.clone()).with_scopes(caller.scopes);
        let tenant = match expected(parts).map_err(IntoResponse::into_response)? {
            Some(version) => tenant.expecting(version),
            None => tenant,
        };
        Ok(Self { api: api.clone(), caller, tenant, view: PhantomData })
    }
}

/// Returns the version in `If-Match`, if it names one. `*` is any.
fn expected(parts: &Parts) -> Result<Option<Version>, Problem> {
    let Some(tag) = parts.headers.get(IF_MATCH).filter(|it| *it != "*") else { return Ok(None) };
    let version = tag.to_str().ok().and_then(|it| it.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    let unreadable = || Problem::bad_request("`If-Match` must be the `ETag` of the webhook, or `*`");
    version.map(|it| Some(Version::new(it))).ok_or_else(unreadable)
}
