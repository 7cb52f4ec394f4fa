//! [`Call`]: a request that the host has let in, with the tenant's handle narrowed to the caller's scopes. [`Api`]: what all
//! requests share.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::StatusCode;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hookwire::model::{Scope, Timestamp, Violation};
use hookwire::registry::Version;
use hookwire::{Catalog, Error, ErrorKind, Tenant, Webhooks};

use crate::access::{Access, Caller, Department};
use crate::openapi;
use crate::operations::Operations;
use crate::problem::{Fault, Problem};
use crate::read::pairs;
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

    /// Whether the caller has a scope.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.caller.scopes.grant(scope)
    }

    /// Refuses a caller without a scope, where no call of hookwire's does.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Problem> {
        let name = self.catalog().scope_prefix().name(scope);
        let missing = || {
            let kind = ErrorKind::MissingScope;
            Problem::new(kind.as_str(), StatusCode::FORBIDDEN, format!("this needs the scope {name}"))
        };
        self.may(scope).then_some(()).ok_or_else(missing)
    }

    /// Tells violations in the names of the view.
    pub(crate) fn faults(&self, violations: &[Violation]) -> Vec<Fault> {
        violations.iter().map(|it| V::fault(self.catalog(), it)).collect()
    }

    /// Refuses a body for its violations.
    pub(crate) fn refused(&self, violations: &[Violation]) -> Problem {
        Problem::invalid(self.faults(violations))
    }

    /// Returns a function that tells errors in the names of the view.
    pub(crate) fn told(&self) -> impl Fn(Error) -> Problem {
        |error| Problem::of(&error, self.faults(error.violations()))
    }

    /// Logs that the caller did something that somebody may ask about.
    pub(crate) fn log(&self, what: &'static str, id: &dyn std::fmt::Display) {
        self.caller.log(what, id);
    }
}

impl<V: View> FromRequestParts<Api> for Call<V> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let caller = api.0.access.caller(parts).await?;
        known_query(parts).map_err(IntoResponse::into_response)?;
        let tenant = api.0.hooks.tenant(caller.tenant.clone()).with_scopes(caller.scopes);
        let tenant = match expected(parts).map_err(IntoResponse::into_response)? {
            Some(version) => tenant.expecting(version),
            None => tenant,
        };
        Ok(Self { api: api.clone(), caller, tenant, view: PhantomData })
    }
}

/// Refuses a query with a parameter that its operation does not have: a misspelt one would silently do nothing.
fn known_query(parts: &Parts) -> Result<(), Problem> {
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let query = parts.uri.query().unwrap_or_default();
    for (name, _) in pairs(query)? {
        if !openapi::has_parameter(&parts.method, path, &name) {
            return Err(Problem::bad_request(format!("there is no parameter `{name}`")));
        }
    }
    Ok(())
}

/// Returns the version in `If-Match`, if it names one. `*` is any, and what no `ETag` of ours is matches none.
fn expected(parts: &Parts) -> Result<Option<Version>, Problem> {
    let mut tags =
        parts.headers.get_all(IF_MATCH).iter().flat_map(|it| it.as_bytes().split(|byte| *byte == b','));
    let (first, others) = (tags.next(), tags.count());
    match first.map(<[u8]>::trim_ascii) {
        None | Some(b"*") => Ok(None),
        Some(_) if others > 0 => {
            Err(Problem::bad_request("`If-Match` must be one `ETag` of the webhook, or `*`"))
        }
        Some(tag) => Ok(Some(version(tag).unwrap_or(Version::new(u64::MAX)))),
    }
}

fn version(tag: &[u8]) -> Option<Version> {
    let digits = tag.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let number = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?;
    number.parse().ok().map(Version::new)
}
