//! Receivers on trial: pings, and the check whether one verifies what it gets.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hookwire::service::{PingOutcome, PingReport, PingTarget};
use hookwire::{EventId, HookId, WebhookDraft};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::problem::Problem;
use crate::read::{Body, Id};
use crate::view::{self, View};

type Answer = Result<Response, Problem>;

/// A ping of a URL that need not be registered: bare, or with the sample of an event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PingUrl {
    url: String,
    event: Option<Name>,
}

/// A ping of a webhook, signed: bare, or with the sample of an event.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ping {
    event: Option<Name>,
}

/// An event as either view names it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Id(u32),
    Text(String),
}

pub(crate) async fn ping_url<V: View>(call: Call<V>, Body(ping): Body<PingUrl>) -> Answer {
    let draft = WebhookDraft::new("", ping.url.clone());
    let report = match &ping.event {
        Some(event) => call.tenant.ping_event(PingTarget::Draft(&draft), find(&call, event)?).await,
        None => call.tenant.ping_url(&ping.url).await,
    };
    Ok(told(&call, &report.map_err(call.told())?))
}

pub(crate) async fn ping<V: View>(call: Call<V>, Id(id): Id<HookId>, Body(ping): Body<Ping>) -> Answer {
    let report = match &ping.event {
        Some(event) => call.tenant.ping_event(PingTarget::Webhook(id), find(&call, event)?).await,
        None => call.tenant.ping(id).await,
    };
    Ok(told(&call, &report.map_err(call.told())?))
}

pub(crate) async fn check<V: View>(call: Call<V>, Id(id): Id<HookId>) -> Answer {
    let checked = call.tenant.check_receiver(id).await.map_err(call.told())?;
    let mut shown = view::json(&checked);
    shown["is_passed"] = Value::from(checked.is_passed());
    shown["told"] = Value::from(checked.to_string());
    Ok(Json(shown).into_response())
}

fn find<V: View>(call: &Call<V>, event: &Name) -> Result<EventId, Problem> {
    let name = match event {
        Name::Id(id) => id.to_string(),
        Name::Text(text) => text.clone(),
    };
    let unknown =
        || Problem::new("unknown_event", StatusCode::UNPROCESSABLE_ENTITY, "`event` is none of the catalog");
    V::event(call.catalog(), &name).ok_or_else(unknown)
}

/// Tells what came of a ping. A URL that is refused is an answer too: nothing was sent to it.
fn told<V: View>(call: &Call<V>, report: &PingReport) -> Response {
    let errors: Vec<_> = match &report.outcome {
        PingOutcome::Invalid(violations) => call.faults(violations),
        _ => Vec::new(),
    };
    let (outcome, told) = match &report.outcome {
        PingOutcome::Sent(outcome) => (view::json(outcome), outcome.to_string()),
        _ => (Value::Null, "nothing was sent".to_owned()),
    };
    let shown = json!({
        "is_success": report.is_success(),
        "took_ms": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
        "outcome": outcome,
        "told": told,
        "errors": errors,
    });
    Json(shown).into_response()
}
