//! Properties of the rules over drafts and patches of any JSON.

use std::collections::BTreeSet;
use std::ops::Range;

use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::check::UrlRule;
use super::limits::Limits;
use super::refusal::Refusal;
use super::rules::{
    Terms, create, delete, patch, replace, set_options, set_paused, set_status, set_suspended,
};
use super::state::{Backlog, RegisteredWebhook, Registry, RegistryChange, applied};
use crate::assist;
use crate::model::{
    Catalog, DeliveryOptions, DeptSet, Disabled, EventId, EventType, Events, HookId, SealedSecrets, Status,
    Stopped, Timestamp, Webhook, WebhookDraft, WebhookPatch,
};

/// Generates any JSON value, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            hash_map(any::<String>(), inner, 0..4).prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

/// Generates `sound` mostly, and any JSON sometimes.
fn or_anything(sound: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    prop_oneof![40 => sound, 1 => any_json()].boxed()
}

/// Generates a number, or the same number as a string.
fn integer(numbers: impl Strategy<Value = i64> + 'static) -> BoxedStrategy<Value> {
    let either = (numbers, any::<bool>());
    either.prop_map(|(n, text)| if text { json!(n.to_string()) } else { json!(n) }).boxed()
}

fn url() -> BoxedStrategy<Value> {
    prop_oneof![
        16 => r"https://[a-z]{1,8}\.example(:[0-9]{1,4})?/[a-zé%?=&.]{0,12}",
        // Around the longest URL, before and after it is encoded.
        2 => "https://a\\.example/é{335,341}",
        2 => "https://a\\.example/p{2025,2035}",
        1 => "https?://[a-z@:#/\\[\\]0-9.]{0,12}",
    ]
    .prop_map(Value::from)
    .boxed()
}

fn subscriptions() -> BoxedStrategy<Value> {
    let some = |ids: Range<usize>| vec(or_anything(integer(any::<i64>())), ids).prop_map(Value::from);
    let dept_ids = prop_oneof![8 => some(1..4), 1 => some(0..1), 1 => any_json()];
    let dept_ids = proptest::option::weighted(0.3, dept_ids);
    let event_id = prop_oneof![30 => integer(0..18_i64), 1 => integer(-1..19_i64), 1 => any_json()];
    let subscription = (event_id, dept_ids).prop_map(|(event_id, dept_ids)| match dept_ids {
        Some(dept_ids) => json!({"event_id": event_id, "dept_ids": dept_ids}),
        None => json!({ "event_id": event_id }),
    });
    let list = vec(or_anything(subscription), 1..4).prop_map(Value::from);
    prop_oneof![30 => list, 1 => Just(json!([]))].boxed()
}

/// Generates an object with the attributes of a webhook, of which some are missing or invalid.
fn attributes() -> BoxedStrategy<Value> {
    let text = |often: &'static str, rarely: &'static str| {
        prop_oneof![8 => often, 1 => rarely].prop_map(Value::from).boxed()
    };
    let attribute = |name: &'static str, weight: f64, sound: BoxedStrategy<Value>| {
        let value = proptest::option::weighted(weight, or_anything(sound));
        value.prop_map(move |value| value.map(|value| (name.to_owned(), value))).boxed()
    };
    let all = vec![
        attribute("name", 0.98, text("[a-zé][a-zé \n]{0,6}", "é{99,101}| ")),
        attribute("desc", 0.5, text("[a-zé \n]{0,6}", "é{249,251}|\u{0}")),
        attribute("url", 0.98, url()),
        attribute("ignore_src", 0.5, text("[a-z]{1,3}", "é{127,129}|")),
        attribute("status", 0.5, prop_oneof![9 => integer(0..2_i64), 1 => integer(-1..3_i64)].boxed()),
        attribute("subscriptions", 0.98, subscriptions()),
        attribute("hook_id", 0.2, any_json().boxed()),
        attribute("unknown", 0.1, any_json().boxed()),
    ];
    all.prop_map(|all| Value::Object(all.into_iter().flatten().collect::<Map<_, _>>())).boxed()
}

fn terms(catalog: &Catalog, limits: Limits) -> Terms<'_> {
    Terms { catalog, limits: Some(limits), urls: UrlRule::HttpsOnly, now: Timestamp::default() }
}

fn created(draft: &WebhookDraft, registry: &Registry) -> Result<RegisteredWebhook, Refusal> {
    let catalog = assist::catalog();
    let secrets = SealedSecrets::new("sealed");
    match create(draft, secrets, registry, terms(&catalog, Limits::default()))? {
        RegistryChange::Create(new) => Ok(new),
        other => panic!("a creation creates: {other:?}"),
    }
}

fn updated(change: RegistryChange) -> RegisteredWebhook {
    match change {
        RegistryChange::Update(new, _) => new,
        other => panic!("an edit updates: {other:?}"),
    }
}

fn json_of(webhook: &Webhook) -> Value {
    serde_json::to_value(webhook).expect("a webhook serialises")
}

/// Creates a webhook from a draft, and a registry with it alone. Returns `None` if the draft is refused.
fn alone(draft: Value) -> Option<(Registry, RegisteredWebhook)> {
    let draft = serde_json::from_value(draft).ok()?;
    let new = created(&draft, &Registry::default()).ok()?;
    Some((applied(Registry::default(), RegistryChange::Create(new.clone())), new))
}

/// Asserts every rule for a webhook by itself, without the code that checks drafts.
fn assert_sound(webhook: &Webhook) {
    let chars = |text: &str| text.chars().count();
    assert!((1..=100).contains(&chars(webhook.name())) && !webhook.name().trim().is_empty());
    assert!(webhook.desc().is_none_or(|desc| (1..=250).contains(&chars(desc))));
    assert!(webhook.url().as_str().starts_with("https://") && chars(webhook.url().as_str()) <= 2048);
    assert!(webhook.ignore_src().is_none_or(|it| (1..=128).contains(&chars(it.as_str()))));
    let events: Vec<_> = webhook.subscriptions().iter().map(|it| it.events()).collect();
    let is_of_assist = |it: &&Events| matches!(it, Events::One(id) if id.get() <= 17);
    assert!(!events.is_empty() && events.iter().all(is_of_assist));
    assert_eq!(events.iter().collect::<BTreeSet<_>>().len(), events.len());
    let departments = webhook.subscriptions().iter().map(|it| it.departments().clone());
    assert!(departments.filter_map(Option::<DeptSet>::from).all(|set| set.iter().count() > 0));
    assert_eq!(&serde_json::from_value::<Webhook>(json_of(webhook)).expect("its own JSON"), webhook);
    let text = serde_json::to_string(webhook).expect("a webhook serialises");
    assert_eq!(&serde_json::from_str::<Webhook>(&text).expect("its own JSON"), webhook);
}

/// Asserts that a request led to a valid webhook, or to at least one violation.
fn assert_sound_or_violations(decided: &Result<RegisteredWebhook, Refusal>) {
    match decided {
        Ok(registered) => assert_sound(&registered.webhook),
        Err(refusal) => assert!(!refusal.clone().into_violations().is_empty(), "{refusal}"),
    }
}

#[test]
fn the_drafts_tested_with_are_often_sound_and_often_not() {
    let mut runner = TestRunner::deterministic();
    let mut draft = || attributes().new_tree(&mut runner).expect("no filter").current();
    let sound = (0..200).filter(|_| alone(draft()).is_some()).count();
    assert!((40..160).contains(&sound), "{sound} of 200");
}

#[test]
fn a_pause_stands_beside_the_status_and_no_other_change_ends_it() {
    let (registry, present) = alone(json!({"name": "a", "url": "https://a.example/",
        "subscriptions": [{"event_id": 1}]}))
    .expect("sound");
    let (id, catalog, now) = (present.hook_id(), assist::catalog(), Timestamp::from_secs(9));
    let terms = terms(&catalog, Limits::default());
    let pause = |registry: &Registry, at| set_paused(id, true, registry, Timestamp::from_secs(at));
    let registry = applied(registry.clone(), pause(&registry, 7).expect("it is there"));
    let draft = WebhookDraft::new("b", "https://b.example/").subscribe(EventId::new(2));
    let (options, secrets) = (DeliveryOptions::new(), SealedSecrets::default());
    let changes = [
        pause(&registry, 8),
        replace(id, &draft, &registry, terms),
        patch(id, &WebhookPatch::new().status(Status::Disabled), &registry, terms),
        set_status(id, Status::Disabled, Backlog::Resume, &registry, now),
        set_options(id, options, secrets, &registry, &catalog),
    ];
    let paused = changes.map(|change| updated(change.expect("sound")).paused);
    assert_eq!(paused, [Some(Timestamp::from_secs(7)); 5]);
    let resumed = updated(set_paused(id, false, &registry, now).expect("it is there"));
    assert_eq!((resumed.paused, resumed.is_active()), (None, true));
}

#[test]
fn of_several_reasons_to_wait_the_first_is_given() {
    let (mut registry, present) = alone(json!({"name": "a", "url": "https://a.example/",
        "subscriptions": [{"event_id": 1}]}))
    .expect("sound");
    let (id, now) = (present.hook_id(), Timestamp::from_secs(9));
    assert_eq!(registry.stopped(id), None);
    registry = applied(registry.clone(), set_suspended(true, &registry, now));
    assert_eq!(registry.stopped(id), Some(Stopped::Suspended { since: now }));
    assert_eq!(registry.stopped(HookId::new(99)), None, "it is not there");
    let again = set_suspended(true, &registry, Timestamp::from_secs(10));
    assert!(matches!(again, RegistryChange::Suspend(Some(at)) if at == now), "it is so since then");
    registry = applied(registry.clone(), set_paused(id, true, &registry, now).expect("there"));
    assert_eq!(registry.stopped(id), Some(Stopped::Paused { since: now }));
    let off = set_status(id, Status::Disabled, Backlog::Resume, &registry, now).expect("there");
    registry = applied(registry, off);
    assert_eq!(registry.stopped(id), Some(Stopped::Disabled(Disabled::by_call(now))));
}

proptest! {
    #[test]
    fn any_json_yields_a_sound_webhook_or_violations(json in prop_oneof![3 => attributes(), 1 => any_json()]) {
        let object = json.is_object();
        match serde_json::from_value(json) {
            Ok(draft) => assert_sound_or_violations(&created(&draft, &Registry::default())),
            Err(error) => prop_assert!(!object, "every object is a draft: {error}"),
        }
    }

    #[test]
    fn a_new_webhook_has_the_id_that_the_registry_gives(json in attributes(), next in 1..i64::MAX) {
        let registry = Registry { next_hook_id: HookId::new(next), ..Registry::default() };
        let draft = serde_json::from_value(json).expect("every object is a draft");
        if let Ok(new) = created(&draft, &registry) {
            prop_assert_eq!(new.hook_id().get(), next);
        }
    }

    #[test]
    fn a_webhook_replaced_by_itself_changes_nothing_but_its_version(json in attributes()) {
        let Some((registry, old)) = alone(json) else { return Ok(()) };
        let from_json = serde_json::from_value(json_of(&old.webhook)).expect("every object is a draft");
        let catalog = assist::catalog();
        for draft in [WebhookDraft::from(&old.webhook), from_json] {
            let change = replace(old.hook_id(), &draft, &registry, terms(&catalog, Limits::default()));
            let new = updated(change.expect("it was sound before"));
            prop_assert_eq!(&new.webhook, &old.webhook);
            prop_assert_eq!(&new.options, &old.options);
            prop_assert_eq!(new.secrets.expose(), old.secrets.expose());
            prop_assert_eq!((new.version, new.disabled), (old.version.next(), old.disabled));
        }
    }

    #[test]
    fn any_patch_yields_a_sound_webhook_or_violations(json in attributes(), change in attributes()) {
        let Some((registry, old)) = alone(json) else { return Ok(()) };
        let change = serde_json::from_value(change).expect("every object is a patch");
        let catalog = assist::catalog();
        let terms = terms(&catalog, Limits::default());
        let patched = patch(old.hook_id(), &change, &registry, terms).map(updated);
        assert_sound_or_violations(&patched);
        if let Ok(new) = patched {
            prop_assert_eq!(new.hook_id(), old.hook_id());
        }
    }

    #[test]
    fn any_object_is_a_patch(keys in hash_map(any::<String>(), any_json(), 0..4), known in attributes()) {
        let object: Map<_, _> = keys.into_iter().chain(known.as_object().cloned().unwrap_or_default()).collect();
        prop_assert!(serde_json::from_value::<WebhookPatch>(Value::Object(object)).is_ok());
    }

    #[test]
    fn a_patch_of_nothing_is_the_identity(json in attributes(), unknown in any_json()) {
        let Some((registry, old)) = alone(json) else { return Ok(()) };
        let catalog = assist::catalog();
        let unknown = serde_json::from_value(json!({"hook_id": 77, "unknown": unknown}));
        for nothing in [WebhookPatch::new(), unknown.expect("every object is a patch")] {
            let terms = terms(&catalog, Limits::default());
            let new = updated(patch(old.hook_id(), &nothing, &registry, terms).expect("sound before"));
            prop_assert_eq!(&new.webhook, &old.webhook);
        }
    }

    #[test]
    fn no_series_of_changes_exceeds_a_limit_or_uses_an_id_twice(
        steps in vec((0..4_u8, 1..6_i64, vec(0..3_u32, 1..3)), 0..40),
    ) {
        let limits = Limits::default().with_webhooks(3).with_webhooks_per_event(2);
        let mut registry = Registry::default();
        let mut used = BTreeSet::new();
        for (kind, id, events) in steps {
            let next = registry.next_hook_id;
            registry = step(registry, limits, (kind, HookId::new(id), &events));
            assert_within(&registry, 3, 2);
            prop_assert!(registry.next_hook_id == next || used.insert(next));
        }
    }
}

/// The events 0 to 2 of a host that allows patterns.
fn catalog_with_patterns() -> Catalog {
    let event = |(id, key)| EventType::new(EventId::new(id), key, "name", "sample");
    let events = [(0, "a.x"), (1, "a.y"), (2, "b")].map(event);
    let builder = events.into_iter().fold(Catalog::builder(), |builder, event| builder.event(event));
    builder.allow_patterns().build().expect("sound")
}

/// Returns which of these events a subscription as JSON includes.
fn includes(subscription: &Value, event: u32) -> bool {
    match subscription["events"].as_str() {
        Some("*") => true,
        Some("a.*") => event < 2,
        _ => subscription["event_id"] == event,
    }
}

proptest! {
    #[test]
    fn no_series_of_changes_exceeds_the_limit_of_an_event_by_patterns(
        steps in vec((any::<bool>(), 1..6_i64, vec(0..5_u32, 1..4)), 0..30),
    ) {
        let catalog = catalog_with_patterns();
        let terms = terms(&catalog, Limits::default().with_webhooks_per_event(2));
        let mut registry = Registry::default();
        for (is_new, id, events) in steps {
            let draft = WebhookDraft::new("a", "https://a.example/");
            let draft = events.into_iter().fold(draft, |draft, event| match event {
                3 => draft.subscribe_matching("*"),
                4 => draft.subscribe_matching("a.*"),
                id => draft.subscribe(EventId::new(id)),
            });
            let decided = match is_new {
                true => create(&draft, SealedSecrets::default(), &registry, terms),
                false => replace(HookId::new(id), &draft, &registry, terms),
            };
            if let Ok(change) = decided {
                registry = applied(registry, change);
            }
            for event in 0..3 {
                let has = |it: &&RegisteredWebhook| {
                    let json = json_of(&it.webhook);
                    json["subscriptions"].as_array().expect("a list").iter().any(|it| includes(it, event))
                };
                prop_assert!(registry.webhooks.iter().filter(has).count() <= 2);
            }
        }
    }
}

/// Applies one change unless it is refused, with twice as many creations as replacements and deletions.
fn step(registry: Registry, limits: Limits, (kind, id, events): (u8, HookId, &[u32])) -> Registry {
    let catalog = assist::catalog();
    let terms = terms(&catalog, limits);
    let draft = WebhookDraft::new("a", "https://a.example/");
    let draft = events.iter().fold(draft, |draft, event| draft.subscribe(EventId::new(*event)));
    let decided = match kind {
        0 | 1 => create(&draft, SealedSecrets::default(), &registry, terms),
        2 => replace(id, &draft, &registry, terms),
        _ => delete(id, &registry),
    };
    match decided {
        Ok(change) => applied(registry, change),
        Err(_) => registry,
    }
}

fn assert_within(registry: &Registry, webhooks: usize, per_event: usize) {
    assert!(registry.webhooks.len() <= webhooks);
    let subscriptions = registry.webhooks.iter().flat_map(|it| it.webhook.subscriptions());
    let events: Vec<_> = subscriptions.map(|it| it.events()).collect();
    assert!(events.iter().all(|event| events.iter().filter(|it| *it == event).count() <= per_event));
}
