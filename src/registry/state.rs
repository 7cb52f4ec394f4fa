use serde::{Deserialize, Serialize};

use crate::model::{DeliveryOptions, DisableReason, EventId, HookId, SealedSecrets, Webhook};

/// All that one tenant has registered.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it; a new field must not be forgotten")]
pub struct Registry {
    /// How often it was changed.
    pub revision: Revision,
    /// The id of the next webhook: one more than any that ever was.
    pub next_hook_id: HookId,
    /// The webhooks, by ascending id.
    pub webhooks: Vec<RegisteredWebhook>,
}

impl Registry {
    /// The webhook with this id.
    pub fn get(&self, hook_id: HookId) -> Option<&RegisteredWebhook> {
        self.webhooks.iter().find(|registered| registered.hook_id() == hook_id)
    }

    /// How many webhooks subscribe to `event`; disabled ones count.
    pub fn subscribers(&self, event: EventId) -> usize {
        let webhooks = self.webhooks.iter().map(|registered| &registered.webhook);
        webhooks.filter(|webhook| webhook.subscription(event).is_some()).count()
    }
}

/// What a tenant has that never registered anything: nothing, and ids from 1.
impl Default for Registry {
    fn default() -> Self {
        Self { revision: Revision::default(), next_hook_id: HookId::new(1), webhooks: Vec::new() }
    }
}

/// A webhook with everything that stands beside it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it; a new field must not be forgotten")]
pub struct RegisteredWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// Its settings outside the Zoho attributes.
    pub options: DeliveryOptions,
    /// Its signing keys, as the service sealed them.
    pub secrets: SealedSecrets,
    /// How often it was changed.
    pub version: Version,
    /// Why hookwire disabled it, if it did.
    pub disabled: Option<DisableReason>,
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
        Self {
            webhook,
            options: DeliveryOptions::default(),
            secrets: SealedSecrets::default(),
            version: Version::default(),
            disabled: None,
        }
    }

    /// Returns the id of the webhook.
    pub const fn hook_id(&self) -> HookId {
        self.webhook.hook_id()
    }

    /// Whether `new` has another receiver, or is enabled anew, so that what was known of the receiver no
    /// longer counts.
    pub fn starts_afresh_as(&self, new: &Self) -> bool {
        let enabled = !self.webhook.status().is_enabled() && new.webhook.status().is_enabled();
        enabled || self.webhook.url() != new.webhook.url()
    }
}

/// One change of a tenant's registry.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "stores carry out each of them")]
pub enum RegistryChange {
    /// A new webhook takes the next id.
    Create(RegisteredWebhook),
    /// The webhook goes, and its waiting deliveries end.
    Delete(HookId),
    /// The webhook of the same id becomes this one.
    Update(RegisteredWebhook, Backlog),
}

/// What becomes of the deliveries that wait while a webhook changes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores carry out each of them")]
pub enum Backlog {
    /// They end as cancelled.
    Drop,
    /// They stay, and are sent while the webhook is enabled.
    #[default]
    Resume,
}

/// How often a tenant's registry was changed: what a change is committed against.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Revision(u64);

/// How often a webhook was changed: what an automatic disabling is held against.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Revision {
    /// The revision with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Version {
    /// The version with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
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
