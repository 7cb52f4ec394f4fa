//! Manage Parameters: the template of a webhook's bodies, in an editor.

use axum::http::StatusCode;
use axum::response::Response;
use hookwire::model::{BodyTemplate, EventType, MessageId, Scope, Violation};
use hookwire::service::Details;
use hookwire::{Event, HookId, envelope};
use maud::{Markup, html};
use serde_json::Value;

use super::form::{Faults, Fields};
use super::shell::with_status;
use super::visit::{Answer, Visit};
use crate::read::Id;

/// The editor as it is shown.
struct Editor {
    text: String,
    faults: Faults,
    preview: Option<String>,
}

pub(super) async fn edit(visit: Visit, Id(id): Id<HookId>) -> Answer {
    let details = present(&visit, id).await?;
    let text = details.options.template().map(|it| format!("{it:#}")).unwrap_or_default();
    Ok(shown(&visit, &details, &Editor { text, faults: Faults::default(), preview: None }))
}

pub(super) async fn save(visit: Visit, Id(id): Id<HookId>, fields: Fields) -> Answer {
    let details = present(&visit, id).await?;
    let text = fields.get("template").to_owned();
    let parsed = (!text.is_empty()).then(|| BodyTemplate::parse(&text)).transpose();
    let template = match parsed {
        Ok(template) => template,
        Err(error) => return Ok(refused(&visit, &details, text, &error.violations)),
    };
    let text = match (&template, fields.get("do")) {
        (Some(template), "beautify" | "preview") => format!("{template:#}"),
        _ => text,
    };
    if matches!(fields.get("do"), "beautify" | "preview") {
        let is_asked = fields.get("do") == "preview";
        let preview = template.filter(|_| is_asked).and_then(|it| preview(&visit, &details, &it));
        return Ok(shown(&visit, &details, &Editor { text, faults: Faults::default(), preview }));
    }
    let options = details.options.clone().with_template(template);
    match visit.tenant.set_options(id, options).await {
        Ok(()) => Ok(visit.go(&format!("/{id}"))),
        Err(error) if error.violations().is_empty() => Err(visit.failed(&error)),
        Err(error) => Ok(refused(&visit, &details, text, error.violations())),
    }
}

async fn present(visit: &Visit, id: HookId) -> Result<Details, Response> {
    if !visit.may(Scope::Update) || !visit.hooks().catalog().allows_templates() {
        return Err(visit.not_found());
    }
    visit.tenant.details(id).await.map_err(|error| visit.failed(&error))
}

fn refused(visit: &Visit, details: &Details, text: String, violations: &[Violation]) -> Response {
    let faults = visit.faults(violations);
    let shown = shown(visit, details, &Editor { text, faults, preview: None });
    with_status(StatusCode::UNPROCESSABLE_ENTITY, shown)
}

fn shown(visit: &Visit, details: &Details, editor: &Editor) -> Response {
    let (texts, faults) = (visit.texts(), editor.faults.all());
    let body = html! {
        h1 { (texts.manage_parameters) ": " span dir="auto" { (details.webhook.name()) } }
        form method="post" {
            div class="field" {
                label for="template" { "JSON" }
                textarea id="template" name="template" rows="12" dir="ltr" spellcheck="false"
                    aria-invalid=[(!faults.is_empty()).then_some("true")] aria-describedby="template-told" { "\n" (editor.text) }
                div id="template-told" {
                    p class="hint" { (texts.parameters_hint) }
                    @for fault in &faults { p class="bad" { (fault) } }
                }
            }
            p class="row" {
                button class="main" name="do" value="save" { (texts.save) }
                button name="do" value="beautify" { (texts.beautify) }
                button name="do" value="preview" data-in-place { (texts.preview) }
                a class="button" href={ (visit.base) "/" (details.webhook.hook_id()) } { (texts.cancel) }
            }
        }
        div id="result" {
            @if let Some(preview) = &editor.preview {
                section class="tried" role="status" { h2 { (texts.preview) } pre dir="auto" { (preview) } }
            }
        }
        (params(visit, details))
    };
    visit.show(&texts.manage_parameters, &body)
}

/// The events of the catalog that the webhook wants.
fn wanted<'a>(visit: &'a Visit, details: &'a Details) -> impl Iterator<Item = &'a EventType> {
    let catalog = visit.hooks().catalog();
    catalog.visible().filter(|it| details.webhook.subscription(it.id(), catalog).is_some())
}

/// Returns what the template makes of the sample of the first event that the webhook wants.
fn preview(visit: &Visit, details: &Details, template: &BodyTemplate) -> Option<String> {
    let event = wanted(visit, details).next()?;
    let id = MessageId::new("msg_preview").ok()?;
    let sample = Event::new(event.id(), event.sample()).ok()?.actor("maria@example.com");
    let sample = sample.stamped(|| id, visit.hooks().now());
    let body = envelope::render(template, &sample, event.key(), visit.tenant.id());
    let value: Value = serde_json::from_slice(&body).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

/// The parameters that there are: those of each event, and those of the samples.
fn params(visit: &Visit, details: &Details) -> Markup {
    const OF_EACH: [&str; 7] =
        ["payload", "eventType", "eventTime", "eventBy", "orgId", "department", "messageId"];
    let texts = visit.texts();
    html! {
        details {
            summary { (texts.insert_params) }
            ul { @for name in OF_EACH { li { code { "\"${" (name) "}\"" } } } }
            @for event in wanted(visit, details) {
                h2 { (event.name()) }
                ul { @for path in paths(event) { li { code { "\"${payload." (path) "}\"" } } } }
            }
        }
    }
}

/// The members of a sample that a parameter can name, two levels deep.
fn paths(event: &EventType) -> Vec<String> {
    let sample: Value = serde_json::from_str(event.sample().get()).unwrap_or_default();
    let is_named = |name: &&String| !name.contains(['.', '}']);
    let mut paths = Vec::new();
    for (name, value) in sample.as_object().into_iter().flatten().filter(|(name, _)| is_named(name)) {
        paths.push(name.clone());
        let within = value.as_object().into_iter().flatten().filter(|(name, _)| is_named(name));
        paths.extend(within.map(|(inner, _)| format!("{name}.{inner}")));
    }
    paths
}
