//! What was sent to a webhook, and what became of a message.

use axum::response::Response;
use hookwire::model::{Attempt, DeliveryId, DeliveryState, End, Outcome, PageRequest, Scope};
use hookwire::service::{Explanation, LoggedDelivery};
use hookwire::{DeliveryQuery, HookId, MessageId};
use maud::{Markup, html};

use super::texts::Texts;
use super::visit::{Answer, Visit};
use crate::read::{Id, Params};

const STATES: [DeliveryState; 6] = [
    DeliveryState::Pending,
    DeliveryState::Ended(End::Delivered),
    DeliveryState::Ended(End::Exhausted),
    DeliveryState::Ended(End::Expired),
    DeliveryState::Ended(End::Cancelled),
    DeliveryState::Ended(End::Erased),
];

/// The deliveries on a page.
const LIMIT: u16 = 25;

pub(super) async fn deliveries(visit: Visit, Id(id): Id<HookId>, mut params: Params) -> Answer {
    let webhook = visit.tenant.get(id).await.map_err(|error| visit.failed(&error))?;
    let state: Option<DeliveryState> = params.take("state").unwrap_or_default();
    let after: Option<String> = params.take("after").unwrap_or_default();
    let page = after.map_or_else(PageRequest::first, PageRequest::after).with_limit(LIMIT);
    let query = DeliveryQuery::new().webhook(id).page(page);
    let query = state.map_or_else(|| query.clone(), |state| query.clone().state(state));
    let listed = visit.tenant.deliveries_with_attempts(&query).await.map_err(|error| visit.failed(&error))?;
    let good = if listed.items.iter().any(has_failed) { last_good(&visit, id).await? } else { None };
    let (texts, here) = (visit.texts(), format!("{}/{id}/deliveries", visit.base));
    let filter = state.map(|it| format!("state={it}&")).unwrap_or_default();
    let body = html! {
        h1 { (texts.deliveries) ": " a href={ (visit.base) "/" (id) } dir="auto" { (webhook.name()) } }
        nav class="row" aria-label=(texts.state) {
            a href=(here) aria-current=[state.is_none().then_some("page")] { (texts.all) }
            @for it in STATES {
                a href={ (here) "?state=" (it) } aria-current=[(state == Some(it)).then_some("page")] { (name(texts, it)) }
            }
        }
        div id="deliveries" data-refresh="5" {
            @if listed.items.is_empty() { p { (texts.no_deliveries) } }
            @for delivery in &listed.items { (entry(&visit, id, delivery, good.as_ref())) }
        }
        @if let Some(next) = &listed.next { p { a class="button" href={ (here) "?" (filter) "after=" (next) } { (texts.older) } } }
    };
    Ok(visit.show(&texts.deliveries, &body))
}

fn entry(visit: &Visit, hook: HookId, logged: &LoggedDelivery, good: Option<&Attempt>) -> Markup {
    let (texts, delivery) = (visit.texts(), &logged.delivery);
    let event = visit
        .hooks()
        .catalog()
        .get(delivery.event_id)
        .map_or_else(|| delivery.event_id.to_string(), |event| event.name().to_owned());
    let class = match delivery.state {
        DeliveryState::Ended(End::Delivered) => "tag good",
        DeliveryState::Ended(End::Exhausted | End::Expired) => "tag bad",
        _ => "tag",
    };
    html! {
        section class="delivery" {
            p {
                span class=(class) { (name(texts, delivery.state)) } " "
                strong { (event) } " " (visit.time(delivery.created_at)) " "
                a href={ (visit.base) "/explain?message=" (delivery.message_id) } { code { (delivery.message_id) } }
            }
            @if let Some(due) = delivery.due_at { p class="hint" { (texts.next_attempt) ": " (visit.time(due)) } }
            @if !logged.attempts.is_empty() { (attempts(visit, logged, good)) }
            @if visit.may(Scope::Update) {
                form method="post" action={ (visit.base) "/deliveries/" (delivery.id) "/again" } {
                    p class="row" {
                        button { (texts.redeliver) }
                        @if matches!(delivery.state, DeliveryState::Ended(End::Exhausted | End::Expired)) {
                            a href={ (visit.base) "/" (hook) "/recover?since=" (delivery.created_at) } { (texts.recover_from_here) }
                        }
                    }
                }
            }
        }
    }
}

fn attempts(visit: &Visit, logged: &LoggedDelivery, good: Option<&Attempt>) -> Markup {
    let texts = visit.texts();
    html! {
        details {
            summary { (texts.attempts) ": " (logged.attempts.len()) }
            div class="wide" { table {
                thead { tr { th scope="col" { "#" } th scope="col" { (texts.time) } th scope="col" { (texts.took) } th scope="col" { (texts.answer) } } }
                tbody { @for attempt in &logged.attempts { tr {
                    td { (attempt.number) }
                    td { (visit.time(attempt.at)) }
                    td { (attempt.took.as_millis()) " ms" }
                    td class=(if attempt.outcome.is_success() { "good" } else { "bad" }) { (visit.outcome(&attempt.outcome)) }
                } } }
            } }
            @if let (Some(good), Some(failed)) = (good, logged.attempts.last().filter(|_| has_failed(logged))) {
                div class="beside" {
                    (attempt(visit, &texts.this_attempt, failed))
                    (attempt(visit, &texts.last_good, good))
                }
            }
        }
    }
}

/// Whether the last attempt of a delivery has failed.
fn has_failed(logged: &LoggedDelivery) -> bool {
    logged.attempts.last().is_some_and(|it| !it.outcome.is_success())
}

/// Returns the last attempt for a webhook that has succeeded, of the newest delivery that was delivered.
async fn last_good(visit: &Visit, id: HookId) -> Result<Option<Attempt>, Response> {
    let query = DeliveryQuery::new().webhook(id).state(DeliveryState::Ended(End::Delivered));
    let query = query.page(PageRequest::first().with_limit(1));
    let listed = visit.tenant.deliveries_with_attempts(&query).await.map_err(|error| visit.failed(&error))?;
    Ok(listed.items.into_iter().next().and_then(|it| it.attempts.into_iter().next_back()))
}

/// One attempt, to be read beside another.
fn attempt(visit: &Visit, title: &str, attempt: &Attempt) -> Markup {
    let texts = visit.texts();
    let class = if attempt.outcome.is_success() { "good" } else { "bad" };
    html! {
        section {
            h3 { (title) }
            dl {
                dt { (texts.time) } dd { (visit.time(attempt.at)) }
                dt { (texts.took) } dd { (attempt.took.as_millis()) " ms" }
                dt { (texts.answer) } dd class=(class) { (visit.outcome(&attempt.outcome)) }
            }
            @if let Outcome::Answered { body, .. } = &attempt.outcome {
                @if !body.is_empty() { pre dir="auto" { (body) } }
            }
        }
    }
}

fn name(texts: &Texts, state: DeliveryState) -> &str {
    match state {
        DeliveryState::Pending => &texts.pending,
        DeliveryState::Ended(End::Cancelled) => &texts.cancelled,
        DeliveryState::Ended(End::Delivered) => &texts.delivered,
        DeliveryState::Ended(End::Erased) => &texts.erased,
        DeliveryState::Ended(End::Expired) => &texts.expired,
        DeliveryState::Ended(_) => &texts.exhausted,
    }
}

pub(super) async fn again(visit: Visit, Id(id): Id<DeliveryId>) -> Answer {
    visit.tenant.redeliver(id).await.map_err(|error| visit.failed(&error))?;
    visit.log("a user had a delivery made again", &id);
    Ok(visit.go(""))
}

/// A search by the id of a message, and what became of it.
pub(super) async fn explain(visit: Visit, mut params: Params) -> Answer {
    let asked: Option<String> = params.take("message").unwrap_or_default();
    let texts = visit.texts();
    let found = match asked.as_deref().map(str::trim).filter(|it| !it.is_empty()) {
        None => None,
        Some(text) => Some(match MessageId::new(text) {
            Ok(id) => {
                visit.tenant.explain(&id).await.map(|it| told(&visit, &it)).map_err(|it| visit.failed(&it))?
            }
            Err(_) => texts.not_found.to_string(),
        }),
    };
    let body = html! {
        h1 { (texts.explain) }
        form method="get" {
            div class="field" {
                label for="message" { (texts.message) }
                input id="message" name="message" value=(asked.as_deref().unwrap_or_default()) aria-describedby="message-told";
                p id="message-told" class="hint" { (texts.explain_hint) }
            }
            button { (texts.explain) }
        }
        @if let Some(found) = found { pre role="status" { (found) } }
    };
    Ok(visit.show(&texts.explain, &body))
}

/// Returns an explanation as the caller may see it: what a receiver answered last may point to a secret path.
fn told(visit: &Visit, explanation: &Explanation) -> String {
    if visit.may(Scope::Update) {
        return explanation.to_string();
    }
    let fates = explanation.fates();
    let lines: Vec<_> = fates.iter().map(|(hook_id, fate)| format!("webhook {hook_id}: {fate}")).collect();
    format!("{}\n{}", explanation.event, lines.join("\n"))
}
