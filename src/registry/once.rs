//! Creating one webhook for each key.

use super::refusal::Refusal;
use super::rules::{Terms, new_webhook};
use super::state::{RegisteredWebhook, Registry, RegistryChange};
use crate::model::{CreationRecord, SealedSecrets, WebhookDraft};

/// Creates the webhook that `draft` asks for, unless one was created under the key of `creation`.
///
/// # Errors
///
/// Returns the errors of [`create`](super::create), and [`Refusal::CreationKeyReused`] if the key has created a webhook
/// that is still there, whatever its content was.
pub fn create_once(
    draft: &WebhookDraft,
    creation: CreationRecord,
    secrets: SealedSecrets,
    registry: &Registry,
    terms: Terms<'_>,
) -> Result<RegistryChange, Refusal> {
    if let Some(present) = created_under(&creation, registry) {
        return Err(Refusal::CreationKeyReused(present.hook_id()));
    }
    let new = new_webhook(draft, secrets, registry, terms)?;
    Ok(RegistryChange::Create(RegisteredWebhook { creation: Some(creation), ..new }))
}

/// Returns the webhook that the same request has created before, whatever has changed since; `None` if there is none.
///
/// # Errors
///
/// Returns [`Refusal::CreationKeyReused`] if a request with the same key and other content created it.
pub fn find_created<'a>(
    creation: &CreationRecord,
    registry: &'a Registry,
) -> Result<Option<&'a RegisteredWebhook>, Refusal> {
    match created_under(creation, registry) {
        Some(present) if present.creation != Some(*creation) => {
            Err(Refusal::CreationKeyReused(present.hook_id()))
        }
        present => Ok(present),
    }
}

fn created_under<'a>(creation: &CreationRecord, registry: &'a Registry) -> Option<&'a RegisteredWebhook> {
    let has_key = |it: &&RegisteredWebhook| it.creation.is_some_and(|kept| kept.has_key_of(creation));
    registry.webhooks.iter().find(has_key)
}

#[cfg(test)]
mod tests {
    use super::super::check::UrlRule;
    use super::super::limits::Limits;
    use super::super::rules::{delete, patch};
    use super::super::state::applied;
    use super::*;
    use crate::assist;
    use crate::model::{CreationKey, HookId, Timestamp, WebhookPatch};

    const ID: HookId = HookId::new(1);

    fn with_terms<T>(decide: impl FnOnce(Terms<'_>) -> T) -> T {
        let (catalog, limits) = (assist::catalog(), Some(Limits::default().with_webhooks(1)));
        decide(Terms { catalog: &catalog, limits, urls: UrlRule::HttpsOnly, now: Timestamp::default() })
    }

    fn draft(name: &str) -> WebhookDraft {
        WebhookDraft::new(name, "https://a.example/").subscribe(assist::DEVICE_ONLINE)
    }

    fn record(key: &str, name: &str) -> CreationRecord {
        CreationRecord::new(&CreationKey::new(key).expect("a key"), &draft(name))
    }

    fn create(registry: &Registry, key: &str, name: &str) -> Result<RegistryChange, Refusal> {
        let secrets = SealedSecrets::new("sealed");
        with_terms(|terms| create_once(&draft(name), record(key, name), secrets, registry, terms))
    }

    fn found(registry: &Registry, key: &str, name: &str) -> Result<Option<HookId>, Refusal> {
        Ok(find_created(&record(key, name), registry)?.map(RegisteredWebhook::hook_id))
    }

    #[test]
    fn a_key_creates_one_webhook_and_is_free_once_that_is_deleted() {
        let empty = Registry::default();
        assert_eq!(found(&empty, "k", "a"), Ok(None));
        let first = create(&empty, "k", "a").expect("free");
        let one = applied(empty, first);
        assert_eq!(found(&one, "k", "a"), Ok(Some(ID)));
        assert_eq!(found(&one, "k", "b"), Err(Refusal::CreationKeyReused(ID)), "other content");
        assert_eq!(found(&one, "other", "a"), Ok(None), "another key");
        for name in ["a", "b"] {
            let refused = create(&one, "k", name).expect_err("used");
            assert_eq!(refused, Refusal::CreationKeyReused(ID), "although the limit is reached too");
        }
        let none = applied(one.clone(), delete(ID, &one).expect("there"));
        assert_eq!(found(&none, "k", "a"), Ok(None), "deleted");
        create(&none, "k", "a").expect("free again");
    }

    #[test]
    fn what_changes_of_a_webhook_leaves_the_record_of_its_creation() {
        let one = applied(Registry::default(), create(&Registry::default(), "k", "a").expect("free"));
        let renamed = with_terms(|terms| patch(ID, &WebhookPatch::new().name("b"), &one, terms));
        let renamed = applied(one, renamed.expect("sound"));
        assert_eq!(found(&renamed, "k", "a"), Ok(Some(ID)));
    }
}
