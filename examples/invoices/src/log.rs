//! What was sent, and why not: for a page of the customer's, and for support.

use axum::extract::{Path, Query};
use axum::routing::{get, post};
use axum::{Json, Router};
use hookwire::model::{DeliveryId, PageRequest, Timestamp};
use hookwire::service::Explanation;
use hookwire::{DeliveryQuery, HookId, MessageId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::App;
use crate::auth::Customer;
use crate::errors::Answer;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/deliveries", get(deliveries))
        .route("/deliveries/{id}/again", post(redeliver))
        .route("/messages/{id}", get(explain))
        .route("/webhooks/{id}/recover", post(recover))
}

/// Lists deliveries with their attempts, newest first. The query has `webhook`, `state`, `since`, `limit`, `after` and more.
async fn deliveries(Customer(tenant): Customer, Query(query): Query<DeliveryQuery>) -> Answer<Value> {
    Ok(Json(json!(tenant.deliveries_with_attempts(&query).await?)))
}

async fn explain(Customer(tenant): Customer, Path(id): Path<MessageId>) -> Answer<Explanation> {
    Ok(Json(tenant.explain(&id).await?))
}

async fn redeliver(Customer(tenant): Customer, Path(id): Path<DeliveryId>) -> Answer<Value> {
    Ok(Json(json!({"delivery": tenant.redeliver(id).await?})))
}

/// When recovering begins, in milliseconds as the log has its times, and where the last step ended.
#[derive(Deserialize)]
struct Missed {
    since: Timestamp,
    after: Option<String>,
}

/// Sends again some of what a webhook has missed. `next` is there while there may be more.
async fn recover(
    Customer(tenant): Customer,
    Path(id): Path<HookId>,
    Json(missed): Json<Missed>,
) -> Answer<Value> {
    let page = missed.after.map_or_else(PageRequest::first, PageRequest::after);
    let recovered = tenant.recover(id, missed.since, &page).await?;
    Ok(Json(json!({"made": recovered.made, "next": recovered.next})))
}
