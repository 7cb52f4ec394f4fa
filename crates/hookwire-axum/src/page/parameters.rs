//! Manage Parameters: the template of the bodies of a webhook, or of one of its subscriptions, in an editor.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::response::Response;
use hookwire::model::{BodyTemplate, EventType, MessageId, Scope, StampedEvent};
use hookwire::service::Details;
use hookwire::{Error, Event, HookId, envelope, plain};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::form::{Fields, key};
use super::shell::with_status;
use super::texts::Texts;
use super::visit::{Answer, Visit};
use crate::read::{Id, Params};

/// What a template is for: a webhook, or one of its subscriptions.
struct Place {
    details: Details,
    webhook: plain::Webhook,
    /// The key or the pattern of the subscription.
    event: Option<String>,
}

/// The editor as it is shown.
#[derive(Default)]
pub(super) struct Editor {
    pub(super) text: String,
    pub(super) faults: BTreeSet<String>,
    pub(super) preview: Option<Preview>,
}

/// What a template makes of the sample of an event.
pub(super) struct Preview {
    body: String,
    /// The parameters that the sample does not have.
    missing: Vec<String>,
}

pub(super) async fn edit(visit: Visit, Id(id): Id<HookId>, params: Params) -> Answer {
    let place = place(&visit, id, params).await?;
    let text = place.template().map(|it| format!("{it:#}")).unwrap_or_default();
    Ok(shown(&visit, &place, &Editor { text, ..Editor::default() }))
}

pub(super) async fn save(visit: Visit, Id(id): Id<HookId>, params: Params, fields: Fields) -> Answer {
    let place = place(&visit, id, params).await?;
    let text = fields.get("template");
    let template = match parsed(&visit, text) {
        Ok(template) => template,
        Err(faults) => {
            return Ok(refused(&visit, &place, Editor { faults, ..Editor::typed(&fields) }));
        }
    };
    if matches!(fields.get("do"), "beautify" | "preview") {
        let is_asked = fields.get("do") == "preview";
        let preview = template.as_ref().filter(|_| is_asked);
        let preview =
            preview.zip(place.events(&visit).next()).and_then(|(it, event)| Preview::of(&visit, event, it));
        let text = template.map(|it| format!("{it:#}")).unwrap_or_default();
        return Ok(shown(&visit, &place, &Editor { text, preview, ..Editor::default() }));
    }
    match place.save(&visit, template).await {
        Ok(()) => Ok(visit.go(&format!("/{id}"))),
        Err(error) if error.violations().is_empty() => Err(visit.failed(&error)),
        Err(error) => {
            let faults = visit.faults(error.violations()).all().into_iter().collect();
            Ok(refused(&visit, &place, Editor { faults, ..Editor::typed(&fields) }))
        }
    }
}

/// Parses a template; none if nothing was typed.
///
/// # Errors
///
/// What is wrong with it, each with its place.
pub(super) fn parsed(visit: &Visit, text: &str) -> Result<Option<BodyTemplate>, BTreeSet<String>> {
    let parsed = (!text.is_empty()).then(|| BodyTemplate::parse(text)).transpose();
    parsed.map_err(|error| visit.faults(&error.violations).all().into_iter().collect())
}

/// Returns the sample of an event, as if it happened now.
pub(super) fn sample(visit: &Visit, event: &EventType) -> Option<StampedEvent> {
    let id = MessageId::new("msg_preview").ok()?;
    Some(Event::new(event.id(), event.sample()).ok()?.stamped(|| id, visit.hooks().now()))
}

/// Returns a body in lines, for people.
pub(super) fn pretty(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

async fn place(visit: &Visit, id: HookId, mut params: Params) -> Result<Place, Response> {
    if !visit.may(Scope::Update) || !visit.hooks().catalog().allows_templates() {
        return Err(visit.not_found());
    }
    let event: Option<String> = params.take("event").unwrap_or_default();
    let details = visit.tenant.details(id).await.map_err(|error| visit.failed(&error))?;
    let webhook = visit.hooks().catalog().show(&details.webhook);
    let has = |asked: &String| webhook.events.iter().any(|it| key(it) == asked);
    if event.as_ref().is_some_and(|it| !has(it)) {
        return Err(visit.not_found());
    }
    Ok(Place { details, webhook, event })
}

impl Place {
    fn template(&self) -> Option<&BodyTemplate> {
        let Some(event) = &self.event else { return self.details.options.template() };
        self.webhook.events.iter().find(|it| key(it) == event).and_then(|it| match it {
            plain::Subscription::Narrowed { template, .. } => template.as_ref(),
            plain::Subscription::Event(_) => None,
        })
    }

    /// The events for which the template is: all that the webhook wants, or those of the subscription.
    fn events<'a>(&'a self, visit: &'a Visit) -> impl Iterator<Item = &'a EventType> {
        let catalog = visit.hooks().catalog();
        // Both forms of a webhook have its subscriptions in the same order.
        let asked =
            self.event.as_ref().map(|asked| self.webhook.events.iter().position(|it| key(it) == asked));
        catalog.visible().filter(move |event| {
            let wanted = self.details.webhook.subscription(event.id(), catalog);
            let all = self.details.webhook.subscriptions();
            wanted.is_some_and(|it| asked.is_none_or(|at| at.and_then(|at| all.get(at)) == Some(it)))
        })
    }

    async fn save(&self, visit: &Visit, template: Option<BodyTemplate>) -> Result<(), Error> {
        let id = self.details.webhook.hook_id();
        let Some(event) = &self.event else {
            return visit.tenant.set_options(id, self.details.options.clone().with_template(template)).await;
        };
        let events = self.webhook.events.iter().map(|it| {
            if key(it) != event {
                return json!(it);
            }
            let mut object = json!(it);
            if !object.is_object() {
                object = json!({ "event": event });
            }
            object["template"] = json!(template);
            object
        });
        let patch = json!({ "events": events.collect::<Value>() });
        // Every object is a patch.
        let patch = visit.hooks().catalog().patch(&serde_json::from_value(patch).unwrap_or_default());
        visit.tenant.expecting(self.details.version).patch(id, &patch).await.map(drop)
    }
}

impl Preview {
    /// Returns what the template makes of the sample of an event.
    pub(super) fn of(visit: &Visit, event: &EventType, template: &BodyTemplate) -> Option<Self> {
        let sample = StampedEvent { actor: Some("maria@example.com".to_owned()), ..sample(visit, event)? };
        let body = envelope::render(template, &sample, event.key(), visit.tenant.id());
        let missing = template.missing_in(event.sample()).into_iter().map(|it| it.parameter).collect();
        Some(Self { body: pretty(&body)?, missing })
    }

    pub(super) fn shown(&self, texts: &Texts) -> Markup {
        html! {
            section class="tried" role="status" {
                h2 { (texts.preview) }
                pre dir="auto" { (self.body) }
                @for parameter in &self.missing {
                    p class="warning" { code { (parameter) } " " (texts.not_in_sample) }
                }
            }
        }
    }
}

impl Editor {
    /// Holds the template that was typed into a form.
    pub(super) fn typed(fields: &Fields) -> Self {
        Self { text: fields.get("template").to_owned(), ..Self::default() }
    }

    /// The field with what is wrong with it.
    pub(super) fn field(&self, texts: &Texts) -> Markup {
        html! {
            div class="field" {
                label for="template" { "JSON" }
                textarea id="template" name="template" rows="12" dir="ltr" spellcheck="false"
                    aria-invalid=[(!self.faults.is_empty()).then_some("true")] aria-describedby="template-told" { "\n" (self.text) }
                div id="template-told" {
                    p class="hint" { (texts.parameters_hint) }
                    @for fault in &self.faults { p class="bad" { (fault) } }
                }
            }
        }
    }
}

fn refused(visit: &Visit, place: &Place, editor: Editor) -> Response {
    with_status(StatusCode::UNPROCESSABLE_ENTITY, shown(visit, place, &editor))
}

fn shown(visit: &Visit, place: &Place, editor: &Editor) -> Response {
    let (texts, back) = (visit.texts(), format!("{}/{}", visit.base, place.details.webhook.hook_id()));
    let body = html! {
        h1 { (texts.manage_parameters) ": " a href=(back) dir="auto" { (place.webhook.name) } }
        (places(texts, place, &back))
        form method="post" {
            (editor.field(texts))
            p class="row" {
                button class="main" name="do" value="save" { (texts.save) }
                button name="do" value="beautify" { (texts.beautify) }
                button name="do" value="preview" data-in-place { (texts.preview) }
                a class="button" href=(back) { (texts.cancel) }
            }
        }
        div id="result" { @if let Some(preview) = &editor.preview { (preview.shown(texts)) } }
        (names(texts, place.events(visit)))
    };
    visit.show(&texts.manage_parameters, &body)
}

/// Links to the templates of the whole webhook and of each of its subscriptions.
fn places(texts: &Texts, place: &Place, base: &str) -> Markup {
    let is = |event: Option<&str>| (place.event.as_deref() == event).then_some("page");
    html! {
        nav aria-label=(texts.manage_parameters) {
            a href={ (base) "/parameters" } aria-current=[is(None)] { (texts.whole_webhook) }
            @for event in place.webhook.events.iter().map(key) {
                @let query = serde_urlencoded::to_string([("event", event)]).unwrap_or_default();
                a href={ (base) "/parameters?" (query) } aria-current=[is(Some(event))] { (event) }
            }
        }
    }
}

/// The parameters that there are: those of each event, and those of the samples.
pub(super) fn names<'a>(texts: &Texts, events: impl Iterator<Item = &'a EventType>) -> Markup {
    const OF_EACH: [&str; 7] =
        ["payload", "eventType", "eventTime", "eventBy", "orgId", "department", "messageId"];
    html! {
        details {
            summary { (texts.insert_params) }
            ul { @for name in OF_EACH { li { code data-param { "\"${" (name) "}\"" } } } }
            @for event in events {
                h2 { (event.name()) }
                ul { @for path in paths(event) { li { code data-param { "\"${payload." (path) "}\"" } } } }
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
