//! Handlers of the delivery log: list, explain, send again, erase payloads, and statistics.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hookwire::model::DeliveryId;
use hookwire::{HookId, MessageId};
use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::problem::Problem;
use crate::read::{Body, Id, Params};
use crate::view::{self, View};

type Answer = Result<Response, Problem>;

/// The hours that are shown if none is named.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

pub(crate) async fn messages<V: View>(call: Call<V>, params: Params) -> Answer {
    let query = with_event_id(&call, params)?.query()?;
    let page = call.tenant.messages(&query).await.map_err(call.told())?;
    let items: Vec<_> = page.items.iter().map(|it| V::message(call.catalog(), it)).collect();
    Ok(Json(json!({"items": items, "next": page.next})).into_response())
}

pub(crate) async fn explain<V: View>(call: Call<V>, Id(id): Id<MessageId>) -> Answer {
    let explanation = call.tenant.explain(&id).await.map_err(call.told())?;
    Ok(Json(V::explanation(call.catalog(), &explanation)).into_response())
}

pub(crate) async fn deliveries<V: View>(call: Call<V>, params: Params) -> Answer {
    let query = with_event_id(&call, params)?.query()?;
    let page = call.tenant.deliveries_with_attempts(&query).await.map_err(call.told())?;
    let items: Vec<_> = page.items.iter().map(|it| V::delivery(call.catalog(), it)).collect();
    Ok(Json(json!({"items": items, "next": page.next})).into_response())
}

pub(crate) async fn redeliver<V: View>(call: Call<V>, Id(id): Id<DeliveryId>) -> Answer {
    let again = call.tenant.redeliver(id).await.map_err(call.told())?;
    call.log("a user had a delivery made again", &id);
    Ok((StatusCode::CREATED, Json(json!({"delivery": again.to_string()}))).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AsNew {
    webhook: HookId,
}

/// Publishes the payload of a message again, under a new id and to one webhook: for a receiver that knows the old id.
pub(crate) async fn redeliver_as_new<V: View>(
    call: Call<V>,
    Id(id): Id<MessageId>,
    Body(to): Body<AsNew>,
) -> Answer {
    let new = call.tenant.redeliver_as_new(&id, to.webhook).await.map_err(call.told())?;
    call.log("a user had a message sent under a new id", &id);
    Ok((StatusCode::CREATED, Json(json!({"message": new}))).into_response())
}

pub(crate) async fn erase_payload<V: View>(call: Call<V>, Id(id): Id<MessageId>) -> Answer {
    call.tenant.erase_payload(&id).await.map_err(call.told())?;
    call.log("a user erased a payload", &id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn statistics<V: View>(call: Call<V>) -> Answer {
    let stats = call.tenant.stats().await.map_err(call.told())?;
    Ok(Json(json!({"deliveries": view::json(&stats)})).into_response())
}

/// How a webhook has answered of late and by the hour, and what waits for it.
pub(crate) async fn webhook_statistics<V: View>(
    call: Call<V>,
    Id(id): Id<HookId>,
    mut params: Params,
) -> Answer {
    let since = params.take_time("since")?;
    let since = since.unwrap_or_else(|| call.now().minus(WEEK));
    let counted = call.tenant.statistics(id, since).await.map_err(call.told())?;
    let recent = call.tenant.recent_attempts(id).await.map_err(call.told())?;
    let stats = call.tenant.webhook_stats(id).await.map_err(call.told())?;
    let hours: Vec<_> = counted.hours.iter().map(V::hour).collect();
    Ok(Json(json!({"deliveries": view::json(&stats), "recent": view::json(&recent), "hours": hours}))
        .into_response())
}

/// Replaces the view's name of an event by its id, as the queries of hookwire have it.
fn with_event_id<V: View>(call: &Call<V>, mut params: Params) -> Result<Params, Problem> {
    if let Some(name) = params.take::<String>("event")? {
        let unknown = || Problem::bad_request("`event` is none of the catalog");
        params.set("event", V::event(call.catalog(), &name).ok_or_else(unknown)?);
    }
    Ok(params)
}
