use thiserror::Error;

use super::check::{UrlRule, check_draft};
use super::limits::Limits;
use super::state::{Backlog, Registered, Registry, RegistryChange, Version};
use crate::model::{
    Catalog, DeliveryOptions, EventId, HookId, Rule, SealedSecrets, Status, Subscription, Violation, Webhook,
    WebhookDraft, WebhookPatch,
};

/// What a tenant's webhooks are held against.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an argument list by name")]
pub struct Terms<'a> {
    /// The events that there are.
    pub catalog: &'a Catalog,
    /// How much the tenant may register; `None` when its edition has no webhooks.
    pub limits: Option<Limits>,
    /// Which callback URLs are accepted.
    pub urls: UrlRule,
}

/// Why nothing was changed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// What was asked for breaks rules: all of them.
    #[error("{}", join(.0))]
    Invalid(Vec<Violation>),
    /// What was asked for is sound, but more than the tenant may have.
    #[error("{}", join(.0))]
    LimitReached(Vec<Violation>),
    /// The tenant has no webhook of this id.
    #[error("there is no webhook {0}")]
    NotFound(HookId),
    /// The tenant's edition has no webhooks.
    #[error("webhooks are not part of this tenant's edition")]
    NotInEdition,
}

impl Refusal {
    /// Every violation; none where the matter is another.
    pub fn into_violations(self) -> Vec<Violation> {
        match self {
            Self::Invalid(violations) | Self::LimitReached(violations) => violations,
            Self::NotFound(_) | Self::NotInEdition => Vec::new(),
        }
    }
}

fn join(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A new webhook, as `draft` asks for it.
///
/// # Errors
///
/// [`Refusal::Invalid`] with every violation, [`Refusal::LimitReached`] when limits alone stand against
/// it, [`Refusal::NotInEdition`].
pub fn create(
    draft: &WebhookDraft,
    secrets: SealedSecrets,
    registry: &Registry,
    terms: Terms<'_>,
) -> Result<RegistryChange, Refusal> {
    let webhook = check(draft, registry.next_hook_id, None, registry, terms)?;
    let options = DeliveryOptions::default();
    let version = Version::default();
    Ok(RegistryChange::Create(Registered { webhook, options, secrets, version, disabled: None }))
}

/// The webhook as `draft` asks for it, keeping its id, its secrets, its options, and its status where the
/// draft names none.
///
/// # Errors
///
/// As [`create`], and [`Refusal::NotFound`].
pub fn replace(
    hook_id: HookId,
    draft: &WebhookDraft,
    registry: &Registry,
    terms: Terms<'_>,
) -> Result<RegistryChange, Refusal> {
    let present = find(hook_id, registry)?;
    let webhook = check(draft, hook_id, Some(&present.webhook), registry, terms)?;
    Ok(update(present, Backlog::Resume, |registered| registered.webhook = webhook))
}

/// The webhook with what `patch` names changed.
///
/// # Errors
///
/// As [`replace`].
pub fn patch(
    hook_id: HookId,
    patch: &WebhookPatch,
    registry: &Registry,
    terms: Terms<'_>,
) -> Result<RegistryChange, Refusal> {
    let draft = patch.apply(&find(hook_id, registry)?.webhook);
    replace(hook_id, &draft, registry, terms)
}

/// The webhook enabled or disabled. No limit stands against it: disabled webhooks count as well.
///
/// # Errors
///
/// [`Refusal::NotFound`].
pub fn set_status(
    hook_id: HookId,
    status: Status,
    backlog: Backlog,
    registry: &Registry,
) -> Result<RegistryChange, Refusal> {
    let set = |it: &mut Registered| it.webhook = it.webhook.clone().with_status(status);
    Ok(update(find(hook_id, registry)?, backlog, set))
}

/// The webhook with other options.
///
/// # Errors
///
/// [`Refusal::NotFound`].
pub fn set_options(
    hook_id: HookId,
    options: DeliveryOptions,
    registry: &Registry,
) -> Result<RegistryChange, Refusal> {
    Ok(update(find(hook_id, registry)?, Backlog::Resume, |it| it.options = options))
}

/// The webhook with other secrets.
///
/// # Errors
///
/// [`Refusal::NotFound`].
pub fn set_secrets(
    hook_id: HookId,
    secrets: SealedSecrets,
    registry: &Registry,
) -> Result<RegistryChange, Refusal> {
    Ok(update(find(hook_id, registry)?, Backlog::Resume, |it| it.secrets = secrets))
}

/// The webhook gone.
///
/// # Errors
///
/// [`Refusal::NotFound`].
pub fn delete(hook_id: HookId, registry: &Registry) -> Result<RegistryChange, Refusal> {
    find(hook_id, registry).map(|_| RegistryChange::Delete(hook_id))
}

fn find(hook_id: HookId, registry: &Registry) -> Result<&Registered, Refusal> {
    registry.get(hook_id).ok_or(Refusal::NotFound(hook_id))
}

/// A webhook that is enabled by whichever change is no longer one that hookwire disabled.
fn update(present: &Registered, backlog: Backlog, change: impl FnOnce(&mut Registered)) -> RegistryChange {
    let mut registered = present.clone();
    change(&mut registered);
    registered.version = present.version.next();
    if registered.webhook.status() == Status::Enabled {
        registered.disabled = None;
    }
    RegistryChange::Update(registered, backlog)
}

/// The webhook that `draft` asks for, in place of `present` if there is one.
fn check(
    draft: &WebhookDraft,
    hook_id: HookId,
    present: Option<&Webhook>,
    registry: &Registry,
    terms: Terms<'_>,
) -> Result<Webhook, Refusal> {
    let limits = terms.limits.ok_or(Refusal::NotInEdition)?;
    let status = present.map_or(Status::Enabled, Webhook::status);
    let checked = check_draft(draft, hook_id, status, (terms.catalog, &limits, terms.urls));
    let parts = checked.map_err(Refusal::Invalid)?;
    let over = over_limits(&parts.subscriptions, present, registry, &limits);
    if over.is_empty() {
        let violation = |error: crate::model::InvalidWebhook| {
            Refusal::Invalid(vec![Violation::new("webhook", Rule::Format, error.to_string())])
        };
        parts.try_into().map_err(violation)
    } else {
        Err(Refusal::LimitReached(over))
    }
}

/// A webhook that is there may stay as it is, even where the limits were lowered since.
fn over_limits(
    subscriptions: &[Subscription],
    present: Option<&Webhook>,
    registry: &Registry,
    limits: &Limits,
) -> Vec<Violation> {
    let mut over = Vec::new();
    if present.is_none() && registry.webhooks.len() >= limits.webhooks() {
        let most = limits.webhooks();
        over.push(limit("webhooks", format!("there are {most} webhooks, the most allowed; delete one")));
    }
    let had = |event| present.is_some_and(|webhook| webhook.subscription(event).is_some());
    let except = present.map(Webhook::hook_id);
    let full = |event: EventId| registry.subscribers(event, except) >= limits.webhooks_per_event();
    for (index, subscription) in subscriptions.iter().enumerate() {
        let event = subscription.event_id();
        if !had(event) && full(event) {
            let most = limits.webhooks_per_event();
            let message = format!("{most} webhooks have event {event}, the most allowed; take it from one");
            over.push(limit(&format!("subscriptions[{index}].event_id"), message));
        }
    }
    over
}

fn limit(field: &str, message: String) -> Violation {
    Violation::new(field, Rule::Limit, message)
}
