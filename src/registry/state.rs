//! A tenant's registry, and the changes that a store applies to it.

use serde::{Deserialize, Serialize};

use crate::model::{
    BodyTemplate, Catalog, CreationRecord, DeliveryOptions, Disabled, EventId, HookId, SealedSecrets,
    Stopped, Subscription, Timestamp, Webhook, number,
};

/// Everything that a tenant has registered.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it; a new field must not be forgotten")]
pub struct Registry {
    /// The number of changes so far.
    pub revision: Revision,
    /// The id of the next webhook, greater than every id so far.
    pub next_hook_id: HookId,
    /// The webhooks, by ascending id.
    pub webhooks: Vec<RegisteredWebhook>,
    /// Since when the tenant is suspended; `None` while it is not. Nothing is delivered to its webhooks meanwhile.
    pub suspended: Option<Timestamp>,
}

impl Registry {
    /// Returns the webhook with this id.
    pub fn get(&self, hook_id: HookId) -> Option<&RegisteredWebhook> {
        self.webhooks.iter().find(|registered| registered.hook_id() == hook_id)
    }

    /// Returns since when and why nothing is delivered to a webhook; `None` if it is delivered, or if there is no such
    /// webhook.
    pub fn stopped(&self, hook_id: HookId) -> Option<Stopped> {
        self.stopped_of(self.get(hook_id)?)
    }

    /// Returns the webhooks to which nothing is delivered, since when and why.
    pub(crate) fn all_stopped(&self) -> impl Iterator<Item = (HookId, Stopped)> {
        self.webhooks.iter().filter_map(|it| Some((it.hook_id(), self.stopped_of(it)?)))
    }

    fn stopped_of(&self, webhook: &RegisteredWebhook) -> Option<Stopped> {
        let disabled = webhook.disabled.map(Stopped::Disabled);
        let paused = webhook.paused.map(|since| Stopped::Paused { since });
        let suspended = self.suspended.map(|since| Stopped::Suspended { since });
        disabled.or(paused).or(suspended)
    }

    /// Returns the number of webhooks that subscribe to `event`, by id or by a pattern, including disabled ones.
    pub fn subscribers(&self, event: EventId, catalog: &Catalog) -> usize {
        let webhooks = self.webhooks.iter().map(|registered| &registered.webhook);
        webhooks.filter(|webhook| webhook.subscription(event, catalog).is_some()).count()
    }
}

/// The registry of a new tenant: empty, with ids from 1.
impl Default for Registry {
    fn default() -> Self {
        Self {
            revision: Revision::default(),
            next_hook_id: HookId::new(1),
            webhooks: Vec::new(),
            suspended: None,
        }
    }
}

/// A webhook with its options, secrets and state.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it; a new field must not be forgotten")]
pub struct RegisteredWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// Its delivery settings.
    pub options: DeliveryOptions,
    /// Its signing keys, as the service sealed them.
    pub secrets: SealedSecrets,
    /// The number of changes so far.
    pub version: Version,
    /// Since when and why it is disabled; `None` while it is enabled.
    pub disabled: Option<Disabled>,
    /// Since when it is paused; `None` while it is not.
    pub paused: Option<Timestamp>,
    /// The key and the content with which it was created; `None` if it was created without a key.
    pub creation: Option<CreationRecord>,
}

impl RegisteredWebhook {
    /// Creates a webhook that was never changed, with default options and no keys.
    ///
    /// ```
    /// use hookwire::registry::{RegisteredWebhook, Version};
    ///
    /// let webhook = serde_json::from_str(
    ///     r#"{"hook_id": 1, "name": "Log", "url": "https://a.example/", "status": 1, "subscriptions": [{"event_id": 1}]}"#,
    /// )?;
    /// let registered = RegisteredWebhook::new(webhook);
    /// assert_eq!(registered.version, Version::default());
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    pub fn new(webhook: Webhook) -> Self {
        let disabled = (!webhook.status().is_enabled()).then(Disabled::default);
        Self {
            webhook,
            options: DeliveryOptions::default(),
            secrets: SealedSecrets::default(),
            version: Version::default(),
            disabled,
            paused: None,
            creation: None,
        }
    }

    /// Replaces the attributes. A webhook that is disabled by that is so since `now`, by a call.
    pub fn set_webhook(&mut self, webhook: Webhook, now: Timestamp) {
        let is_enabled = webhook.status().is_enabled();
        self.webhook = webhook;
        self.disabled = (!is_enabled).then(|| self.disabled.unwrap_or_else(|| Disabled::by_call(now)));
    }

    /// Returns the id of the webhook.
    pub const fn hook_id(&self) -> HookId {
        self.webhook.hook_id()
    }

    /// Returns the template of its bodies for an event: that of the subscription that decides about the event, or else its
    /// own; `None` if they are in an envelope.
    pub fn template(&self, event: EventId, catalog: &Catalog) -> Option<&BodyTemplate> {
        let subscription = self.webhook.subscription(event, catalog);
        subscription.and_then(Subscription::template).or_else(|| self.options.template())
    }

    /// Returns whether it is enabled and not paused: then its deliveries are made, unless its tenant is suspended.
    pub const fn is_active(&self) -> bool {
        self.webhook.status().is_enabled() && self.paused.is_none()
    }

    /// Returns whether `new` has another URL or has just been enabled, so that the lane's health starts anew.
    pub fn starts_afresh_as(&self, new: &Self) -> bool {
        let enabled = !self.webhook.status().is_enabled() && new.webhook.status().is_enabled();
        enabled || self.webhook.url() != new.webhook.url()
    }
}

/// A change to a tenant's registry.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "stores carry out each of them")]
pub enum RegistryChange {
    /// Adds a webhook, which has the next id.
    Create(RegisteredWebhook),
    /// Deletes a webhook and cancels its pending deliveries.
    Delete(HookId),
    /// Sets since when the tenant is suspended, or that it is not. Each of its webhooks has a new version then.
    Suspend(Option<Timestamp>),
    /// Replaces the webhook with the same id.
    Update(RegisteredWebhook, Backlog),
}

impl RegistryChange {
    /// Returns the webhook as it is after the change, if the change is of one webhook that stays.
    pub const fn registered(&self) -> Option<&RegisteredWebhook> {
        match self {
            Self::Create(new) | Self::Update(new, _) => Some(new),
            Self::Delete(_) | Self::Suspend(_) => None,
        }
    }
}

/// The treatment of the pending deliveries of a webhook that changes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores carry out each of them")]
pub enum Backlog {
    /// They are cancelled.
    Drop,
    /// They stay, and are sent as long as the webhook is enabled.
    #[default]
    Resume,
}

number! {
    /// The number of changes to a tenant's registry so far. A change is committed against the revision that it was
    /// decided on.
    #[derive(Default, Deserialize, Serialize)]
    #[serde(transparent)]
    Revision(u64)
}

number! {
    /// The number of changes to a webhook so far. hookwire disables a webhook only if its version is still
    /// the one whose attempts failed.
    #[derive(Default, Deserialize, Serialize)]
    #[serde(transparent)]
    Version(u64)
}

impl Revision {
    /// Returns the revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Version {
    /// Returns the version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Applies a change as a store does.
#[cfg(test)]
pub(super) fn applied(mut registry: Registry, change: RegistryChange) -> Registry {
    registry.revision = registry.revision.next();
    let has_id = |id: HookId| move |it: &RegisteredWebhook| it.hook_id() == id;
    match change {
        RegistryChange::Create(new) => {
            assert_eq!(new.hook_id(), registry.next_hook_id);
            registry.next_hook_id = HookId::new(registry.next_hook_id.get() + 1);
            registry.webhooks.push(new);
        }
        RegistryChange::Delete(id) => registry.webhooks.retain(|it| !has_id(id)(it)),
        RegistryChange::Update(new, _) => {
            let at = registry.webhooks.iter().position(has_id(new.hook_id()));
            registry.webhooks[at.expect("an update of what is there")] = new;
        }
        RegistryChange::Suspend(since) => {
            registry.suspended = since;
            registry.webhooks.iter_mut().for_each(|it| it.version = it.version.next());
        }
    }
    registry
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn registered(status: u8, url: &str) -> RegisteredWebhook {
        let webhook = json!({"hook_id": 1, "name": "a", "url": url, "status": status,
            "subscriptions": [{"event_id": 1}]});
        RegisteredWebhook::new(serde_json::from_value(webhook).expect("a webhook"))
    }

    #[test]
    fn a_webhook_starts_afresh_when_it_is_enabled_or_has_another_url() {
        let (here, there) = ("https://a.example/", "https://b.example/");
        for (old, new, afresh) in [
            ((1, here), (1, here), false),
            ((0, here), (0, here), false),
            ((1, here), (0, here), false),
            ((0, here), (1, here), true),
            ((1, here), (1, there), true),
            ((1, here), (0, there), true),
            ((0, here), (0, there), true),
        ] {
            let of = |(status, url)| registered(status, url);
            assert_eq!(of(old).starts_afresh_as(&of(new)), afresh, "{old:?} as {new:?}");
        }
    }

    #[test]
    fn revisions_and_versions_count_by_one() {
        assert_eq!((Revision::new(7).get(), Revision::new(7).next()), (7, Revision::new(8)));
        assert_eq!((Version::new(7).get(), Version::new(7).next()), (7, Version::new(8)));
    }
}
