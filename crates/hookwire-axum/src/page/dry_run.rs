//! A dry run: which webhooks would get an event, and why the others would not. Nothing is published.

use hookwire::model::{DeptId, SourceId};
use hookwire::routing::{Route, Verdict};
use hookwire::{Event, HookId, Webhook};
use maud::{Markup, html};
use serde_json::value::RawValue;

use super::form::Fields;
use super::visit::{Answer, Visit};

pub(super) async fn ask(visit: Visit) -> Answer {
    Ok(shown(&visit, &Fields::default(), None))
}

pub(super) async fn run(visit: Visit, fields: Fields) -> Answer {
    let Some(event) = event(&visit, &fields) else {
        let faulty = html! { p class="bad" role="alert" { (visit.texts().no_event) } };
        return Ok(shown(&visit, &fields, Some(&faulty)));
    };
    let routes = visit.tenant.route(&event).await.map_err(|error| visit.failed(&error))?;
    let webhooks = visit.tenant.list().await.map_err(|error| visit.failed(&error))?;
    Ok(shown(&visit, &fields, Some(&table(&visit, &routes, &webhooks))))
}

/// Returns the event that the form describes; `None` if its payload, department or source are none.
fn event(visit: &Visit, fields: &Fields) -> Option<Event> {
    let kind = visit.hooks().catalog().by_key(fields.get("event"))?;
    let payload = match fields.get("payload") {
        "" => kind.sample().to_owned(),
        text => RawValue::from_string(text.to_owned()).ok()?,
    };
    let mut event = Event::new(kind.id(), &payload).ok()?;
    if let Some(text) = Some(fields.get("department")).filter(|it| !it.is_empty()) {
        event = event.department(DeptId::new(text.parse().ok()?));
    }
    if let Some(text) = Some(fields.get("source")).filter(|it| !it.is_empty()) {
        event = event.source(SourceId::new(text).ok()?);
    }
    Some(event)
}

fn shown(visit: &Visit, fields: &Fields, result: Option<&Markup>) -> axum::response::Response {
    let texts = visit.texts();
    let body = html! {
        h1 { (texts.dry_run) }
        p class="hint" { (texts.dry_run_hint) }
        form method="post" {
            div class="field" {
                label for="event" { (texts.event) }
                select id="event" name="event" {
                    @for event in visit.hooks().catalog().visible() {
                        option value=(event.key()) selected[fields.get("event") == event.key()] { (event.name()) }
                    }
                }
            }
            (input(&texts.department, "department", fields))
            (input(&texts.source_id, "source", fields))
            div class="field" {
                label for="payload" { (texts.payload) }
                textarea id="payload" name="payload" rows="6" dir="ltr" spellcheck="false" { "\n" (fields.get("payload")) }
            }
            button class="main" { (texts.dry_run) }
        }
        @if let Some(result) = result { (result) }
    };
    visit.show(&texts.dry_run, &body)
}

fn input(label: &str, name: &str, fields: &Fields) -> Markup {
    html! {
        div class="field" {
            label for=(name) { (label) }
            input id=(name) name=(name) value=(fields.get(name)) autocomplete="off";
        }
    }
}

fn table(visit: &Visit, routes: &[Route], webhooks: &[Webhook]) -> Markup {
    let texts = visit.texts();
    let name = |id: HookId| webhooks.iter().find(|it| it.hook_id() == id).map_or("", Webhook::name);
    html! {
        @if routes.is_empty() { p role="status" { (texts.no_webhooks) } } @else {
            div class="wide" role="status" { table {
                thead { tr { th scope="col" { (texts.name) } th scope="col" { (texts.dry_run) } } }
                tbody { @for route in routes { tr {
                    td { a href={ (visit.base) "/" (route.hook_id) } dir="auto" { (name(route.hook_id)) } }
                    @match route.verdict {
                        Verdict::Deliver => { td class="good" { (texts.would_be_sent) } }
                        Verdict::Skip(reason) => { td { (reason) } }
                    }
                } } }
            } }
        }
    }
}
