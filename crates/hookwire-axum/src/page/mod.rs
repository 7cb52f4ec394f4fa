//! The page on which users manage their webhooks: server-rendered, and to be nested under any path.
//!
//! Users add, try out, edit, pause and delete webhooks, see their deliveries and have them sent again, and ask what became of
//! a message. It works without script, and needs no build step and nothing of a third party. With its small script, results come
//! in place, and what is shown is kept up to date while somebody looks. The host gives it a [layout](Page::layout), its
//! [words](Texts), and says who calls, as for the API: [`Access`].
//!
//! ```
//! use axum::Router;
//! use hookwire_axum::page::{self, Page};
//! # async fn access(_: axum::http::request::Parts) -> Result<hookwire_axum::Caller, axum::response::Response> {
//! #     unimplemented!("not called")
//! # }
//!
//! # fn host(hooks: hookwire::Webhooks) -> Router {
//! Router::new().nest("/settings/webhooks", page::router(hooks, access, Page::new()))
//! # }
//! ```
//!
//! - Buttons are there for those whose scopes allow what they do. Below `UPDATE`, the path of a URL is hidden, because it may
//!   be a secret, as Slack's is.
//! - A form is taken from the page itself alone, by `Sec-Fetch-Site`, or `Origin` where a browser does not send that.
//! - If the host refuses who sends a form, what it held is kept, and can be sent once more.

mod chart;
mod dry_run;
mod edit;
mod files;
mod form;
mod guard;
mod log;
mod parameters;
mod recovery;
mod secret;
mod shell;
mod show;
mod texts;
mod visit;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{get, post};
use hookwire::Webhooks;

use crate::access::Access;
use crate::read::MAX_BODY;
use crate::routes::never_kept;
use visit::Site;

pub use shell::{Page, Shell};
pub use texts::Texts;

/// Returns the page, to be nested under any path but the root.
pub fn router(hooks: Webhooks, access: impl Access, page: Page) -> Router {
    let site = Site::new(hooks, access, page);
    Router::new()
        .route("/", get(show::list))
        .route("/new", get(edit::add).post(edit::create))
        .route("/explain", get(log::explain))
        .route("/dry-run", get(dry_run::ask).post(dry_run::run))
        .route("/{id}", get(show::show).post(show::act))
        .route("/{id}/edit", get(edit::edit).post(edit::save))
        .route("/{id}/parameters", get(parameters::edit).post(parameters::save))
        .route("/{id}/deliveries", get(log::deliveries))
        .route("/{id}/recover", get(recovery::ask).post(recovery::begin))
        .route("/operations/{id}", get(recovery::show).post(recovery::cancel))
        .route("/deliveries/{id}/again", post(log::again))
        .layer(from_fn_with_state(site.clone(), guard::refusals))
        .layer(from_fn_with_state(site.clone(), guard::forms))
        .layer(map_response(never_kept))
        .route("/style.css", get(files::style))
        .route("/script.js", get(files::script))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(site)
}
