//! [`Templates`]: a cache of what the requests to each version of a webhook have in common. The templates of bodies are in
//! `model::template`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{HookId, TenantId};
use crate::registry::{RegisteredWebhook, RegistryChange, Version};
use crate::request::RequestTemplate;
use crate::signature::ReadyKeys;

/// The most templates that are kept.
const MAX_TEMPLATES: usize = 10_000;

/// What the requests to a webhook have in common.
///
/// It has no `Debug`, as its parts have none. The keys are wiped from memory when it is dropped.
pub(super) struct Template {
    pub(super) request: RequestTemplate,
    /// `None` if the host's signer signs.
    pub(super) keys: Option<ReadyKeys>,
}

/// The templates of webhooks to which requests were made lately.
#[derive(Default)]
pub(super) struct Templates(Mutex<HashMap<(TenantId, HookId), Kept>>);

struct Kept {
    version: Version,
    template: Arc<Template>,
    /// Whether it was used since [`Templates::forget_unused`].
    is_used: bool,
}

impl Templates {
    /// Returns the template of this version of a webhook. If another one is kept, or none, it is made and kept.
    pub(super) fn get<E>(
        &self,
        tenant: &TenantId,
        hook: &RegisteredWebhook,
        make: impl FnOnce() -> Result<Template, E>,
    ) -> Result<Arc<Template>, E> {
        let key = (tenant.clone(), hook.hook_id());
        if let Some(kept) = self.lock().get_mut(&key).filter(|kept| kept.version == hook.version) {
            kept.is_used = true;
            return Ok(Arc::clone(&kept.template));
        }
        let template = Arc::new(make()?);
        let mut templates = self.lock();
        if templates.len() >= MAX_TEMPLATES {
            templates.clear();
        }
        let kept = Kept { version: hook.version, template: Arc::clone(&template), is_used: true };
        templates.insert(key, kept);
        Ok(template)
    }

    /// Forgets the template of a webhook that was changed.
    pub(super) fn forget(&self, tenant: &TenantId, change: &RegistryChange) {
        let hook_id = match change {
            RegistryChange::Create(new) | RegistryChange::Update(new, _) => new.hook_id(),
            RegistryChange::Delete(hook_id) => *hook_id,
            RegistryChange::Suspend(_) => return self.forget_all(tenant),
        };
        self.lock().remove(&(tenant.clone(), hook_id));
    }

    /// Forgets the templates of a tenant.
    pub(super) fn forget_all(&self, tenant: &TenantId) {
        self.lock().retain(|(of, _), _| of != tenant);
    }

    /// Forgets the templates that were not used since the last call. Among them are those of webhooks that another
    /// process deleted.
    #[cfg(any(test, feature = "dispatcher"))]
    pub(super) fn forget_unused(&self) {
        self.lock().retain(|_, kept| std::mem::take(&mut kept.is_used));
    }

    /// A panic leaves the map consistent, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantId, HookId), Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::DeliveryOptions;
    use crate::request::RequestStyle;

    fn hook(hook_id: i64, version: u64) -> RegisteredWebhook {
        let webhook = json!({"hook_id": hook_id, "name": "a", "url": "https://a.example/", "status": 1,
            "subscriptions": [{"event_id": 1}]});
        let webhook = serde_json::from_value(webhook).expect("a webhook");
        RegisteredWebhook { version: Version::new(version), ..RegisteredWebhook::new(webhook) }
    }

    /// Asks for the template of a webhook, and returns whether it had to be made.
    fn makes(templates: &Templates, tenant: &str, hook: &RegisteredWebhook) -> bool {
        let mut is_made = false;
        let make = || {
            is_made = true;
            let request =
                RequestStyle::default().template(hook.webhook.url(), &DeliveryOptions::default(), []);
            request.map(|request| Template { request, keys: None })
        };
        templates.get(&TenantId::new(tenant).expect("valid"), hook, make).expect("a sound webhook");
        is_made
    }

    #[test]
    fn a_template_is_made_once_for_each_version_of_a_webhook() {
        let templates = Templates::default();
        assert!(makes(&templates, "a", &hook(1, 1)) && !makes(&templates, "a", &hook(1, 1)));
        assert!(makes(&templates, "b", &hook(1, 1)), "of another tenant");
        assert!(makes(&templates, "a", &hook(2, 1)), "of another webhook");
        assert!(makes(&templates, "a", &hook(1, 2)), "of another version");
        assert_eq!(templates.lock().len(), 3, "which takes the place of the first");
    }

    #[test]
    fn a_template_goes_with_its_webhook_its_tenant_and_its_use() {
        let templates = Templates::default();
        let [a, b] = ["a", "b"].map(|it| TenantId::new(it).expect("valid"));
        let fill = || (1..=2).map(|id| makes(&templates, "a", &hook(id, 1))).filter(|it| *it).count();
        fill();
        templates.forget(&a, &RegistryChange::Delete(HookId::new(1)));
        templates.forget(&b, &RegistryChange::Delete(HookId::new(2)));
        assert!(makes(&templates, "a", &hook(1, 1)) && !makes(&templates, "a", &hook(2, 1)));
        templates.forget_all(&b);
        assert_eq!(templates.lock().len(), 2);
        templates.forget_all(&a);
        assert_eq!(templates.lock().len(), 0);
        fill();
        templates.forget_unused();
        assert!(!makes(&templates, "a", &hook(2, 1)));
        templates.forget_unused();
        assert!(makes(&templates, "a", &hook(1, 1)) && !makes(&templates, "a", &hook(2, 1)));
    }

    #[test]
    fn the_number_of_templates_is_bounded() {
        let templates = Templates::default();
        let one = hook(1, 1);
        for n in 0..MAX_TEMPLATES + 10 {
            makes(&templates, &n.to_string(), &one);
        }
        assert!(templates.lock().len() <= MAX_TEMPLATES);
    }
}
