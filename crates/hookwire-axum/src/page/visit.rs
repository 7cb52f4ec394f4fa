//! [`Visit`]: a request of somebody whom the host knows, for the page.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use hookwire::model::{Outcome, Scope, Timestamp, Violation};
use hookwire::{Error, ErrorKind, Tenant, Webhooks};
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::form::Faults;
use super::shell::{self, Page, with_status};
use super::texts::Texts;
use crate::access::{Access, Caller, Department};
use crate::operations::Operations;

/// What the handlers of the page share.
#[derive(Clone)]
pub(super) struct Site(Arc<Shared>);

struct Shared {
    hooks: Webhooks,
    access: Box<dyn Access>,
    page: Page,
    operations: Operations,
}

impl Site {
    pub(super) fn new(hooks: Webhooks, access: impl Access, page: Page) -> Self {
        let operations = Operations::default();
        Self(Arc::new(Shared { hooks, access: Box::new(access), page, operations }))
    }

    pub(super) fn page(&self) -> &Page {
        &self.0.page
    }
}

/// A request of somebody whom the host knows.
pub(super) struct Visit {
    site: Site,
    caller: Caller,
    /// The path under which the page is nested.
    pub(super) base: String,
    pub(super) tenant: Tenant,
    texts: Arc<Texts>,
    pub(super) zone: TimeZone,
}

/// What a handler answers with, if it does not do what it was asked.
pub(super) type Answer = Result<Response, Response>;

impl Visit {
    pub(super) fn hooks(&self) -> &Webhooks {
        &self.site.0.hooks
    }

    pub(super) fn page(&self) -> &Page {
        self.site.page()
    }

    pub(super) fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(super) fn operations(&self) -> &Operations {
        &self.site.0.operations
    }

    /// Whether the caller may do this, so that a button for it is shown.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.caller.scopes.grant(scope)
    }

    pub(super) async fn departments(&self) -> Result<Vec<Department>, Response> {
        self.site.0.access.departments(&self.caller).await
    }

    /// Answers with a body below the links of the page.
    pub(super) fn show(&self, title: &str, body: &Markup) -> Response {
        self.page().answer(self.texts(), &self.base, title, body)
    }

    /// The path of the list of webhooks.
    pub(super) fn home(&self) -> &str {
        shell::home(&self.base)
    }

    pub(super) fn go(&self, path: &str) -> Response {
        let to = if path.is_empty() { self.home().to_owned() } else { format!("{}{path}", self.base) };
        Redirect::to(&to).into_response()
    }

    /// Tells what is wrong with a form, in the host's words where it has some.
    pub(super) fn faults(&self, violations: &[Violation]) -> Faults {
        let shown = self.hooks().catalog().show_violations(violations);
        Faults::new(shown.into_iter().map(|it| self.page().tell(it, &self.texts.lang)).collect())
    }

    /// Answers with an error of hookwire's as a page.
    pub(super) fn failed(&self, error: &Error) -> Response {
        let status = error.kind().http_status();
        let texts = self.texts();
        let told = match error.kind() {
            ErrorKind::NotFound => texts.not_found.to_string(),
            // What the store says is the operator's business.
            ErrorKind::Store => String::new(),
            _ => error.to_string(),
        };
        self.refused(status, &told)
    }

    /// Answers with a page that says why something was not done.
    pub(super) fn refused(&self, status: StatusCode, told: &str) -> Response {
        let texts = self.texts();
        let body = html! { h1 { (texts.refused) } p role="alert" { (told) } };
        with_status(status, self.show(&texts.refused, &body))
    }

    pub(super) fn not_found(&self) -> Response {
        let texts = self.texts();
        with_status(StatusCode::NOT_FOUND, self.show(&texts.not_found, &html! { h1 { (texts.not_found) } }))
    }

    /// Logs that the caller did something that somebody may ask about.
    pub(super) fn log(&self, what: &'static str, id: &dyn std::fmt::Display) {
        self.caller.log(what, id);
    }

    /// Writes a time in the caller's zone, with the exact one for machines.
    pub(super) fn time(&self, at: Timestamp) -> Markup {
        let text = jiff::Timestamp::from_millisecond(at.as_millis()).map_or_else(
            |_| at.to_string(),
            |time| time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        );
        html! { time datetime=(at) { (text) } }
    }

    /// Tells an outcome as the caller may see it: where it points to may be a secret, too.
    pub(super) fn outcome(&self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Answered { status, .. } if !self.may(Scope::Update) => {
                format!("answered {}", status.as_u16())
            }
            _ => outcome.to_string(),
        }
    }

    /// Returns a URL as the caller may see it: its path may be a secret.
    pub(super) fn url(&self, url: &str) -> String {
        if self.may(Scope::Update) {
            return url.to_owned();
        }
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        format!("{scheme}://{}/\u{2026}", rest.split(['/', '?']).next().unwrap_or_default())
    }
}

impl FromRequestParts<Site> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Response> {
        let base = base(parts);
        let caller = site.0.access.caller(parts).await?;
        let tenant = site.0.hooks.tenant(caller.tenant.clone()).with_scopes(caller.scopes);
        let zone = caller.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        let texts = Arc::clone(site.page().texts_for(caller.locale.as_deref()));
        Ok(Self { site: site.clone(), caller, base, tenant, texts, zone: zone.unwrap_or(TimeZone::UTC) })
    }
}

/// Returns the path under which the page is nested, without a slash at its end.
pub(super) fn base(parts: &Parts) -> String {
    let whole = parts.extensions.get::<OriginalUri>().map_or_else(|| parts.uri.path(), |it| it.0.path());
    let inside = parts.uri.path();
    whole.strip_suffix(inside).unwrap_or(whole).trim_end_matches('/').to_owned()
}
