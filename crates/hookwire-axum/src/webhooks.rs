//! Webhooks: list, create, show, replace, patch, delete, enable, disable, pause, options, secrets.

use std::time::Duration;

use axum::Json;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use hookwire::model::Scope;
use hookwire::registry::Backlog;
use hookwire::service::{CreatedOnce, Details, Rotation};
use hookwire::{HookId, Webhook};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::options::Options;
use crate::problem::Problem;
use crate::read::{Body, Id, Key};
use crate::view::View;

type Answer = Result<Response, Problem>;

pub(crate) async fn list<V: View>(call: Call<V>) -> Answer {
    let webhooks = call.tenant.list().await.map_err(call.told())?;
    let items: Vec<_> = webhooks.iter().map(|it| V::webhook(call.catalog(), it)).collect();
    Ok(Json(json!({"items": items})).into_response())
}

/// Answers with the secret, which is shown this once: a call with the same key shows the webhook alone.
pub(crate) async fn create<V: View>(call: Call<V>, Key(key): Key, Body(draft): Body<V::Draft>) -> Answer {
    let draft = V::draft(call.catalog(), draft);
    let created = match key {
        None => call.tenant.create(&draft).await.map_err(call.told())?,
        Some(key) => match call.tenant.create_once(&key, &draft).await.map_err(call.told())? {
            CreatedOnce::Now(created) => created,
            CreatedOnce::Before(webhook) => return Ok(found(&call, &webhook)),
        },
    };
    let shown = json!({
        "webhook": V::webhook(call.catalog(), created.webhook()),
        "secret": created.secret().expose().as_str(),
        "warnings": created.warnings(),
    });
    Ok((StatusCode::CREATED, [location(created.webhook())], Json(shown)).into_response())
}

/// Answers with a webhook that was created before. It may have been changed since by others, so only those who may read it
/// see more of it than its id.
fn found<V: View>(call: &Call<V>, webhook: &Webhook) -> Response {
    if !call.may(Scope::Read) {
        return (StatusCode::NO_CONTENT, [location(webhook)]).into_response();
    }
    let shown = json!({"webhook": V::webhook(call.catalog(), webhook)});
    ([location(webhook)], Json(shown)).into_response()
}

fn location(webhook: &Webhook) -> (HeaderName, String) {
    (LOCATION, format!("webhooks/{}", webhook.hook_id()))
}

pub(crate) async fn show<V: View>(call: Call<V>, Id(id): Id<HookId>) -> Answer {
    let details = call.tenant.details(id).await.map_err(call.told())?;
    Ok(answer(&call, &details, &[]))
}

pub(crate) async fn replace<V: View>(
    call: Call<V>,
    Id(id): Id<HookId>,
    Body(draft): Body<V::Draft>,
) -> Answer {
    let updated = call.tenant.replace(id, &V::draft(call.catalog(), draft)).await.map_err(call.told())?;
    shown(&call, id, updated.warnings()).await
}

pub(crate) async fn patch<V: View>(call: Call<V>, Id(id): Id<HookId>, Body(patch): Body<V::Patch>) -> Answer {
    let updated = call.tenant.patch(id, &V::patch(call.catalog(), patch)).await.map_err(call.told())?;
    shown(&call, id, updated.warnings()).await
}

pub(crate) async fn delete<V: View>(call: Call<V>, Id(id): Id<HookId>) -> Answer {
    call.tenant.delete(id).await.map_err(call.told())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What becomes of the deliveries that wait at a webhook that is enabled.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Waiting {
    Drop,
    #[default]
    Resume,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Enable {
    waiting: Waiting,
}

pub(crate) async fn enable<V: View>(call: Call<V>, Id(id): Id<HookId>, Body(enable): Body<Enable>) -> Answer {
    let backlog = match enable.waiting {
        Waiting::Drop => Backlog::Drop,
        Waiting::Resume => Backlog::Resume,
    };
    call.tenant.enable(id, backlog).await.map_err(call.told())?;
    shown(&call, id, &[]).await
}

pub(crate) async fn disable<V: View>(call: Call<V>, Id(id): Id<HookId>) -> Answer {
    call.tenant.disable(id).await.map_err(call.told())?;
    shown(&call, id, &[]).await
}

pub(crate) async fn pause<V: View>(call: Call<V>, Id(id): Id<HookId>) -> Answer {
    call.tenant.pause(id).await.map_err(call.told())?;
    shown(&call, id, &[]).await
}

pub(crate) async fn resume<V: View>(call: Call<V>, Id(id): Id<HookId>) -> Answer {
    call.tenant.resume(id).await.map_err(call.told())?;
    shown(&call, id, &[]).await
}

pub(crate) async fn set_options<V: View>(
    call: Call<V>,
    Id(id): Id<HookId>,
    Body(options): Body<Options>,
) -> Answer {
    call.require(Scope::Update)?;
    let options = options.check().map_err(|violations| call.refused(&violations))?;
    call.tenant.set_options(id, options).await.map_err(call.told())?;
    shown(&call, id, &[]).await
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rotate {
    /// How long the old secret signs along. Left out: as the host has it.
    overlap_seconds: Option<u32>,
}

pub(crate) async fn rotate<V: View>(call: Call<V>, Id(id): Id<HookId>, Body(rotate): Body<Rotate>) -> Answer {
    let rotation = match rotate.overlap_seconds {
        Some(seconds) => Rotation::default().overlap(Duration::from_secs(seconds.into())),
        None => Rotation::default(),
    };
    let key = call.tenant.rotate_secret(id, rotation).await.map_err(call.told())?;
    call.log("a user replaced the secret", &id);
    Ok(Json(json!({"secret": key.expose().as_str()})).into_response())
}

pub(crate) async fn reveal<V: View>(call: Call<V>, Id(id): Id<HookId>) -> Answer {
    let key = call.tenant.reveal_secret(id).await.map_err(call.told())?;
    call.log("a user looked at the secret", &id);
    Ok(Json(json!({"secret": key.expose().as_str()})).into_response())
}

/// Answers with a webhook as a call has changed it, if the caller may read webhooks.
async fn shown<V: View>(call: &Call<V>, id: HookId, warnings: &[String]) -> Answer {
    if !call.may(Scope::Read) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let details = call.tenant.details(id).await.map_err(call.told())?;
    Ok(answer(call, &details, warnings))
}

/// Answers with a webhook, its state, and its version as the tag.
fn answer<V: View>(call: &Call<V>, details: &Details, warnings: &[String]) -> Response {
    let mut shown = V::details(call.catalog(), details);
    if !warnings.is_empty() {
        shown["warnings"] = Value::from(warnings);
    }
    ([(ETAG, format!("\"{}\"", details.version.get()))], Json(shown)).into_response()
}
