//! What the company's own people and jobs call: invoices, customers, health. It has a key of its own.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use hookwire::dispatcher::Dispatcher;
use hookwire::{MessageId, TenantId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::staff_only;
use crate::billing::{self, Billing};
use crate::errors::{Answer, Refused};

/// What the handlers of the staff's API share.
#[derive(Clone)]
pub struct Staff {
    pub billing: Billing,
    pub dispatcher: Dispatcher,
    pub key: String,
}

pub fn routes(staff: Staff) -> Router {
    Router::new()
        .route("/invoices", post(add))
        .route("/invoices/{id}/paid", post(pay))
        .route("/invoices/{id}/overdue/{days}", post(remind))
        .route("/customers/{id}/suspended", put(suspend).delete(unsuspend))
        .route("/health", get(health))
        .route_layer(from_fn_with_state(staff.clone(), staff_only))
        .with_state(staff)
}

#[derive(Deserialize)]
struct Invoice {
    customer: TenantId,
    cents: i64,
}

async fn add(State(staff): State<Staff>, Json(invoice): Json<Invoice>) -> Answer<Value> {
    let id = staff.billing.add(&invoice.customer, invoice.cents).await.map_err(failed)?;
    Ok(Json(json!({"invoice": id})))
}

async fn pay(State(staff): State<Staff>, Path(id): Path<i64>) -> Answer<Value> {
    told(staff.billing.pay(id).await)
}

async fn remind(State(staff): State<Staff>, Path((id, days)): Path<(i64, u32)>) -> Answer<Value> {
    told(staff.billing.remind(id, days).await)
}

/// For a customer that does not pay: its deliveries wait, and are sent once it pays.
async fn suspend(State(staff): State<Staff>, Path(id): Path<TenantId>) -> Result<StatusCode, Refused> {
    staff.billing.hooks.tenant(id).suspend().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unsuspend(State(staff): State<Staff>, Path(id): Path<TenantId>) -> Result<StatusCode, Refused> {
    staff.billing.hooks.tenant(id).unsuspend().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What an alarm reads: `oldest_due` grows while nothing is delivered.
async fn health(State(staff): State<Staff>) -> Result<(StatusCode, Json<Value>), Refused> {
    let dispatcher = staff.dispatcher.health();
    let status = if dispatcher.running { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let deliveries = staff.billing.hooks.stats().await?;
    Ok((status, Json(json!({"dispatcher": dispatcher, "deliveries": deliveries}))))
}

fn told(published: Result<Option<MessageId>, billing::Error>) -> Answer<Value> {
    let nothing = || Refused::new(StatusCode::NOT_FOUND, "not_found", "there is no such invoice to pay");
    Ok(Json(json!({"message": published.map_err(failed)?.ok_or_else(nothing)?})))
}

fn failed(error: billing::Error) -> Refused {
    Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", &error.to_string())
}
