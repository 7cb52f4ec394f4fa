//! What there is to choose from: event types and departments.

use axum::Json;
use axum::response::{IntoResponse, Response};
use hookwire::model::Scope;
use serde_json::json;

use crate::call::Call;
use crate::problem::Problem;
use crate::read::Params;
use crate::view::View;

/// Lists the events that users may see; `module` names the one module to list.
pub(crate) async fn event_types<V: View>(call: Call<V>, mut params: Params) -> Result<Response, Problem> {
    let module: Option<String> = params.take("module")?;
    // Reading what is the same for everybody asks for the same scope as reading webhooks.
    call.require(Scope::Read)?;
    let events =
        call.catalog().visible().filter(|it| module.as_deref().is_none_or(|name| name == it.module()));
    let items: Vec<_> = events.map(V::event_type).collect();
    Ok(Json(json!({"items": items})).into_response())
}

pub(crate) async fn departments<V: View>(call: Call<V>) -> Result<Response, Response> {
    call.require(Scope::Read).map_err(IntoResponse::into_response)?;
    let items = call.departments().await?;
    Ok(Json(json!({"items": items})).into_response())
}
