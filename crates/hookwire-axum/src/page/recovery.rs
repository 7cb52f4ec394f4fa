//! Sending again what a webhook has missed: how much that is, and how far it has come.

use axum::http::StatusCode;
use axum::response::Response;
use hookwire::model::{DeliveryState, End, PageRequest, Scope, Timestamp};
use hookwire::{DeliveryQuery, HookId};
use jiff::civil::Date;
use maud::{Markup, html};
use uuid::Uuid;

use super::form::Fields;
use super::shell::with_status;
use super::visit::{Answer, Visit};
use crate::operations::Operation;
use crate::read::{Id, Params};

/// The pages of deliveries that are counted for an estimate.
const MAX_COUNTED: usize = 4;

/// The form, with what it holds, and how much it would send again: none if what it holds is no time.
struct Asked {
    since: String,
    estimate: Option<Estimate>,
}

/// The number of deliveries that were given up.
struct Estimate {
    count: usize,
    has_more: bool,
}

/// Shows how much was given up since a time.
pub(super) async fn ask(visit: Visit, Id(id): Id<HookId>, mut params: Params) -> Answer {
    let text: String = params.take("since").unwrap_or_default().unwrap_or_default();
    let estimate = match since(&visit, &text) {
        Some(since) => Some(estimate(&visit, id, since).await?),
        None => None,
    };
    shown(&visit, id, Asked { since: text, estimate }).await
}

/// Begins to send it again.
pub(super) async fn begin(visit: Visit, Id(id): Id<HookId>, fields: Fields) -> Answer {
    let text = fields.get("since").to_owned();
    let Some(since) = since(&visit, &text) else {
        let asked = Asked { since: text, estimate: None };
        return Ok(with_status(StatusCode::UNPROCESSABLE_ENTITY, shown(&visit, id, asked).await?));
    };
    let tenant = visit.tenant.clone();
    let step = move |page: PageRequest| {
        let tenant = tenant.clone();
        async move { tenant.recover(id, since, &page).await }
    };
    let begun =
        visit.operations().begin(visit.tenant.id(), step).await.map_err(|error| visit.failed(&error))?;
    let Some(operation) = begun else {
        return Ok(visit.refused(StatusCode::TOO_MANY_REQUESTS, &visit.texts().too_many));
    };
    visit.log("a user had recovered what a webhook missed", &id);
    Ok(visit.go(&format!("/operations/{}", operation.id)))
}

/// Shows how far an operation is.
pub(super) async fn show(visit: Visit, Id(id): Id<Uuid>) -> Answer {
    let found = visit.operations().get(visit.tenant.id(), id);
    found.filter(|_| visit.may(Scope::Read)).map(|it| progress(&visit, &it)).ok_or_else(|| visit.not_found())
}

/// Cancels an operation: what it has made stays.
pub(super) async fn cancel(visit: Visit, Id(id): Id<Uuid>) -> Answer {
    let may = visit.may(Scope::Update);
    let found = visit.operations().get(visit.tenant.id(), id).filter(|_| may);
    let found = found.and_then(|it| visit.operations().cancel(visit.tenant.id(), it.id));
    found.map(|it| visit.go(&format!("/operations/{}", it.id))).ok_or_else(|| visit.not_found())
}

/// Returns the time that a form names: the beginning of a day where the caller is, or a time to the millisecond.
fn since(visit: &Visit, text: &str) -> Option<Timestamp> {
    let day = text.parse::<Date>().ok().filter(|_| text.len() == "2026-01-01".len());
    match day {
        Some(day) => {
            let begins = day.to_zoned(visit.zone.clone()).ok()?;
            Some(Timestamp::from_millis(begins.timestamp().as_millisecond()))
        }
        None => text.parse().ok(),
    }
}

async fn estimate(visit: &Visit, id: HookId, since: Timestamp) -> Result<Estimate, Response> {
    let mut estimate = Estimate { count: 0, has_more: false };
    for end in [End::Exhausted, End::Expired] {
        let mut page = Some(PageRequest::first());
        for _ in 0..MAX_COUNTED {
            let Some(next) = page else { break };
            let query = DeliveryQuery::new().webhook(id).state(DeliveryState::Ended(end));
            let query = query.page(next.with_limit(PageRequest::MAX_LIMIT));
            let listed = visit.tenant.deliveries(&query).await.map_err(|error| visit.failed(&error))?;
            // What is listed goes by its beginning, what is recovered by its end.
            let ended = listed.items.iter().filter(|it| it.ended_at.is_some_and(|at| at >= since));
            estimate.count += ended.count();
            page = listed.next.map(PageRequest::after);
        }
        estimate.has_more |= page.is_some();
    }
    Ok(estimate)
}

async fn shown(visit: &Visit, id: HookId, asked: Asked) -> Answer {
    if !visit.may(Scope::Update) {
        return Err(visit.not_found());
    }
    let webhook = visit.tenant.get(id).await.map_err(|error| visit.failed(&error))?;
    let (texts, Asked { since, estimate }) = (visit.texts(), asked);
    let fault = !since.is_empty() && estimate.is_none();
    let body = html! {
        h1 { (texts.redeliver) ": " a href={ (visit.base) "/" (id) } dir="auto" { (webhook.name()) } }
        form method="get" {
            div class="field" {
                label for="since" { (texts.recover) }
                input id="since" name="since" value=(since) required autocomplete="off" aria-invalid=[fault.then_some("true")]
                    aria-describedby="since-told" dir="ltr";
                div id="since-told" {
                    p class="hint" { (texts.recover_hint) }
                    @if fault { p class="bad" role="alert" { (texts.no_time) } }
                }
            }
            button { (texts.count) }
        }
        @if let Some(Estimate { count, has_more }) = estimate {
            section class="tried" role="status" {
                p { @if has_more { (texts.at_least) " " } (count) " " (texts.given_up) }
                @if count > 0 || has_more {
                    form method="post" {
                        input type="hidden" name="since" value=(since);
                        button class="main" { (texts.redeliver) }
                    }
                }
            }
        }
    };
    Ok(visit.show(&texts.redeliver, &body))
}

fn progress(visit: &Visit, operation: &Operation) -> Response {
    let texts = visit.texts();
    let is_running = operation.is_running();
    let body = html! {
        h1 { (texts.redeliver) }
        div id="progress" role="status" data-refresh=[is_running.then_some("1")] {
            p { (texts.recover_begun) " " strong { (operation.made) } }
            @if operation.has_failed() { p class="bad" { (texts.refused) } }
            @else if is_running { p { (texts.under_way) } }
            @else { p class="good" { (texts.ended) } }
            (commands(visit, operation))
        }
    };
    visit.show(&texts.redeliver, &body)
}

fn commands(visit: &Visit, operation: &Operation) -> Markup {
    let texts = visit.texts();
    html! {
        p class="row" {
            @if operation.is_running() {
                a class="button" href={ (visit.base) "/operations/" (operation.id) } { (texts.refresh) }
            }
            a class="button" href=(visit.home()) { (texts.webhooks) }
        }
        @if operation.is_running() && visit.may(Scope::Update) {
            form method="post" { button { (texts.cancel) } }
        }
    }
}
