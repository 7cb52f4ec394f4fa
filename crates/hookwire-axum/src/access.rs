//! [`Access`]: who calls, as the host says it.

use std::fmt;

use async_trait::async_trait;
use axum::http::request::Parts;
use axum::response::Response;
use hookwire::TenantId;
use hookwire::model::{DeptId, Scopes};
use serde::Serialize;
use tracing::info;

/// Decides who a request is from. hookwire authenticates nobody: the host does.
///
/// An async function from the parts of a request is one:
///
/// ```
/// use axum::http::{StatusCode, header::AUTHORIZATION, request::Parts};
/// use axum::response::{IntoResponse, Response};
/// use hookwire::model::Scopes;
/// use hookwire::TenantId;
/// use hookwire_axum::Caller;
///
/// async fn access(parts: Parts) -> Result<Caller, Response> {
///     match parts.headers.get(AUTHORIZATION).map(|it| it.as_bytes()) {
///         // A real host looks a session or a token up.
///         Some(b"Bearer acme") => {
///             let tenant = TenantId::new("acme").map_err(|_| StatusCode::BAD_REQUEST.into_response())?;
///             Ok(Caller::new(tenant, Scopes::all()).actor("maria"))
///         }
///         _ => Err(StatusCode::UNAUTHORIZED.into_response()),
///     }
/// }
/// # let _ = |hooks: hookwire::Webhooks| hookwire_axum::plain::router(hooks, access);
/// ```
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// Returns who calls.
    ///
    /// # Errors
    ///
    /// The answer that refuses the request, which is sent as it is: 401, or a redirection to a page for signing in.
    async fn caller(&self, parts: &Parts) -> Result<Caller, Response>;

    /// Returns the departments that a caller may choose from, for `GET /v1/departments`. Default: none.
    ///
    /// # Errors
    ///
    /// The answer that is sent instead.
    async fn departments(&self, caller: &Caller) -> Result<Vec<Department>, Response> {
        let _ = caller;
        Ok(Vec::new())
    }
}

#[async_trait]
impl<F, Fut> Access for F
where
    F: Fn(Parts) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Caller, Response>> + Send,
{
    async fn caller(&self, parts: &Parts) -> Result<Caller, Response> {
        self(parts.clone()).await
    }
}

/// Who calls: a tenant, what may be done in its name, and the person.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) tenant: TenantId,
    pub(crate) scopes: Scopes,
    pub(crate) actor: Option<String>,
    #[cfg(feature = "page")]
    pub(crate) locale: Option<String>,
    #[cfg(feature = "page")]
    pub(crate) time_zone: Option<String>,
}

impl Caller {
    /// Creates a caller that acts for `tenant` within `scopes`.
    ///
    /// [`ScopePrefix::parse`](hookwire::model::ScopePrefix::parse) reads the scopes of an OAuth token.
    pub const fn new(tenant: TenantId, scopes: Scopes) -> Self {
        Self {
            tenant,
            scopes,
            actor: None,
            #[cfg(feature = "page")]
            locale: None,
            #[cfg(feature = "page")]
            time_zone: None,
        }
    }

    /// Sets the language in which the page speaks, by its BCP 47 tag, such as `pt-BR`. It is that of the
    /// [texts](crate::page::Page::translation) with this tag, or with its first part. Default: that of the page.
    #[cfg(feature = "page")]
    #[must_use]
    pub fn locale(self, tag: impl Into<String>) -> Self {
        Self { locale: Some(tag.into()), ..self }
    }

    /// Sets the zone in which the page writes times, by its IANA name, such as `Europe/Berlin`. Default: UTC, as for a name
    /// that there is not.
    #[cfg(feature = "page")]
    #[must_use]
    pub fn time_zone(self, name: impl Into<String>) -> Self {
        Self { time_zone: Some(name.into()), ..self }
    }

    /// Names the person or the program, for the log: it is in the `tracing` event of each secret that is revealed or
    /// replaced, and of what is sent again or erased.
    #[must_use]
    pub fn actor(self, actor: impl Into<String>) -> Self {
        Self { actor: Some(actor.into()), ..self }
    }
}

impl Caller {
    /// Logs that the caller did something that somebody may ask about.
    pub(crate) fn log(&self, what: &'static str, id: &dyn fmt::Display) {
        let actor = self.actor.as_deref().unwrap_or_default();
        info!(target: "hookwire", tenant = %self.tenant, %id, actor, "{what}");
    }
}

/// A department of a tenant, as the host names it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Department {
    pub(crate) id: DeptId,
    pub(crate) name: String,
}

impl Department {
    /// Creates a department.
    pub fn new(id: DeptId, name: impl Into<String>) -> Self {
        Self { id, name: name.into() }
    }
}

impl fmt::Debug for dyn Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}
