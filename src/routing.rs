//! Which webhooks get an event, and for each other one the reason why not.
//!
//! ```
//! use hookwire::{assist, DeptId};
//! use hookwire::registry::Registry;
//! use hookwire::routing::{self, Occasion};
//!
//! let occasion = Occasion { event_id: assist::DEVICE_ONLINE, department: Some(DeptId::new(7)), source: None };
//! assert!(routing::route(occasion, &Registry::default()).is_empty());
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{DeptId, Event, EventId, HookId, SourceId, StampedEvent, Status, Webhook};
use crate::registry::Registry;

/// What routing looks at in an event.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an argument list by name")]
pub struct Occasion<'a> {
    /// The kind of event.
    pub event_id: EventId,
    /// The department in which it happened.
    pub department: Option<DeptId>,
    /// The source of the write that caused it.
    pub source: Option<&'a SourceId>,
}

impl<'a> From<&'a StampedEvent> for Occasion<'a> {
    fn from(event: &'a StampedEvent) -> Self {
        Self { event_id: event.event_id, department: event.department, source: event.source.as_ref() }
    }
}

impl<'a> From<&'a Event> for Occasion<'a> {
    fn from(event: &'a Event) -> Self {
        let (department, source) = event.origin();
        Self { event_id: event.event_id(), department, source }
    }
}

/// What becomes of one event at one webhook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a pair by name")]
pub struct Route {
    /// The webhook.
    pub hook_id: HookId,
    /// Whether it gets the event.
    pub verdict: Verdict,
}

/// Whether a webhook gets an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it gets the event, or there is a reason")]
pub enum Verdict {
    /// It gets the event.
    Deliver,
    /// It does not, for this reason.
    Skip(SkipReason),
}

/// Why a webhook does not get an event: the first reason in this order.
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
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "the webhook is disabled",
            Self::NotSubscribed => "the webhook does not subscribe to the event",
            Self::OtherDepartment => "the webhook subscribes to the event for other departments",
            Self::OwnSource => "the event comes from the source that the webhook ignores",
        })
    }
}

/// Routes an event to a tenant's webhooks: for each of them, by ascending id, what becomes of it.
pub fn route<'a>(occasion: impl Into<Occasion<'a>>, registry: &Registry) -> Vec<Route> {
    let occasion = occasion.into();
    let webhooks = registry.webhooks.iter().map(|registered| &registered.webhook);
    let route = |webhook: &Webhook| Route { hook_id: webhook.hook_id(), verdict: judge(occasion, webhook) };
    webhooks.map(route).collect()
}

fn judge(occasion: Occasion<'_>, webhook: &Webhook) -> Verdict {
    if webhook.status() == Status::Disabled {
        return Verdict::Skip(SkipReason::Disabled);
    }
    let Some(subscription) = webhook.subscription(occasion.event_id) else {
        return Verdict::Skip(SkipReason::NotSubscribed);
    };
    if !subscription.departments().include(occasion.department) {
        return Verdict::Skip(SkipReason::OtherDepartment);
    }
    match (webhook.ignore_src(), occasion.source) {
        (Some(ignored), Some(source)) if ignored == source => Verdict::Skip(SkipReason::OwnSource),
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
    use crate::model::{DeliveryOptions, SealedSecrets};
    use crate::registry::{RegisteredWebhook, Version};

    fn webhook(json: Value) -> Webhook {
        serde_json::from_value(json).expect("a sound webhook")
    }

    fn registry_of(webhooks: impl IntoIterator<Item = Webhook>) -> Registry {
        let registered = |webhook| RegisteredWebhook {
            webhook,
            options: DeliveryOptions::default(),
            secrets: SealedSecrets::default(),
            version: Version::default(),
            disabled: None,
        };
        Registry { webhooks: webhooks.into_iter().map(registered).collect(), ..Registry::default() }
    }

    /// What becomes of event 13 at an enabled webhook for it that has these attributes besides.
    fn verdict(attributes: Value, department: Option<i64>, source: Option<&str>) -> Verdict {
        let mut hook = json!({"hook_id": 1, "name": "a", "url": "https://a.example/",
            "subscriptions": [{"event_id": 12}, {"event_id": 13}]});
        for (key, value) in attributes.as_object().expect("attributes").clone() {
            hook[key] = value;
        }
        let source = source.map(|it| SourceId::new(it).expect("valid"));
        let department = department.map(DeptId::new);
        let occasion = Occasion { event_id: EventId::new(13), department, source: source.as_ref() };
        route(occasion, &registry_of([webhook(hook)]))[0].verdict
    }

    #[test]
    fn an_event_is_delivered_where_nothing_stands_against_it() {
        assert_eq!(verdict(json!({}), None, None), Verdict::Deliver);
        assert_eq!(verdict(json!({}), Some(7), Some("crm")), Verdict::Deliver);
    }

    #[test]
    fn a_disabled_webhook_is_passed_over() {
        assert_eq!(verdict(json!({"status": 0}), None, None), Verdict::Skip(SkipReason::Disabled));
    }

    #[test]
    fn a_webhook_for_other_events_is_passed_over() {
        let other = json!({"subscriptions": [{"event_id": 12}]});
        assert_eq!(verdict(other, None, None), Verdict::Skip(SkipReason::NotSubscribed));
    }

    #[test]
    fn a_webhook_for_other_departments_is_passed_over() {
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
        hook["subscriptions"] = json!([{"event_id": 13, "dept_ids": [8]}]);
        assert_eq!(skipped(&hook), Verdict::Skip(SkipReason::OwnSource));
    }

    #[test]
    fn each_reason_is_told_in_words_of_its_own() {
        use SkipReason::{Disabled, NotSubscribed, OtherDepartment, OwnSource};
        let words = [Disabled, NotSubscribed, OtherDepartment, OwnSource].map(|it| it.to_string());
        let marks = ["disabled", "subscribe to", "other departments", "ignores"];
        assert!(words.iter().zip(marks).all(|(words, mark)| words.contains(mark)), "{words:?}");
    }

    #[test]
    fn events_are_routed_alike_before_and_after_they_are_published() {
        let source = SourceId::new("crm").expect("valid");
        let event = Event::new(EventId::new(13), &json!({})).expect("serialises");
        let event = event.department(DeptId::new(7)).source(source);
        let before = format!("{:?}", Occasion::from(&event));
        let id = || crate::model::MessageId::new("m").expect("valid");
        let published = event.stamped(id, crate::model::Timestamp::default());
        assert_eq!(format!("{:?}", Occasion::from(&published)), before);
        assert!(before.contains('7') && before.contains("crm") && before.contains("13"), "{before}");
    }

    /// The attributes of one webhook, over few values, so that they often meet those of an event.
    fn hook() -> impl Strategy<Value = Value> {
        let departments = option::of(proptest::collection::btree_set(0..3_i64, 1..3));
        let subscriptions = proptest::collection::btree_map(0..4_u32, departments, 1..4);
        let source = option::of(prop_oneof![Just("a"), Just("b")]);
        (0..2_u8, source, subscriptions).prop_map(|(status, ignore_src, subscriptions)| {
            let subscription = |(event_id, dept_ids)| json!({"event_id": event_id, "dept_ids": dept_ids});
            let subscriptions: Vec<_> = subscriptions.into_iter().map(subscription).collect();
            json!({"name": "a", "url": "https://a.example/", "status": status, "ignore_src": ignore_src,
                "subscriptions": subscriptions})
        })
    }

    /// The rules told over the JSON of a webhook: every reason that applies, of which the first counts.
    fn oracle(hook: &Value, event_id: u32, department: Option<i64>, source: Option<&str>) -> Verdict {
        let subscriptions = hook["subscriptions"].as_array().expect("a list");
        let here: Vec<_> = subscriptions.iter().filter(|it| it["event_id"] == event_id).collect();
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
        reasons.first().map_or(Verdict::Deliver, |reason| Verdict::Skip(*reason))
    }

    proptest! {
        #[test]
        fn every_webhook_appears_once_with_the_verdict_of_the_oracle(
            mut hooks in vec(hook(), 0..6),
            event_id in 0..5_u32,
            department in option::of(0..4_i64),
            source in option::of(prop_oneof![Just("a"), Just("c")]),
        ) {
            hooks.iter_mut().zip(1..).for_each(|(hook, id)| hook["hook_id"] = json!(id));
            let registry = registry_of(hooks.iter().cloned().map(webhook));
            let source_id = source.map(|it| SourceId::new(it).expect("valid"));
            let occasion = Occasion {
                event_id: EventId::new(event_id),
                department: department.map(DeptId::new),
                source: source_id.as_ref(),
            };
            let expected = hooks.iter().zip(1..).map(|(hook, id)| Route {
                hook_id: HookId::new(id),
                verdict: oracle(hook, event_id, department, source),
            });
            prop_assert_eq!(route(occasion, &registry), expected.collect::<Vec<_>>());
        }
    }
}
