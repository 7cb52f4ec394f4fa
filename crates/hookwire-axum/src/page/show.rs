//! The list of webhooks, and the page of one: its state, and what can be done with it.

use hookwire::model::Scope;
use hookwire::registry::Backlog;
use hookwire::service::{Details, Rotation};
use hookwire::{ErrorKind, HookId};
use maud::{Markup, html};

use super::chart;
use super::form::{Fields, key};
use super::secret::secret;
use super::visit::{Answer, Visit};
use crate::read::Id;

pub(super) async fn list(visit: Visit) -> Answer {
    let webhooks = visit.tenant.list().await.map_err(|error| visit.failed(&error))?;
    let mut rows = Vec::with_capacity(webhooks.len());
    for webhook in &webhooks {
        match visit.tenant.details(webhook.hook_id()).await {
            Ok(details) => rows.push(details),
            // It was deleted just now.
            Err(error) if *error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(visit.failed(&error)),
        }
    }
    let texts = visit.texts();
    let most = visit.tenant.limits().map(|it| it.webhooks());
    let is_full = most.is_some_and(|most| webhooks.len() >= most);
    let body = html! {
        h1 { (texts.webhooks) }
        @if let Some(most) = most { p class="hint" { (webhooks.len()) " " (texts.used) " " (most) } }
        @if visit.may(Scope::Create) {
            @if is_full { p class="warning" { (texts.limit_reached) } }
            @else { p { a class="button main" href={ (visit.base) "/new" } { (texts.add_webhook) } } }
        }
        @if rows.is_empty() { p { (texts.no_webhooks) } } @else { (table(&visit, &rows)) }
        @if !visit.page().addresses.is_empty() {
            p class="hint" { (texts.addresses) " " (visit.page().addresses.join(", ")) }
        }
    };
    Ok(visit.show(&texts.webhooks, &body))
}

fn table(visit: &Visit, rows: &[Details]) -> Markup {
    let texts = visit.texts();
    html! {
        div class="wide" { table {
            thead { tr { th scope="col" { (texts.name) } th scope="col" { (texts.callback_url) } th scope="col" { (texts.status) } th scope="col" { (texts.health) } } }
            tbody { @for row in rows { tr {
                td { a href={ (visit.base) "/" (row.webhook.hook_id()) } dir="auto" { (row.webhook.name()) } }
                td class="url" dir="ltr" { (visit.url(row.webhook.url().as_str())) }
                td { (status(visit, row)) }
                td { (health(visit, row)) }
            } } }
        } }
    }
}

fn status(visit: &Visit, details: &Details) -> Markup {
    let texts = visit.texts();
    html! {
        @if !details.webhook.status().is_enabled() { span class="tag bad" { (texts.disabled) } }
        @else if details.paused.is_some() { span class="tag" { (texts.paused) } }
        @else { span class="tag good" { (texts.enabled) } }
    }
}

fn health(visit: &Visit, details: &Details) -> Markup {
    let texts = visit.texts();
    html! {
        @match (&details.disabled, details.failing_since) {
            (Some(disabled), _) if disabled.reason.is_some() => { span class="bad" { (disabled) } }
            (_, Some(since)) => { span class="bad" { (texts.failing_since) " " (visit.time(since)) } }
            _ => { span { (texts.healthy) } }
        }
    }
}

pub(super) async fn show(visit: Visit, Id(id): Id<HookId>) -> Answer {
    shown(&visit, id, None).await
}

async fn shown(visit: &Visit, id: HookId, notice: Option<Markup>) -> Answer {
    let details = visit.tenant.details(id).await.map_err(|error| visit.failed(&error))?;
    let (texts, webhook) = (visit.texts(), visit.hooks().catalog().show(&details.webhook));
    let chart = chart::of(visit, id).await?;
    let body = html! {
        h1 dir="auto" { (webhook.name) }
        div id="result" { @if let Some(notice) = notice { (notice) } }
        dl {
            @if let Some(description) = &webhook.description { dt { (texts.description) } dd dir="auto" { (description) } }
            dt { (texts.callback_url) } dd class="url" dir="ltr" { (visit.url(webhook.url.as_str())) }
            @if let Some(source) = &webhook.ignore_source { dt { (texts.source_id) } dd dir="auto" { (source) } }
            dt { (texts.status) } dd { (status(visit, &details)) }
            dt { (texts.health) } dd { (health(visit, &details)) }
            dt { (texts.select_event) } dd { ul { @for event in &webhook.events { li { (key(event)) } } } }
        }
        (chart)
        p class="row" {
            a class="button" href={ (visit.base) "/" (id) "/deliveries" } { (texts.deliveries) }
            @if visit.may(Scope::Update) {
                a class="button" href={ (visit.base) "/" (id) "/edit" } { (texts.edit) }
                @if visit.hooks().catalog().allows_templates() {
                    a class="button" href={ (visit.base) "/" (id) "/parameters" } { (texts.manage_parameters) }
                }
            }
        }
        (actions(visit, &details))
    };
    Ok(visit.show(&webhook.name, &body))
}

/// The buttons for what the caller may do.
fn actions(visit: &Visit, details: &Details) -> Markup {
    let texts = visit.texts();
    let button = |act: &str, text: &str| html! { button name="do" value=(act) { (text) } };
    html! {
        @if visit.may(Scope::Update) {
            form method="post" class="row" {
                @if details.webhook.status().is_enabled() { (button("disable", &texts.disable)) }
                @else { (button("enable", &texts.enable)) }
                @if details.paused.is_some() { (button("resume", &texts.resume)) }
                @else { (button("pause", &texts.pause)) }
                (button("reveal", &texts.reveal))
                (button("rotate", &texts.rotate))
            }
            form method="post" {
                p {
                    button name="do" value="check" data-in-place { (texts.check_receiver) } " "
                    span class="hint" { (texts.check_hint) }
                }
            }
            form method="get" action={ (visit.base) "/" (details.webhook.hook_id()) "/recover" } class="row" {
                label for="since" { (texts.recover) }
                input id="since" name="since" type="date" required;
                button { (texts.count) }
            }
        }
        @if visit.may(Scope::Delete) {
            details class="danger" {
                summary { (texts.delete) }
                form method="post" { p { (texts.delete_question) } (button("delete", &texts.delete)) }
            }
        }
    }
}

/// Does what a button asks for.
pub(super) async fn act(visit: Visit, Id(id): Id<HookId>, fields: Fields) -> Answer {
    let tenant = &visit.tenant;
    let done = match fields.get("do") {
        "enable" => tenant.enable(id, Backlog::Resume).await.map(|_| None),
        "disable" => tenant.disable(id).await.map(|_| None),
        "pause" => tenant.pause(id).await.map(|_| None),
        "resume" => tenant.resume(id).await.map(|_| None),
        "delete" => match tenant.delete(id).await {
            Ok(()) => return Ok(visit.go("")),
            Err(error) => Err(error),
        },
        "check" => tenant.check_receiver(id).await.map(|it| {
            let class = if it.is_passed() { "good" } else { "bad" };
            Some(html! { pre class=(class) role="status" { (it) } })
        }),
        "reveal" => tenant.reveal_secret(id).await.map(|key| {
            visit.log("a user looked at the secret", &id);
            Some(secret(visit.texts(), key.expose().as_str()))
        }),
        "rotate" => tenant.rotate_secret(id, Rotation::default()).await.map(|key| {
            visit.log("a user replaced the secret", &id);
            Some(secret(visit.texts(), key.expose().as_str()))
        }),
        _ => return Err(visit.not_found()),
    };
    match done {
        Ok(None) => Ok(visit.go(&format!("/{id}"))),
        Ok(notice) => shown(&visit, id, notice).await,
        Err(error) => Err(visit.failed(&error)),
    }
}
