//! Decides which webhooks get an event, and for every other webhook the reason why it does not.
//!
//! ```
//! use hookwire::{assist, DeptId};
//! use hookwire::registry::Registry;
//! use hookwire::routing::{self, RoutingKey};
//!
//! let payload = serde_json::value::to_raw_value(&serde_json::json!({"deviceName": "LAB-4"}))?;
//! let department = Some(DeptId::new(7));
//! let key = RoutingKey { event_id: assist::DEVICE_ONLINE, department, source: None, payload: &payload };
//! assert!(routing::route(key, &Registry::default(), &assist::catalog()).is_empty());
//! # Ok::<_, serde_json::Error>(())
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{
    Catalog, DeptId, Event, EventId, HookId, LazyPayload, SourceId, StampedEvent, Status, Subscription,
    Webhook,
};
use crate::registry::Registry;

/// The attributes of an event by which it is routed.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an argument list by name")]
pub struct RoutingKey<'a> {
    /// The kind of event.
    pub event_id: EventId,
    /// The department in which the event happened.
    pub department: Option<DeptId>,
    /// The source of the write that caused it.
    pub source: Option<&'a SourceId>,
    /// The payload, which is read only if a subscription to the event has a filter.
    pub payload: &'a RawValue,
}

impl<'a> From<&'a StampedEvent> for RoutingKey<'a> {
    fn from(event: &'a StampedEvent) -> Self {
        Self {
            event_id: event.event_id,
            department: event.department,
            source: event.source.as_ref(),
            payload: &event.payload,
        }
    }
}

impl<'a> From<&'a Event> for RoutingKey<'a> {
    fn from(event: &'a Event) -> Self {
        let (department, source) = event.origin();
        Self { event_id: event.event_id(), department, source, payload: event.payload() }
    }
}

/// The decision for one event and one webhook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a pair by name")]
pub struct Route {
    /// The webhook.
    pub hook_id: HookId,
    /// Whether the webhook gets the event.
    pub verdict: Verdict,
}

/// The decision whether a webhook gets an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it gets the event, or there is a reason")]
pub enum Verdict {
    /// The webhook gets the event.
    Deliver,
    /// The webhook does not get the event, for this reason.
    Skip(SkipReason),
}

/// The reason why a webhook does not get an event. If several apply, the first in this order counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The webhook is disabled.
    Disabled,
    /// It does not subscribe to the event.
    NotSubscribed,
    /// It subscribes to the event for other departments.
    OtherDepartment,
    /// The event comes from the source that the webhook ignores.
    OwnSource,
    /// Its subscription to the event has a filter that the payload does not pass.
    Filtered,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "the webhook is disabled",
            Self::NotSubscribed => "the webhook does not subscribe to the event",
            Self::OtherDepartment => "the webhook subscribes to the event for other departments",
            Self::OwnSource => "the event comes from the source that the webhook ignores",
            Self::Filtered => "the payload does not pass the filter of the webhook's subscription",
        })
    }
}

/// Routes an event to a tenant's webhooks. Returns one decision for each webhook, by ascending id.
///
/// The catalog has the key of the event, for webhooks that subscribe to a pattern of keys. An event that is not in it can
/// be subscribed to by its id alone.
pub fn route<'a>(key: impl Into<RoutingKey<'a>>, registry: &Registry, catalog: &Catalog) -> Vec<Route> {
    let key = key.into();
    let webhooks = registry.webhooks.iter().map(|registered| &registered.webhook);
    let payload = LazyPayload::new(key.payload);
    let verdict = |webhook: &Webhook| judge(key, &payload, webhook, catalog);
    let route = |webhook: &Webhook| Route { hook_id: webhook.hook_id(), verdict: verdict(webhook) };
    webhooks.map(route).collect()
}

/// Returns the verdict that every event of this kind gets for a webhook, or `None` if it depends on the event.
pub(crate) fn verdict_by_kind(event_id: EventId, webhook: &Webhook, catalog: &Catalog) -> Option<Verdict> {
    match subscription(event_id, webhook, catalog) {
        Err(reason) => Some(Verdict::Skip(reason)),
        Ok(subscription) => {
            let takes_all = webhook.ignore_src().is_none()
                && subscription.departments().is_all()
                && subscription.filter().is_none();
            takes_all.then_some(Verdict::Deliver)
        }
    }
}

/// Returns the subscription that decides, or the reason why there is none.
fn subscription<'a>(
    event_id: EventId,
    webhook: &'a Webhook,
    catalog: &Catalog,
) -> Result<&'a Subscription, SkipReason> {
    if webhook.status() == Status::Disabled {
        return Err(SkipReason::Disabled);
    }
    webhook.subscription(event_id, catalog).ok_or(SkipReason::NotSubscribed)
}

fn judge(key: RoutingKey<'_>, payload: &LazyPayload<'_>, webhook: &Webhook, catalog: &Catalog) -> Verdict {
    let subscription = match subscription(key.event_id, webhook, catalog) {
        Ok(subscription) => subscription,
        Err(reason) => return Verdict::Skip(reason),
    };
    if !subscription.departments().include(key.department) {
        return Verdict::Skip(SkipReason::OtherDepartment);
    }
    match (webhook.ignore_src(), key.source) {
        (Some(ignored), Some(source)) if ignored == source => return Verdict::Skip(SkipReason::OwnSource),
        _ => {}
    }
    match subscription.filter() {
        Some(filter) if !filter.matches_lazily(payload) => Verdict::Skip(SkipReason::Filtered),
        _ => Verdict::Deliver,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::EventType;
    use crate::registry::RegisteredWebhook;

    /// A catalog of the events 0 to 3; the last of them is hidden.
    fn catalog() -> Catalog {
        let keys = ["a.b.c", "a.c", "b.c", "a.b.d"];
        let event = |(id, key)| EventType::new(EventId::new(id), key, "name", &json!({}));
        let events = (0..).zip(keys).map(event).map(|it| if it.key() == "a.b.d" { it.hidden() } else { it });
        let builder = events.fold(Catalog::builder(), |builder, event| builder.event(event));
        builder.build().expect("sound")
    }

    fn webhook(json: Value) -> Webhook {
        serde_json::from_value(json).expect("a sound webhook")
    }

    fn registry_of(webhooks: impl IntoIterator<Item = Webhook>) -> Registry {
        let webhooks = webhooks.into_iter().map(RegisteredWebhook::new).collect();
        Registry { webhooks, ..Registry::default() }
    }

    /// Routes event 13 to an enabled webhook that subscribes to it and has these attributes too.
    fn verdict(attributes: Value, department: Option<i64>, source: Option<&str>) -> Verdict {
        verdict_on(RawValue::NULL, attributes, department, source)
    }

    fn verdict_on(
        payload: &RawValue,
        attributes: Value,
        department: Option<i64>,
        source: Option<&str>,
    ) -> Verdict {
        let mut hook = json!({"hook_id": 1, "name": "a", "url": "https://a.example/",
            "subscriptions": [{"event_id": 12}, {"event_id": 13}]});
        for (key, value) in attributes.as_object().expect("attributes").clone() {
            hook[key] = value;
        }
        let source = source.map(|it| SourceId::new(it).expect("valid"));
        let department = department.map(DeptId::new);
        let key = RoutingKey { event_id: EventId::new(13), department, source: source.as_ref(), payload };
        route(key, &registry_of([webhook(hook)]), &catalog())[0].verdict
    }

    #[test]
    fn an_event_is_delivered_where_nothing_stands_against_it() {
        assert_eq!(verdict(json!({}), None, None), Verdict::Deliver);
        assert_eq!(verdict(json!({}), Some(7), Some("crm")), Verdict::Deliver);
    }

    #[test]
    fn a_disabled_webhook_is_skipped() {
        assert_eq!(verdict(json!({"status": 0}), None, None), Verdict::Skip(SkipReason::Disabled));
    }

    #[test]
    fn the_kind_of_event_decides_if_the_webhook_asks_for_nothing_else() {
        let by_kind = |attributes: Value| {
            let mut hook = json!({"hook_id": 1, "name": "a", "url": "https://a.example/"});
            hook["subscriptions"] = json!([{"event_id": 13}]);
            for (key, value) in attributes.as_object().expect("attributes").clone() {
                hook[key] = value;
            }
            verdict_by_kind(EventId::new(13), &webhook(hook), &catalog())
        };
        assert_eq!(by_kind(json!({})), Some(Verdict::Deliver));
        assert_eq!(by_kind(json!({"status": 0})), Some(Verdict::Skip(SkipReason::Disabled)));
        let filter = json!([{"pointer": "/a", "exists": true}]);
        for attributes in [
            json!({"ignore_src": "crm"}),
            json!({"subscriptions": [{"event_id": 13, "dept_ids": [7]}]}),
            json!({"subscriptions": [{"event_id": 13, "filter": filter}]}),
        ] {
            assert_eq!(by_kind(attributes.clone()), None, "{attributes}");
        }
    }

    #[test]
    fn a_webhook_for_other_events_is_skipped() {
        let other = json!({"subscriptions": [{"event_id": 12}]});
        assert_eq!(verdict(other, None, None), Verdict::Skip(SkipReason::NotSubscribed));
    }

    #[test]
    fn a_webhook_for_other_departments_is_skipped() {
        let only = || json!({"subscriptions": [{"event_id": 12}, {"event_id": 13, "dept_ids": [7, 9]}]});
        for department in [Some(7), Some(9)] {
            assert_eq!(verdict(only(), department, None), Verdict::Deliver);
        }
        for department in [Some(8), Some(-7), None] {
            let skipped = Verdict::Skip(SkipReason::OtherDepartment);
            assert_eq!(verdict(only(), department, None), skipped, "{department:?}");
        }
    }

    #[test]
    fn the_source_that_a_webhook_ignores_is_matched_exactly() {
        let ignores = || json!({"ignore_src": "crm"});
        assert_eq!(verdict(ignores(), None, Some("crm")), Verdict::Skip(SkipReason::OwnSource));
        for source in [None, Some("CRM"), Some("crm "), Some("crm2"), Some("c")] {
            assert_eq!(verdict(ignores(), None, source), Verdict::Deliver, "{source:?}");
        }
        assert_eq!(verdict(json!({}), None, None), Verdict::Deliver);
    }

    #[test]
    fn of_several_reasons_the_first_is_given() {
        let mut hook = json!({"status": 0, "ignore_src": "crm", "subscriptions": [{"event_id": 12}]});
        let skipped = |hook: &Value| verdict(hook.clone(), Some(8), Some("crm"));
        assert_eq!(skipped(&hook), Verdict::Skip(SkipReason::Disabled));
        hook["status"] = json!(1);
        assert_eq!(skipped(&hook), Verdict::Skip(SkipReason::NotSubscribed));
        hook["subscriptions"] = json!([{"event_id": 13, "dept_ids": [7]}]);
        assert_eq!(skipped(&hook), Verdict::Skip(SkipReason::OtherDepartment));
        hook["subscriptions"] =
            json!([{"event_id": 13, "dept_ids": [8], "filter": [{"pointer": "/a", "exists": true}]}]);
        assert_eq!(skipped(&hook), Verdict::Skip(SkipReason::OwnSource));
        hook["ignore_src"] = Value::Null;
        assert_eq!(skipped(&hook), Verdict::Skip(SkipReason::Filtered));
        hook["subscriptions"] = json!([{"event_id": 13, "dept_ids": [8]}]);
        assert_eq!(skipped(&hook), Verdict::Deliver);
    }

    #[test]
    fn a_filter_is_asked_of_its_own_event_alone() {
        let filter = json!([{"pointer": "/a", "equals": 1}]);
        let subscriptions = json!([{"event_id": 12, "filter": filter}, {"event_id": 13}]);
        assert_eq!(verdict(json!({"subscriptions": subscriptions}), None, None), Verdict::Deliver);
        let filtered = || json!({"subscriptions": [{"event_id": 12}, {"event_id": 13, "filter": filter}]});
        let with = |payload: &str| {
            let payload = RawValue::from_string(payload.to_owned()).expect("JSON");
            verdict_on(&payload, filtered(), None, None)
        };
        assert_eq!(with(r#"{"a":1.0}"#), Verdict::Deliver);
        assert_eq!(with(r#"{"a":2}"#), Verdict::Skip(SkipReason::Filtered));
        assert_eq!(with("null"), Verdict::Skip(SkipReason::Filtered));
    }

    #[test]
    fn a_payload_is_read_only_for_a_filter_that_decides() {
        let filter = json!([{"pointer": "/a", "equals": 1}]);
        let hook = |attributes: Value| {
            let mut hook = json!({"hook_id": 1, "name": "a", "url": "https://a.example/"});
            hook.as_object_mut().expect("an object").extend(attributes.as_object().expect("one").clone());
            webhook(hook)
        };
        let was_read = |hook: Webhook| {
            let source = SourceId::new("crm").expect("valid");
            let payload = RawValue::from_string(r#"{"a":1}"#.to_owned()).expect("JSON");
            let (event_id, department) = (EventId::new(13), None);
            let key = RoutingKey { event_id, department, source: Some(&source), payload: &payload };
            let payload = LazyPayload::new(key.payload);
            let _ = judge(key, &payload, &hook, &catalog());
            payload.was_read()
        };
        let filtered = |event: u32| json!([{"event_id": event, "filter": filter}]);
        assert!(was_read(hook(json!({"subscriptions": filtered(13)}))));
        assert!(!was_read(hook(json!({"subscriptions": [{"event_id": 13}]}))));
        assert!(!was_read(hook(json!({"subscriptions": filtered(12)}))));
        assert!(!was_read(hook(json!({"subscriptions": filtered(13), "status": 0}))));
        assert!(!was_read(hook(json!({"subscriptions": filtered(13), "ignore_src": "crm"}))));
    }

    #[test]
    fn each_reason_is_told_in_words_of_its_own() {
        use SkipReason::{Disabled, Filtered, NotSubscribed, OtherDepartment, OwnSource};
        let words = [Disabled, NotSubscribed, OtherDepartment, OwnSource, Filtered].map(|it| it.to_string());
        let marks = ["disabled", "subscribe to", "other departments", "ignores", "filter"];
        assert!(words.iter().zip(marks).all(|(words, mark)| words.contains(mark)), "{words:?}");
    }

    #[test]
    fn events_are_routed_alike_before_and_after_they_are_published() {
        let source = SourceId::new("crm").expect("valid");
        let event = Event::new(EventId::new(13), &json!({"a": "in the payload"})).expect("serialises");
        let event = event.department(DeptId::new(7)).source(source);
        let before = format!("{:?}", RoutingKey::from(&event));
        let id = || crate::model::MessageId::new("m").expect("valid");
        let published = event.stamped(id, crate::model::Timestamp::default());
        assert_eq!(format!("{:?}", RoutingKey::from(&published)), before);
        assert!(
            before.contains('7')
                && before.contains("crm")
                && before.contains("13")
                && before.contains("in the"),
            "{before}"
        );
    }

    /// Generates a condition on the field `a` of the payload.
    fn condition() -> impl Strategy<Value = Value> {
        prop_oneof![
            (0..3_u8).prop_map(|value| json!({"pointer": "/a", "equals": value})),
            vec(0..3_u8, 1..3).prop_map(|values| json!({"pointer": "/a", "one_of": values})),
            any::<bool>().prop_map(|exists| json!({"pointer": "/a", "exists": exists})),
        ]
    }

    /// Whether the field `a` of the payload passes.
    fn passes(filter: &Value, field: Option<u8>) -> bool {
        filter.as_array().into_iter().flatten().all(|condition| match field {
            None => condition["exists"] == false,
            Some(_) if condition["exists"].is_boolean() => condition["exists"] == true,
            Some(value) => {
                let listed = condition["one_of"].as_array().is_some_and(|it| it.contains(&json!(value)));
                listed || condition["equals"] == value
            }
        })
    }

    /// Generates the attributes of a webhook from few values, so that they often match those of an event.
    fn hook() -> impl Strategy<Value = Value> {
        let departments = option::of(proptest::collection::btree_set(0..3_i64, 1..3));
        let filter = option::of(condition().prop_map(|condition| json!([condition])));
        // Events by their ids, and patterns of keys.
        let events = prop_oneof![
            2 => (0..4_u32).prop_map(|id| ("event_id", id.to_string())),
            1 => prop_oneof![Just("*"), Just("a.*"), Just("a.b*")].prop_map(|it| ("events", it.to_owned())),
        ];
        let subscriptions = proptest::collection::btree_map(events, (departments, filter), 1..4);
        let source = option::of(prop_oneof![Just("a"), Just("b")]);
        (0..2_u8, source, subscriptions).prop_map(|(status, ignore_src, subscriptions)| {
            let subscription = |((attribute, events), (dept_ids, filter)): ((&str, String), _)| {
                json!({attribute: events, "dept_ids": dept_ids, "filter": filter})
            };
            let subscriptions: Vec<_> = subscriptions.into_iter().map(subscription).collect();
            json!({"name": "a", "url": "https://a.example/", "status": status, "ignore_src": ignore_src,
                "subscriptions": subscriptions})
        })
    }

    /// Applies the rules to the JSON of a webhook: the first of the reasons that apply counts.
    fn oracle(
        hook: &Value,
        (event_id, field): (u32, Option<u8>),
        department: Option<i64>,
        source: Option<&str>,
    ) -> Verdict {
        let subscriptions = hook["subscriptions"].as_array().expect("a list");
        // The last of these is the one that decides: patterns from short to long, and then the id.
        let patterns = match event_id {
            0 => ["*", "a.*", "a.b*"].as_slice(),
            1 => &["*", "a.*"],
            2 => &["*"],
            _ => &[],
        };
        let named = |name: &str| subscriptions.iter().find(|it| it["events"] == name);
        let id = json!(event_id.to_string());
        let by_id = subscriptions.iter().find(|it| it["event_id"] == id);
        let here: Vec<_> =
            by_id.or_else(|| patterns.iter().rev().find_map(|it| named(it))).into_iter().collect();
        let wants = |it: &&Value| match it["dept_ids"].as_array() {
            None => true,
            Some(ids) => department.is_some_and(|department| ids.contains(&json!(department))),
        };
        let mut reasons = Vec::new();
        if hook["status"] == 0 {
            reasons.push(SkipReason::Disabled);
        }
        if here.is_empty() {
            reasons.push(SkipReason::NotSubscribed);
        }
        if !here.iter().any(wants) {
            reasons.push(SkipReason::OtherDepartment);
        }
        if source.is_some() && hook["ignore_src"].as_str() == source {
            reasons.push(SkipReason::OwnSource);
        }
        if !here.iter().any(|it| passes(&it["filter"], field)) {
            reasons.push(SkipReason::Filtered);
        }
        reasons.first().map_or(Verdict::Deliver, |reason| Verdict::Skip(*reason))
    }

    proptest! {
        #[test]
        fn every_webhook_appears_once_with_the_verdict_of_the_oracle(
            mut hooks in vec(hook(), 0..6),
            event_id in 0..5_u32,
            department in option::of(0..4_i64),
            source in option::of(prop_oneof![Just("a"), Just("c")]),
            field in option::of(0..4_u8),
        ) {
            let payload = field.map_or_else(|| json!({}), |a| json!({"a": a})).to_string();
            let payload = RawValue::from_string(payload).expect("JSON");
            hooks.iter_mut().zip(1..).for_each(|(hook, id)| hook["hook_id"] = json!(id));
            let registry = registry_of(hooks.iter().cloned().map(webhook));
            let source_id = source.map(|it| SourceId::new(it).expect("valid"));
            let key = RoutingKey {
                event_id: EventId::new(event_id),
                department: department.map(DeptId::new),
                source: source_id.as_ref(),
                payload: &payload,
            };
            let expected = hooks.iter().zip(1..).map(|(hook, id)| Route {
                hook_id: HookId::new(id),
                verdict: oracle(hook, (event_id, field), department, source),
            });
            let routes = route(key, &registry, &catalog());
            prop_assert_eq!(&routes, &expected.collect::<Vec<_>>());
            for (registered, route) in registry.webhooks.iter().zip(routes) {
                let by_kind = verdict_by_kind(key.event_id, &registered.webhook, &catalog());
                prop_assert!(by_kind.is_none_or(|verdict| verdict == route.verdict), "{:?}", by_kind);
            }
        }
    }
}
