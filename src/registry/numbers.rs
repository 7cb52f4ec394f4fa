//! Checks the limits of how many webhooks a tenant, and each of its events, may have.

use super::limits::Limits;
use super::state::Registry;
use super::subscriptions::attribute_of;
use crate::model::{Catalog, EventId, EventType, Events, Rule, Subscription, Violation, Webhook};

/// Checks the limits. What a webhook has already may stay, even if a limit was lowered.
pub(super) fn over_limits(
    subscriptions: &[Subscription],
    present: Option<&Webhook>,
    registry: &Registry,
    (catalog, limits): (&Catalog, &Limits),
) -> Vec<Violation> {
    let mut over = Vec::new();
    if present.is_none() && registry.webhooks.len() >= limits.webhooks() {
        let count = registry.webhooks.len();
        let max = limits.webhooks();
        let message = format!("there are {count} webhooks, and at most {max} are allowed; delete one");
        over.push(limit("webhooks", (count, max), message));
    }
    let had = |event| present.is_some_and(|webhook| webhook.subscription(event, catalog).is_some());
    let max = limits.webhooks_per_event();
    for (index, events) in subscriptions.iter().map(Subscription::events).enumerate() {
        let full = |event: &EventId| !had(*event) && registry.subscribers(*event, catalog) >= max;
        let full: Vec<_> = included(events, catalog).into_iter().filter(full).collect();
        if let Some(first) = full.first() {
            let count = registry.subscribers(*first, catalog);
            let all = match full.len() {
                1 => String::new(),
                several => format!("; {several} of its events are full"),
            };
            let message =
                format!("{count} webhooks have event {first}, and at most {max} may; take it from one{all}");
            let field = format!("subscriptions[{index}].{}", attribute_of(events));
            let violation = limit(&field, (count, max), message);
            over.push(violation.with("event", first).with("full", full.len()));
        }
    }
    over
}

fn included(events: &Events, catalog: &Catalog) -> Vec<EventId> {
    match events {
        Events::One(id) => vec![*id],
        Events::Matching(pattern) => {
            catalog.iter().filter(|event| pattern.matches(event)).map(EventType::id).collect()
        }
    }
}

fn limit(field: &str, (count, max): (usize, usize), message: String) -> Violation {
    Violation::new(field, Rule::Limit, message).with("count", count).with("max", max)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::state::RegisteredWebhook;
    use super::*;

    fn webhook(hook_id: usize, subscriptions: &Value) -> Webhook {
        let json = json!({"hook_id": hook_id, "name": "a", "url": "https://a.example/",
            "subscriptions": subscriptions});
        serde_json::from_value(json).expect("a webhook")
    }

    /// Returns what a webhook with these subscriptions exceeds beside others, where two may have an event. The catalog has
    /// the events 1 (`a.x`), 2 (`a.y`) and 3 (`b`).
    fn over(others: &[Value], subscriptions: &Value, present: Option<&Webhook>) -> Vec<Violation> {
        let event = |id, key| EventType::new(EventId::new(id), key, "name", "sample");
        let catalog = Catalog::builder().event(event(1, "a.x")).event(event(2, "a.y")).event(event(3, "b"));
        let catalog = catalog.build().expect("sound");
        let webhooks =
            others.iter().enumerate().map(|(index, it)| webhook(index + 2, it)).chain(present.cloned());
        let webhooks = webhooks.map(RegisteredWebhook::new).collect();
        let registry = Registry { webhooks, ..Registry::default() };
        let limits = Limits::default().with_webhooks_per_event(2);
        over_limits(webhook(1, subscriptions).subscriptions(), present, &registry, (&catalog, &limits))
    }

    fn fields(others: &[Value], subscriptions: Value) -> Vec<String> {
        let over = over(others, &subscriptions, None);
        assert!(over.iter().all(|it| it.rule() == Rule::Limit), "{over:?}");
        over.iter().map(|it| it.field().to_owned()).collect()
    }

    #[test]
    fn a_pattern_counts_towards_the_limit_of_every_event_that_matches() {
        let full = [json!([{"events": "a.*"}]), json!([{"events": "*"}])];
        assert_eq!(fields(&full, json!([{"event_id": 1}])), ["subscriptions[0].event_id"]);
        assert_eq!(fields(&full, json!([{"event_id": 3}])), [""; 0]);
        let all = json!([{"event_id": 3}, {"events": "a.x*"}, {"events": "b*"}, {"events": "*"}]);
        assert_eq!(fields(&full, all), ["subscriptions[1].events", "subscriptions[3].events"]);
        let told = over(&full, &json!([{"events": "*"}]), None)[0].message().to_owned();
        let right = "2 webhooks have event 1, and at most 2 may; take it from one; 2 of its events are full";
        assert_eq!(told, right);
    }

    #[test]
    fn a_webhook_counts_once_however_many_of_its_subscriptions_include_an_event() {
        let one = [json!([{"events": "a.*"}, {"event_id": 1}, {"events": "*"}])];
        assert_eq!(fields(&one, json!([{"event_id": 1}, {"events": "*"}])), [""; 0]);
    }

    #[test]
    fn an_event_that_a_webhook_had_by_whichever_name_may_stay() {
        let others = [json!([{"event_id": 1}]), json!([{"events": "a.*"}])];
        let present = webhook(1, &json!([{"events": "a.*"}]));
        for subscriptions in [json!([{"event_id": 1}]), json!([{"events": "a.x*"}]), json!([{"events": "*"}])]
        {
            assert_eq!(over(&others, &subscriptions, Some(&present)), [], "{subscriptions}");
        }
        let present = webhook(1, &json!([{"event_id": 2}]));
        assert_eq!(over(&others, &json!([{"events": "a.*"}]), Some(&present)).len(), 1);
    }
}
