//! Lets forms in from the page itself alone, keeps what a form held when its sender is signed out, and shows as a page what
//! was refused before it came to one.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, LOCATION, ORIGIN, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use maud::html;

use super::form::Fields;
use super::shell::with_status;
use super::visit::{self, Site};
use crate::problem::PROBLEM_JSON;
use crate::read::MAX_BODY;

pub(super) async fn forms(State(site): State<Site>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let base = visit::base(&parts);
    if !is_own(&parts.headers) {
        return told(&site, &base, StatusCode::FORBIDDEN, &site.page().texts_for(None).forbidden);
    }
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
        return told(&site, &base, StatusCode::PAYLOAD_TOO_LARGE, &site.page().texts_for(None).refused);
    };
    let answer = next.run(Request::from_parts(parts, Body::from(bytes.clone()))).await;
    match (is_signed_out(&answer, &base), Fields::parse(&bytes)) {
        (true, Some(fields)) => kept(&site, &base, &answer, &fields),
        _ => answer,
    }
}

/// Shows as a page what was refused as by the API: a path or a query that cannot be read.
pub(super) async fn refusals(State(site): State<Site>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let base = visit::base(&parts);
    let answer = next.run(Request::from_parts(parts, body)).await;
    if answer.headers().get(CONTENT_TYPE).is_none_or(|it| it != PROBLEM_JSON) {
        return answer;
    }
    let texts = site.page().texts_for(None);
    let title = if answer.status() == StatusCode::NOT_FOUND { &texts.not_found } else { &texts.refused };
    told(&site, &base, answer.status(), title)
}

/// A page that says one thing.
fn told(site: &Site, base: &str, status: StatusCode, said: &str) -> Response {
    let texts = site.page().texts_for(None);
    with_status(status, site.page().answer(texts, base, said, &html! { h1 { (said) } }))
}

/// Whether a form comes from the page itself. A browser says so, or at least from which origin it comes.
fn is_own(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let text = |name| headers.get(name).and_then(|it| it.to_str().ok());
    match (text(ORIGIN), text(HOST)) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, it)| it == host),
        _ => false,
    }
}

/// Whether the host has refused the sender of a form: by 401, or by leading to another page than this one.
fn is_signed_out(answer: &Response, base: &str) -> bool {
    let leads_away = |location: &axum::http::HeaderValue| !location.as_bytes().starts_with(base.as_bytes());
    answer.status() == StatusCode::UNAUTHORIZED
        || answer.status().is_redirection() && answer.headers().get(LOCATION).is_some_and(leads_away)
}

/// Shows what a form held, to be sent once more.
fn kept(site: &Site, base: &str, answer: &Response, fields: &Fields) -> Response {
    let texts = site.page().texts_for(None);
    let sign_in = answer.headers().get(LOCATION).and_then(|it| it.to_str().ok());
    let body = html! {
        h1 { (texts.sign_in) }
        p role="alert" { (texts.signed_out) }
        @if let Some(sign_in) = sign_in { p { a href=(sign_in) target="_blank" rel="noopener" { (texts.sign_in) } } }
        form method="post" {
            @for (name, value) in fields.iter() { input type="hidden" name=(name) value=(value); }
            button class="main" { (texts.send_once_more) }
        }
    };
    let mut shown = site.page().answer(texts, base, &texts.sign_in, &body);
    // Signing in may need what the host has set.
    for name in [SET_COOKIE, WWW_AUTHENTICATE] {
        for value in answer.headers().get_all(&name) {
            shown.headers_mut().append(name.clone(), value.clone());
        }
    }
    with_status(StatusCode::UNAUTHORIZED, shown)
}
