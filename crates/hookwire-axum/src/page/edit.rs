//! Adding and editing a webhook: name, URL, events, trial of each, and saving.

use axum::http::StatusCode;
use axum::response::Response;
use hookwire::model::{CreationKey, EventType, Outcome, Scope};
use hookwire::service::{Created, CreatedOnce, PingOutcome, PingReport};
use hookwire::{Error, ErrorKind, HookId, Webhook, envelope};
use maud::{Markup, html};
use uuid::Uuid;

use super::form::{Faults, Fields};
use super::parameters::{Editor, Preview, names, parsed, pretty, sample};
use super::secret::secret;
use super::shell::with_status;
use super::texts::Texts;
use super::visit::{Answer, Visit};
use crate::access::Department;
use crate::read::Id;

/// The form as it is shown: what was typed, what is wrong with it, and what a trial has brought.
#[derive(Default)]
struct Form {
    fields: Fields,
    faults: Faults,
    refused: Option<String>,
    tried: Option<Tried>,
    editor: Editor,
}

/// What came of a trial.
struct Tried {
    report: PingReport,
    /// The key of the event that was sent, if one was.
    event: Option<String>,
    /// The example of its request.
    body: Option<String>,
}

pub(super) async fn add(visit: Visit) -> Answer {
    if !visit.may(Scope::Create) {
        return Err(visit.not_found());
    }
    form(&visit, None, Form { fields: with_new_key(Fields::default()), ..Form::default() }).await
}

pub(super) async fn create(visit: Visit, fields: Fields) -> Answer {
    if let Some(tried) = tried(&visit, &fields, None).await? {
        let editor = Editor::typed(&fields);
        return form(&visit, None, Form { fields, tried: Some(tried), editor, ..Form::default() }).await;
    }
    let template = match parsed(&visit, fields.get("template")) {
        Ok(template) => template,
        Err(faults) => {
            let editor = Editor { faults, ..Editor::typed(&fields) };
            let refused = Some(visit.texts().correct.to_string());
            return unprocessable(&visit, None, Form { fields, refused, editor, ..Form::default() }).await;
        }
    };
    if fields.get("do") == "preview" {
        let preview = chosen(&visit, &fields).next().zip(template.as_ref());
        let preview = preview.and_then(|(event, template)| Preview::of(&visit, event, template));
        let editor = Editor { preview, ..Editor::typed(&fields) };
        return form(&visit, None, Form { fields, editor, ..Form::default() }).await;
    }
    save_new(&visit, fields).await
}

/// Creates the webhook. A form that is sent twice creates one.
async fn save_new(visit: &Visit, fields: Fields) -> Answer {
    let draft = fields.draft(visit.hooks().catalog(), None);
    let fields = if fields.get("key").is_empty() { with_new_key(fields) } else { fields };
    let key = CreationKey::new(fields.get("key")).map_err(|_| visit.not_found())?;
    match visit.tenant.create_once(&key, &draft).await {
        Ok(CreatedOnce::Now(created)) => Ok(created_page(visit, &created)),
        Ok(CreatedOnce::Before(webhook)) => Ok(visit.go(&format!("/{}", webhook.hook_id()))),
        Err(error) if *error.kind() == ErrorKind::CreationKeyReused => {
            let refused = Some(visit.texts().created_already.to_string());
            let editor = Editor::typed(&fields);
            let shown = Form { fields: with_new_key(fields), refused, editor, ..Form::default() };
            unprocessable(visit, None, shown).await
        }
        Err(error) => refused(visit, None, fields, &error).await,
    }
}

/// The page that shows the secret of a new webhook.
fn created_page(visit: &Visit, created: &Created) -> Response {
    let (texts, webhook) = (visit.texts(), created.webhook());
    let body = html! {
        h1 { (webhook.name()) }
        @for warning in created.warnings() { p class="warning" { (warning) } }
        (secret(texts, created.secret().expose().as_str()))
        p { a class="button" href={ (visit.base) "/" (webhook.hook_id()) } { (texts.webhooks) } }
    };
    visit.show(webhook.name(), &body)
}

/// Gives a form the key by which it creates one webhook, however often it is sent.
fn with_new_key(mut fields: Fields) -> Fields {
    fields.set("key", Uuid::new_v4().to_string());
    fields
}

/// The events that are ticked.
fn chosen<'a>(visit: &'a Visit, fields: &'a Fields) -> impl Iterator<Item = &'a EventType> {
    visit.hooks().catalog().visible().filter(|it| fields.has("event", it.key()))
}

pub(super) async fn edit(visit: Visit, Id(id): Id<HookId>) -> Answer {
    let webhook = present(&visit, id).await?;
    let fields = Fields::of(&visit.hooks().catalog().show(&webhook));
    form(&visit, Some(&webhook), Form { fields, ..Form::default() }).await
}

pub(super) async fn save(visit: Visit, Id(id): Id<HookId>, fields: Fields) -> Answer {
    let webhook = present(&visit, id).await?;
    if let Some(tried) = tried(&visit, &fields, Some(&webhook)).await? {
        return form(&visit, Some(&webhook), Form { fields, tried: Some(tried), ..Form::default() }).await;
    }
    let draft = fields.draft(visit.hooks().catalog(), Some(&webhook));
    match visit.tenant.replace(id, &draft).await {
        Ok(_) => Ok(visit.go(&format!("/{id}"))),
        Err(error) => refused(&visit, Some(&webhook), fields, &error).await,
    }
}

/// Reads the webhook that is to be edited.
async fn present(visit: &Visit, id: HookId) -> Result<Webhook, Response> {
    if !visit.may(Scope::Update) {
        return Err(visit.not_found());
    }
    visit.tenant.get(id).await.map_err(|error| visit.failed(&error))
}

/// Does what the buttons for trials ask for, if it was one of them.
async fn tried(visit: &Visit, fields: &Fields, present: Option<&Webhook>) -> Result<Option<Tried>, Response> {
    let draft = fields.draft(visit.hooks().catalog(), present);
    let (report, event) = match fields.get("do") {
        "ping-url" => (visit.tenant.ping_url(draft.url()).await, None),
        "ping-event" => {
            let event = visit.hooks().catalog().by_key(fields.get("test"));
            let event = event.ok_or_else(|| visit.not_found())?;
            let same = present.filter(|it| it.url().as_str() == draft.url());
            let report = match same {
                Some(webhook) => visit.tenant.ping_event(webhook.hook_id(), event.id()).await,
                None => visit.tenant.ping_event(&draft, event.id()).await,
            };
            (report, Some(event))
        }
        _ => return Ok(None),
    };
    let report = report.map_err(|error| visit.failed(&error))?;
    // Of a webhook that is there, the body may be another one, by its template or its envelope.
    let body = event.filter(|_| present.is_none()).and_then(|event| example(visit, event));
    Ok(Some(Tried { report, event: event.map(|it| it.key().to_owned()), body }))
}

/// Returns an example of the body that is sent for an event.
fn example(visit: &Visit, event: &EventType) -> Option<String> {
    let envelope = visit.hooks().catalog().envelope();
    pretty(&envelope::body(envelope, &sample(visit, event)?, event.key(), visit.tenant.id()))
}

async fn refused(visit: &Visit, present: Option<&Webhook>, fields: Fields, error: &Error) -> Answer {
    let faults = visit.faults(error.violations());
    if faults.is_empty() {
        return Err(visit.failed(error));
    }
    let refused = Some(visit.texts().correct.to_string());
    let editor = Editor { faults: faults.of_template(), ..Editor::typed(&fields) };
    unprocessable(visit, present, Form { fields, faults, refused, editor, tried: None }).await
}

/// Shows the form with what is wrong with it.
async fn unprocessable(visit: &Visit, present: Option<&Webhook>, shown: Form) -> Answer {
    Ok(with_status(StatusCode::UNPROCESSABLE_ENTITY, form(visit, present, shown).await?))
}

async fn form(visit: &Visit, present: Option<&Webhook>, form: Form) -> Answer {
    let (texts, departments) = (visit.texts(), visit.departments().await?);
    let title = if present.is_some() { &texts.edit } else { &texts.add_webhook };
    let besides: Vec<_> =
        form.faults.besides(&["name", "description", "url", "ignore_source", "events"]).collect();
    let body = html! {
        h1 { (title) }
        @if let Some(refused) = &form.refused { p class="bad" role="alert" { (refused) } }
        @for fault in &besides { p class="bad" { (fault) } }
        form method="post" {
            @if present.is_none() { input type="hidden" name="key" value=(form.fields.get("key")); }
            (input(&form, "name", &texts.name, "", "text"))
            (input(&form, "description", &texts.description, "", "text"))
            (input(&form, "url", &texts.callback_url, &texts.callback_url_hint, "url"))
            (input(&form, "ignore_source", &texts.source_id, &texts.source_id_hint, "text"))
            p { button name="do" value="ping-url" data-in-place { (texts.ping_url) } }
            fieldset id="events" aria-describedby="events-fault" {
                legend { (texts.select_event) }
                div id="events-fault" { @for fault in form.faults.of("events") { p class="bad" { (fault) } } }
                (events(visit, &form, &departments))
            }
            p class="row" {
                label for="test" { (texts.event_to_test) }
                select id="test" name="test" {
                    @for event in visit.hooks().catalog().visible() {
                        option value=(event.key()) selected[form.fields.get("test") == event.key()] { (event.name()) }
                    }
                }
                button name="do" value="ping-event" data-in-place { (texts.ping_event) }
            }
            @if present.is_none() && visit.hooks().catalog().allows_templates() { (parameters(visit, &form)) }
            div id="result" {
                @if let Some(tried) = &form.tried { (outcome(texts, tried)) }
                @if let Some(preview) = &form.editor.preview { (preview.shown(texts)) }
            }
            p class="row" {
                button class="main" name="do" value="save" {
                    @if present.is_some() { (texts.save) } @else { (texts.create_webhook) }
                }
                @let back = present.map(|it| format!("{}/{}", visit.base, it.hook_id()));
                a class="button" href=(back.as_deref().unwrap_or_else(|| visit.home())) { (texts.cancel) }
            }
        }
    };
    Ok(visit.show(title, &body))
}

/// The template of a new webhook's bodies, for all events that are chosen.
fn parameters(visit: &Visit, form: &Form) -> Markup {
    let (texts, editor) = (visit.texts(), &form.editor);
    html! {
        details open[!editor.text.is_empty()] {
            summary { (texts.manage_parameters) }
            (editor.field(texts))
            p { button name="do" value="preview" data-in-place { (texts.preview) } }
            (names(texts, chosen(visit, &form.fields)))
        }
    }
}

/// A field with its label, its hint and what is wrong with it.
fn input(form: &Form, name: &str, label: &str, hint: &str, kind: &str) -> Markup {
    let faults: Vec<_> = form.faults.of(name).collect();
    let described = (!faults.is_empty() || !hint.is_empty()).then(|| format!("{name}-told"));
    html! {
        div class="field" {
            label for=(name) { (label) }
            input id=(name) name=(name) type=(kind) value=(form.fields.get(name)) dir="auto" autocomplete="off"
                aria-invalid=[(!faults.is_empty()).then_some("true")] aria-describedby=[described.as_deref()];
            @if let Some(id) = &described {
                div id=(id) {
                    @if !hint.is_empty() { p class="hint" { (hint) } }
                    @for fault in &faults { p class="bad" { (fault) } }
                }
            }
        }
    }
}

/// The events by module, each with the departments to choose from.
fn events(visit: &Visit, form: &Form, departments: &[Department]) -> Markup {
    let catalog = visit.hooks().catalog();
    let mut modules: Vec<&str> = Vec::new();
    for event in catalog.visible() {
        if !modules.contains(&event.module()) {
            modules.push(event.module());
        }
    }
    html! {
        @for module in modules {
            @if !module.is_empty() { h2 { (module) } }
            ul class="events" {
                @for event in catalog.visible().filter(|it| it.module() == module) {
                    li { (choice(visit.texts(), form, event, departments)) }
                }
            }
        }
        // Patterns, and events that users do not see: they stay ticked.
        @for (name, value) in form.fields.iter() {
            @if name == "event" && !catalog.visible().any(|it| it.key() == value) {
                label { input type="checkbox" name="event" value=(value) checked; " " code { (value) } }
            }
            // Departments that have no box of their own: they stay chosen.
            @if let Some(key) = name.strip_prefix("departments.") {
                @if !has_box(visit, departments, key, value) {
                    label { input type="checkbox" name=(name) value=(value) checked; " " code { (key) " " (value) } }
                }
            }
        }
    }
}

/// Whether the form shows a box for a department of an event.
fn has_box(visit: &Visit, departments: &[Department], key: &str, id: &str) -> bool {
    visit.hooks().catalog().visible().any(|it| it.key() == key)
        && departments.iter().any(|it| it.id.to_string() == id)
}

fn choice(texts: &Texts, form: &Form, event: &EventType, departments: &[Department]) -> Markup {
    let field = format!("departments.{}", event.key());
    html! {
        label {
            input type="checkbox" name="event" value=(event.key()) checked[form.fields.has("event", event.key())];
            " " (event.name())
        }
        @if !departments.is_empty() {
            details {
                summary { (texts.departments) }
                p class="hint" { (texts.departments_hint) }
                @for department in departments {
                    @let id = department.id.to_string();
                    label { input type="checkbox" name=(field) value=(id) checked[form.fields.has(&field, &id)]; " " (department.name) }
                }
            }
        }
    }
}

/// What came of a trial: the request, and the answer.
fn outcome(texts: &Texts, tried: &Tried) -> Markup {
    let class = if tried.report.is_success() { "good" } else { "bad" };
    html! {
        section class="tried" role="status" {
            h2 { @if let Some(event) = &tried.event { (texts.ping_event) ": " (event) } @else { (texts.ping_url) } }
            @match &tried.report.outcome {
                PingOutcome::Invalid(violations) => {
                    @for violation in violations { p class="bad" { (violation.message()) } }
                }
                PingOutcome::Sent(outcome) => {
                    p class=(class) { (outcome) " (" (tried.report.took.as_millis()) " ms)" }
                    @if let Outcome::Answered { body, .. } = outcome {
                        @if !body.is_empty() { h3 { (texts.answered) } pre dir="auto" { (body) } }
                    }
                }
                _ => {}
            }
            @if let Some(body) = &tried.body { h3 { (texts.sent) } pre dir="auto" { (body) } }
        }
    }
}
