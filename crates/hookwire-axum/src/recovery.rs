//! Sends again what a webhook has missed, as an operation that goes on after the answer.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use hookwire::model::{PageRequest, Scope, Timestamp};
use hookwire::store::Recovered;
use hookwire::{Error, HookId};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use crate::call::Call;
use crate::operations::Operation;
use crate::problem::Problem;
use crate::read::{Body, Id};
use crate::view::View;

type Answer = Result<Response, Problem>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Since {
    #[serde(deserialize_with = "time")]
    since: Timestamp,
}

/// A time as either view writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Millis(i64),
    Text(String),
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    match Time::deserialize(deserializer)? {
        Time::Millis(millis) => Ok(Timestamp::from_millis(millis)),
        Time::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// Makes deliveries anew that were given up.
pub(crate) async fn recover<V: View>(call: Call<V>, Id(id): Id<HookId>, Body(body): Body<Since>) -> Answer {
    let tenant = call.tenant.clone();
    let step = move |page: PageRequest| {
        let tenant = tenant.clone();
        async move { tenant.recover(id, body.since, &page).await }
    };
    begin(&call, id, step).await
}

/// Makes deliveries of what the webhook was not sent, because it was disabled or not registered yet.
pub(crate) async fn recover_skipped<V: View>(
    call: Call<V>,
    Id(id): Id<HookId>,
    Body(body): Body<Since>,
) -> Answer {
    let tenant = call.tenant.clone();
    let step = move |page: PageRequest| {
        let tenant = tenant.clone();
        async move { tenant.recover_skipped(id, body.since, &page).await }
    };
    begin(&call, id, step).await
}

async fn begin<V: View, F, Fut>(call: &Call<V>, id: HookId, step: F) -> Answer
where
    F: Fn(PageRequest) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Recovered, Error>> + Send,
{
    let begun = call.operations().begin(call.tenant.id(), step).await.map_err(call.told())?;
    let operation = begun.ok_or_else(too_many)?;
    call.log("a user had recovered what a webhook missed", &id);
    let location = [(LOCATION, format!("../../operations/{}", operation.id))];
    Ok((StatusCode::ACCEPTED, location, Json(operation)).into_response())
}

fn too_many() -> Problem {
    let detail = "as many operations as may be are under way; wait for one, or cancel it";
    Problem::new("too_many_operations", StatusCode::TOO_MANY_REQUESTS, detail)
}

pub(crate) async fn show<V: View>(call: Call<V>, Id(id): Id<Uuid>) -> Answer {
    call.require(Scope::Read)?;
    answer(call.operations().get(call.tenant.id(), id))
}

/// Cancels an operation: what it has made stays.
pub(crate) async fn cancel<V: View>(call: Call<V>, Id(id): Id<Uuid>) -> Answer {
    call.require(Scope::Update)?;
    answer(call.operations().cancel(call.tenant.id(), id))
}

fn answer(operation: Option<Operation>) -> Answer {
    operation.map(|it| Json(it).into_response()).ok_or_else(|| Problem::not_found("such operation"))
}
