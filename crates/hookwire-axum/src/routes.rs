//! The paths, and the handler of each. Scopes are checked by the methods of `Tenant` that handlers call, or by
//! `Call::require`.

use axum::extract::DefaultBodyLimit;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use hookwire::Webhooks;

use crate::access::Access;
use crate::call::Api;
use crate::problem::Problem;
use crate::read::MAX_BODY;
use crate::view::View;
use crate::{catalog, log, receivers, recovery, webhooks};

/// Returns the API in the names of `V`.
pub(crate) fn router<V: View>(hooks: Webhooks, access: impl Access) -> Router {
    let v1 = of_webhooks::<V>()
        .merge(of_the_log::<V>())
        .route("/openapi.json", get(async || Json(V::openapi())))
        .method_not_allowed_fallback(not_allowed);
    Router::new()
        .nest("/v1", v1)
        .fallback(async || Problem::not_found("such path; `v1/openapi.json` has all of them"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(map_response(never_kept))
        .with_state(Api::new(hooks, access))
}

fn of_webhooks<V: View>() -> Router<Api> {
    let one = get(webhooks::show::<V>).put(webhooks::replace::<V>).patch(webhooks::patch::<V>);
    Router::new()
        .route("/event-types", get(catalog::event_types::<V>))
        .route("/departments", get(catalog::departments::<V>))
        .route("/ping", post(receivers::ping_url::<V>))
        .route("/webhooks", get(webhooks::list::<V>).post(webhooks::create::<V>))
        .route("/webhooks/{id}", one.delete(webhooks::delete::<V>))
        .route("/webhooks/{id}/enable", post(webhooks::enable::<V>))
        .route("/webhooks/{id}/disable", post(webhooks::disable::<V>))
        .route("/webhooks/{id}/pause", post(webhooks::pause::<V>))
        .route("/webhooks/{id}/resume", post(webhooks::resume::<V>))
        .route("/webhooks/{id}/options", put(webhooks::set_options::<V>))
        .route("/webhooks/{id}/rotate-secret", post(webhooks::rotate::<V>))
        .route("/webhooks/{id}/reveal-secret", post(webhooks::reveal::<V>))
        .route("/webhooks/{id}/ping", post(receivers::ping::<V>))
        .route("/webhooks/{id}/check-receiver", post(receivers::check::<V>))
}

fn of_the_log<V: View>() -> Router<Api> {
    Router::new()
        .route("/webhooks/{id}/recover", post(recovery::recover::<V>))
        .route("/webhooks/{id}/recover-skipped", post(recovery::recover_skipped::<V>))
        .route("/webhooks/{id}/statistics", get(log::webhook_statistics::<V>))
        .route("/operations/{id}", get(recovery::show::<V>).delete(recovery::cancel::<V>))
        .route("/messages", get(log::messages::<V>))
        .route("/messages/{id}", get(log::explain::<V>))
        .route("/messages/{id}/payload", delete(log::erase_payload::<V>))
        .route("/messages/{id}/redeliver", post(log::redeliver_as_new::<V>))
        .route("/deliveries", get(log::deliveries::<V>))
        .route("/deliveries/{id}/redeliver", post(log::redeliver::<V>))
        .route("/statistics", get(log::statistics::<V>))
}

async fn not_allowed() -> Problem {
    let detail = "the path does not have this method; `openapi.json` has those that it has";
    Problem::new("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Answers may hold secrets and URLs that are secrets, so no cache keeps one.
pub(crate) async fn never_kept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
