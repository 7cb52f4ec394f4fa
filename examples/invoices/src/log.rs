//! What was sent, and why not: for a page of the customer's, and for support.

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use hookwire::model::{DeliveryId, PageRequest, Timestamp};
use hookwire::service::Explanation;
use hookwire::{DeliveryQuery, HookId, MessageId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::App;
use crate::auth::Customer;
use crate::errors::Refused;

type Answer<T> = Result<Json<T>, Refused>;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/deliveries", get(deliveries))
        .route("/deliveries/{id}/again", post(redeliver))
        .route("/messages/{id}", get(explain))
        .route("/webhooks/{id}/recover", post(recover))
        .route("/health", get(health))
}

/// Lists deliveries with their attempts, newest first. The query has `webhook`, `state`, `since`, `limit`, `after` and more.
async fn deliveries(
    State(app): State<App>,
    Customer(tenant): Customer,
    Query(query): Query<DeliveryQuery>,
) -> Answer<Value> {
    let page = tenant.deliveries_with_attempts(&query).await.map_err(Refused::of(app.hooks.catalog()))?;
    Ok(Json(json!(page)))
}

async fn explain(
    State(app): State<App>,
    Customer(tenant): Customer,
    Path(id): Path<MessageId>,
) -> Answer<Explanation> {
    Ok(Json(tenant.explain(&id).await.map_err(Refused::of(app.hooks.catalog()))?))
}

async fn redeliver(
    State(app): State<App>,
    Customer(tenant): Customer,
    Path(id): Path<DeliveryId>,
) -> Answer<Value> {
    let again = tenant.redeliver(id).await.map_err(Refused::of(app.hooks.catalog()))?;
    Ok(Json(json!({"delivery": again})))
}

/// Where recovering begins, and where the last step ended.
#[derive(Deserialize)]
struct Missed {
    since: Timestamp,
    after: Option<String>,
}

/// Sends again some of what a webhook has missed. `next` is there while there may be more.
async fn recover(
    State(app): State<App>,
    Customer(tenant): Customer,
    Path(id): Path<HookId>,
    Json(missed): Json<Missed>,
) -> Answer<Value> {
    let page = missed.after.map_or_else(PageRequest::first, PageRequest::after);
    let recovered =
        tenant.recover(id, missed.since, &page).await.map_err(Refused::of(app.hooks.catalog()))?;
    Ok(Json(json!({"made": recovered.made, "next": recovered.next})))
}

/// What an alarm reads: `oldest_due` grows while nothing is delivered.
async fn health(State(app): State<App>) -> Answer<Value> {
    let stats = app.hooks.stats().await.map_err(Refused::of(app.hooks.catalog()))?;
    Ok(Json(json!(stats)))
}
