//! The operations on a tenant's webhooks, each from a request and the registry to a change or a refusal.

use super::check::{UrlRule, check_draft};
use super::limits::Limits;
use super::numbers::over_limits;
use super::refusal::Refusal;
use super::state::{Backlog, RegisteredWebhook, Registry, RegistryChange};
use crate::model::{
    Catalog, DeliveryOptions, Disabled, HookId, Rule, SealedSecrets, Status, Timestamp, Violation, Webhook,
    WebhookDraft, WebhookPatch,
};

/// The catalog, limits and URL rule by which a tenant's webhooks are checked.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an argument list by name")]
pub struct Terms<'a> {
    /// The events that a webhook can subscribe to.
    pub catalog: &'a Catalog,
    /// The limits of the tenant; `None` if its edition has no webhooks.
    pub limits: Option<Limits>,
    /// The kinds of callback URL that are accepted.
    pub urls: UrlRule,
    /// The time of the request.
    pub now: Timestamp,
}

/// Creates the webhook that `draft` asks for.
///
/// # Errors
///
/// Returns [`Refusal::Invalid`] with every violation, [`Refusal::LimitReached`] if the draft breaks only limits,
/// or [`Refusal::NotInEdition`].
pub fn create(
    draft: &WebhookDraft,
    secrets: SealedSecrets,
    registry: &Registry,
    terms: Terms<'_>,
) -> Result<RegistryChange, Refusal> {
    Ok(RegistryChange::Create(new_webhook(draft, secrets, registry, terms)?))
}

/// Returns the webhook that `draft` asks for, with the next id.
pub(super) fn new_webhook(
    draft: &WebhookDraft,
    secrets: SealedSecrets,
    registry: &Registry,
    terms: Terms<'_>,
) -> Result<RegisteredWebhook, Refusal> {
    let webhook = check(draft, registry.next_hook_id, None, registry, terms)?;
    let disabled = (!webhook.status().is_enabled()).then_some(Disabled::by_call(terms.now));
    Ok(RegisteredWebhook { secrets, disabled, ..RegisteredWebhook::new(webhook) })
}

/// Replaces the attributes of a webhook by those of `draft`.
///
/// The id, the secrets and the options stay. The status stays if the draft has none.
///
/// # Errors
///
/// Returns the errors of [`create`], and [`Refusal::NotFound`].
pub fn replace(
    hook_id: HookId,
    draft: &WebhookDraft,
    registry: &Registry,
    terms: Terms<'_>,
) -> Result<RegistryChange, Refusal> {
    let present = find(hook_id, registry)?;
    let webhook = check(draft, hook_id, Some(&present.webhook), registry, terms)?;
    Ok(update(present, Backlog::Resume, |it| it.set_webhook(webhook, terms.now)))
}

/// Changes the attributes of a webhook that `patch` names.
///
/// # Errors
///
/// Returns the errors of [`replace`].
pub fn patch(
    hook_id: HookId,
    patch: &WebhookPatch,
    registry: &Registry,
    terms: Terms<'_>,
) -> Result<RegistryChange, Refusal> {
    let draft = patch.apply(&find(hook_id, registry)?.webhook);
    replace(hook_id, &draft, registry, terms)
}

/// Enables or disables a webhook at the time `now`.
///
/// Limits are not checked, because disabled webhooks count too. `backlog` applies only if the webhook was disabled
/// before.
///
/// # Errors
///
/// Returns [`Refusal::NotFound`] if there is no such webhook.
pub fn set_status(
    hook_id: HookId,
    status: Status,
    backlog: Backlog,
    registry: &Registry,
    now: Timestamp,
) -> Result<RegistryChange, Refusal> {
    let present = find(hook_id, registry)?;
    let was_enabled = present.webhook.status().is_enabled();
    let backlog = if was_enabled { Backlog::Resume } else { backlog };
    Ok(update(present, backlog, |it| it.set_webhook(it.webhook.clone().with_status(status), now)))
}

/// Pauses a webhook at the time `now`, or resumes it. One that is paused already stays so since then.
///
/// # Errors
///
/// Returns [`Refusal::NotFound`] if there is no such webhook.
pub fn set_paused(
    hook_id: HookId,
    is_paused: bool,
    registry: &Registry,
    now: Timestamp,
) -> Result<RegistryChange, Refusal> {
    let set = |it: &mut RegisteredWebhook| it.paused = is_paused.then(|| it.paused.unwrap_or(now));
    Ok(update(find(hook_id, registry)?, Backlog::Resume, set))
}

/// Suspends a tenant at the time `now`, or ends that. One that is suspended already stays so since then.
pub fn set_suspended(is_suspended: bool, registry: &Registry, now: Timestamp) -> RegistryChange {
    RegistryChange::Suspend(is_suspended.then(|| registry.suspended.unwrap_or(now)))
}

/// Sets the options of a webhook, and the secrets that their signature scheme requires.
///
/// # Errors
///
/// Returns [`Refusal::NotFound`] if there is no such webhook, [`Refusal::Invalid`] if the catalog allows no templates and there
/// is one that the webhook has not yet.
pub fn set_options(
    hook_id: HookId,
    options: DeliveryOptions,
    secrets: SealedSecrets,
    registry: &Registry,
    catalog: &Catalog,
) -> Result<RegistryChange, Refusal> {
    let present = find(hook_id, registry)?;
    let is_new = options.template().is_some() && options.template() != present.options.template();
    if is_new && !catalog.allows_templates() {
        let message = "templates are not offered here; leave `template` out";
        return Err(Refusal::Invalid(vec![Violation::new("template", Rule::NotOffered, message)]));
    }
    let set = |it: &mut RegisteredWebhook| (it.options, it.secrets) = (options, secrets);
    Ok(update(present, Backlog::Resume, set))
}

/// Sets the secrets of a webhook.
///
/// # Errors
///
/// Returns [`Refusal::NotFound`] if there is no such webhook.
pub fn set_secrets(
    hook_id: HookId,
    secrets: SealedSecrets,
    registry: &Registry,
) -> Result<RegistryChange, Refusal> {
    Ok(update(find(hook_id, registry)?, Backlog::Resume, |it| it.secrets = secrets))
}

/// Deletes a webhook.
///
/// # Errors
///
/// Returns [`Refusal::NotFound`] if there is no such webhook.
pub fn delete(hook_id: HookId, registry: &Registry) -> Result<RegistryChange, Refusal> {
    find(hook_id, registry).map(|_| RegistryChange::Delete(hook_id))
}

fn find(hook_id: HookId, registry: &Registry) -> Result<&RegisteredWebhook, Refusal> {
    registry.get(hook_id).ok_or(Refusal::NotFound(hook_id))
}

/// Changes a webhook, which has a new version then.
fn update(
    present: &RegisteredWebhook,
    backlog: Backlog,
    change: impl FnOnce(&mut RegisteredWebhook),
) -> RegistryChange {
    let mut registered = present.clone();
    change(&mut registered);
    registered.version = present.version.next();
    RegistryChange::Update(registered, backlog)
}

/// Checks the webhook that `draft` asks for, which replaces `present` if there is one.
fn check(
    draft: &WebhookDraft,
    hook_id: HookId,
    present: Option<&Webhook>,
    registry: &Registry,
    terms: Terms<'_>,
) -> Result<Webhook, Refusal> {
    let limits = terms.limits.ok_or(Refusal::NotInEdition)?;
    let checked = check_draft(draft, hook_id, present, (terms.catalog, &limits, terms.urls));
    let over = over_limits(&checked.subscriptions, present, registry, (terms.catalog, &limits));
    match checked.webhook {
        Ok(webhook) if over.is_empty() => Ok(webhook),
        Ok(_) => Err(Refusal::LimitReached(over)),
        Err(violations) => Err(Refusal::Invalid([violations, over].concat())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{Version, applied};
    use super::*;
    use crate::assist;
    use crate::model::{BodyTemplate, DisableReason, EnvelopeKind, EventId};

    const ID: HookId = HookId::new(1);
    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn with_terms<T>(limits: Option<Limits>, decide: impl FnOnce(Terms<'_>) -> T) -> T {
        let catalog = assist::catalog();
        decide(Terms { catalog: &catalog, limits, urls: UrlRule::HttpsOnly, now: NOW })
    }

    /// Limits of three webhooks, and two for each event.
    fn small() -> Option<Limits> {
        Some(Limits::default().with_webhooks(3).with_webhooks_per_event(2))
    }

    fn draft(events: &[u32]) -> WebhookDraft {
        let draft = WebhookDraft::new("a", "https://a.example/");
        events.iter().fold(draft, |draft, event| draft.subscribe(EventId::new(*event)))
    }

    fn create_in(registry: &Registry, draft: &WebhookDraft) -> Result<RegistryChange, Refusal> {
        with_terms(small(), |terms| create(draft, SealedSecrets::new("sealed"), registry, terms))
    }

    /// Creates a registry with one webhook for each of these lists of events.
    fn registry_of(webhooks: &[&[u32]]) -> Registry {
        webhooks.iter().fold(Registry::default(), |registry, events| {
            let change = create_in(&registry, &draft(events)).expect("within the limits");
            applied(registry, change)
        })
    }

    /// Returns the fields whose limit is exceeded; none if it is within the limits.
    fn full(decided: Result<RegistryChange, Refusal>) -> Vec<String> {
        match decided {
            Ok(_) => Vec::new(),
            Err(Refusal::LimitReached(over)) => over.iter().map(|it| it.field().to_owned()).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    fn updated(decided: Result<RegistryChange, Refusal>) -> (RegisteredWebhook, Backlog) {
        match decided.expect("nothing stands against it") {
            RegistryChange::Update(registered, backlog) => (registered, backlog),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_tenant_has_as_many_webhooks_as_its_limit_and_no_more() {
        let last_free = registry_of(&[&[0], &[1]]);
        assert_eq!(full(create_in(&last_free, &draft(&[2]))), [""; 0]);
        let none_free = registry_of(&[&[0], &[1], &[2]]);
        assert_eq!(full(create_in(&none_free, &draft(&[3]))), ["webhooks"]);
    }

    #[test]
    fn an_event_has_as_many_webhooks_as_its_limit_and_no_more() {
        assert_eq!(full(create_in(&registry_of(&[&[5]]), &draft(&[5]))), [""; 0]);
        let taken = registry_of(&[&[5], &[5, 6]]);
        assert_eq!(full(create_in(&taken, &draft(&[6]))), [""; 0]);
        assert_eq!(full(create_in(&taken, &draft(&[6, 5]))), ["subscriptions[1].event_id"]);
    }

    #[test]
    fn a_limit_of_zero_lets_nothing_in() {
        let none = Limits::default().with_webhooks(0).with_webhooks_per_event(0);
        let created = with_terms(Some(none), |terms| {
            create(&draft(&[5]), SealedSecrets::default(), &Registry::default(), terms)
        });
        assert_eq!(full(created), ["webhooks", "subscriptions[0].event_id"]);
    }

    #[test]
    fn disabled_webhooks_count_and_deleted_ones_do_not() {
        let two = registry_of(&[&[5], &[5]]);
        let off = set_status(ID, Status::Disabled, Backlog::Resume, &two, NOW).expect("it is there");
        let off = applied(two, off);
        assert_eq!(full(create_in(&off, &draft(&[5]))), ["subscriptions[0].event_id"]);
        let gone = delete(ID, &off).expect("it is there");
        assert_eq!(full(create_in(&applied(off, gone), &draft(&[5]))), [""; 0]);
    }

    #[test]
    fn a_replacement_counts_the_others_and_what_it_had_already() {
        let registry = registry_of(&[&[5], &[5], &[6]]);
        let replaced = |hook_id, events: &[u32]| {
            let hook_id = HookId::new(hook_id);
            with_terms(small(), |terms| full(replace(hook_id, &draft(events), &registry, terms)))
        };
        assert_eq!(replaced(1, &[5, 6]), [""; 0]);
        assert_eq!(replaced(3, &[6]), [""; 0]);
        assert_eq!(replaced(3, &[6, 5]), ["subscriptions[1].event_id"]);
    }

    #[test]
    fn lowered_limits_take_nothing_away_and_give_nothing_new() {
        let registry = registry_of(&[&[5], &[5], &[6]]);
        let none = Some(Limits::default().with_webhooks(0).with_webhooks_per_event(0));
        let replaced =
            |events: &[u32]| with_terms(none, |terms| full(replace(ID, &draft(events), &registry, terms)));
        assert_eq!(replaced(&[5]), [""; 0]);
        assert_eq!(replaced(&[5, 7]), ["subscriptions[1].event_id"]);
    }

    #[test]
    fn an_edition_without_webhooks_refuses_before_anything_else() {
        let registry = registry_of(&[&[5]]);
        let (unsound, nothing) = (WebhookDraft::default(), WebhookPatch::new());
        let refusals = with_terms(None, |terms| {
            [
                create(&unsound, SealedSecrets::default(), &registry, terms).err(),
                replace(ID, &unsound, &registry, terms).err(),
                patch(ID, &nothing, &registry, terms).err(),
            ]
        });
        assert!(refusals.iter().all(|it| *it == Some(Refusal::NotInEdition)), "{refusals:?}");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let (registry, id) = (Registry::default(), HookId::new(7));
        let (sound, nothing) = (draft(&[5]), WebhookPatch::new());
        let refusals = with_terms(small(), |terms| {
            [
                replace(id, &sound, &registry, terms).err(),
                patch(id, &nothing, &registry, terms).err(),
                set_status(id, Status::Enabled, Backlog::Drop, &registry, NOW).err(),
                set_options(id, DeliveryOptions::new(), SealedSecrets::default(), &registry, terms.catalog)
                    .err(),
                set_secrets(id, SealedSecrets::default(), &registry).err(),
                delete(id, &registry).err(),
                set_paused(id, true, &registry, NOW).err(),
            ]
        });
        assert!(refusals.iter().all(|it| *it == Some(Refusal::NotFound(id))), "{refusals:?}");
    }

    #[test]
    fn a_new_webhook_takes_the_next_id_of_the_registry() {
        let registry = Registry { next_hook_id: HookId::new(41), ..Registry::default() };
        let change = create_in(&registry, &draft(&[5])).expect("sound");
        let RegistryChange::Create(new) = change else { panic!("{change:?}") };
        assert_eq!((new.hook_id(), new.version), (HookId::new(41), Version::default()));
        assert_eq!((new.secrets.expose().as_ref(), new.disabled), (b"sealed".as_slice(), None));
    }

    /// Creates a registry of one webhook that hookwire disabled and that has options of its own.
    fn disabled() -> (Registry, RegisteredWebhook) {
        let mut registry = registry_of(&[&[5]]);
        let only = &mut registry.webhooks[0];
        only.webhook = only.webhook.clone().with_status(Status::Disabled);
        only.options = DeliveryOptions::new().with_envelope(EnvelopeKind::StandardWebhooks);
        let reason = Some(DisableReason::Failing { since: Timestamp::default() });
        only.disabled = Some(Disabled { reason, at: Some(Timestamp::from_secs(9)) });
        let only = only.clone();
        (registry, only)
    }

    #[test]
    fn a_replacement_keeps_id_secrets_options_and_an_unnamed_status() {
        let (registry, present) = disabled();
        let draft = WebhookDraft::new("b", "https://b.example/").subscribe(EventId::new(6));
        let (new, backlog) = updated(with_terms(small(), |terms| replace(ID, &draft, &registry, terms)));
        assert_eq!((new.hook_id(), new.webhook.name()), (ID, "b"));
        assert_eq!((new.webhook.status(), new.disabled), (Status::Disabled, present.disabled));
        assert_eq!((new.options, new.secrets.expose()), (present.options, present.secrets.expose()));
        assert_eq!((new.version, backlog), (present.version.next(), Backlog::Resume));
    }

    #[test]
    fn whatever_disables_a_webhook_is_noted_with_its_time() {
        let registry = registry_of(&[&[5]]);
        let off = draft(&[5]).status(Status::Disabled);
        let changes = with_terms(small(), |terms| {
            [
                set_status(ID, Status::Disabled, Backlog::Resume, &registry, NOW),
                patch(ID, &WebhookPatch::new().status(Status::Disabled), &registry, terms),
                replace(ID, &off, &registry, terms),
            ]
        });
        assert!(changes.map(updated).iter().all(|(new, _)| new.disabled == Some(Disabled::by_call(NOW))));
        let created = create_in(&Registry::default(), &off).expect("sound");
        let RegistryChange::Create(new) = created else { panic!("{created:?}") };
        assert_eq!(new.disabled, Some(Disabled::by_call(NOW)));
        let (again, _) = updated(set_status(ID, Status::Disabled, Backlog::Resume, &disabled().0, NOW));
        assert_eq!(again.disabled, disabled().1.disabled, "it was disabled already");
    }

    #[test]
    fn whatever_enables_a_webhook_forgets_why_it_was_disabled() {
        let (registry, _) = disabled();
        let on = draft(&[5]).status(Status::Enabled);
        let changes = with_terms(small(), |terms| {
            [
                set_status(ID, Status::Enabled, Backlog::Drop, &registry, NOW),
                patch(ID, &WebhookPatch::new().status(Status::Enabled), &registry, terms),
                replace(ID, &on, &registry, terms),
            ]
        });
        let changed = changes.map(updated);
        assert!(changed.iter().all(|(new, _)| new.disabled.is_none() && new.webhook.status().is_enabled()));
        assert_eq!(changed.map(|(_, it)| it), [Backlog::Drop, Backlog::Resume, Backlog::Resume]);
    }

    #[test]
    fn options_and_secrets_change_alone_and_keep_why_it_was_disabled() {
        let (registry, present) = disabled();
        let secrets = SealedSecrets::new("of them");
        let set = set_options(ID, DeliveryOptions::new(), secrets, &registry, &assist::catalog());
        let (new, _) = updated(set);
        assert_eq!((new.options, new.disabled), (DeliveryOptions::new(), present.disabled));
        assert_eq!(new.secrets.expose().as_ref(), b"of them");
        assert_eq!((&new.webhook, new.version), (&present.webhook, present.version.next()));
        let (new, _) = updated(set_secrets(ID, SealedSecrets::new("new"), &registry));
        assert_eq!((new.secrets.expose().as_ref(), new.disabled), (b"new".as_slice(), present.disabled));
        assert_eq!((&new.webhook, new.options), (&present.webhook, present.options));
    }

    #[test]
    fn a_template_is_set_where_the_catalog_allows_it_and_may_stay_where_it_does_not() {
        let template = |text| BodyTemplate::parse(text).expect("sound");
        let with = |text| DeliveryOptions::new().with_template(template(text));
        let event = assist::catalog().iter().next().expect("18").clone();
        let none = Catalog::builder().event(event).build().expect("sound");
        let mut registry = registry_of(&[&[5]]);
        let set = |options, registry: &Registry, catalog: &Catalog| {
            set_options(ID, options, SealedSecrets::default(), registry, catalog)
        };
        let (new, _) = updated(set(with("[1]"), &registry, &assist::catalog()));
        assert_eq!(new.options.template(), Some(&template("[1]")));
        let refused = set(with("[1]"), &registry, &none).expect_err("not offered").into_violations();
        assert_eq!((refused[0].field(), refused[0].rule()), ("template", Rule::NotOffered));
        registry.webhooks[0].options = with("[1]");
        let (kept, _) = updated(set(with("[1]"), &registry, &none));
        assert_eq!(kept.options.template(), Some(&template("[1]")));
        assert!(set(with("[2]"), &registry, &none).is_err());
        let (removed, _) = updated(set(DeliveryOptions::new(), &registry, &none));
        assert_eq!(removed.options.template(), None);
    }

    #[test]
    fn a_refusal_speaks_in_one_line_and_gives_its_violations() {
        let registry = registry_of(&[&[5], &[5], &[6]]);
        let refusal = create_in(&registry, &draft(&[5])).expect_err("both full");
        assert_eq!(
            refusal.to_string(),
            "webhooks: there are 3 webhooks, and at most 3 are allowed; delete one; \
             subscriptions[0].event_id: 2 webhooks have event 5, and at most 2 may; take it from one"
        );
        assert_eq!(refusal.into_violations().len(), 2);
        assert!(Refusal::NotInEdition.into_violations().is_empty());
    }
}
