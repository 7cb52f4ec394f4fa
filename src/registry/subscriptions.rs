//! Checks the subscriptions of a draft.

use std::collections::BTreeSet;

use super::limits::Limits;
use crate::model::{
    BodyTemplate, Catalog, Departments, DeptId, EventId, EventPattern, Events, Filter, Findings, Given, Rule,
    Subscription, SubscriptionDraft, Violation, Webhook, WebhookDraft,
};

/// The events and numbers that a webhook may have. What it has already may stay, even if the event has left the
/// catalog or a limit was lowered.
pub(super) struct Allowed<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) limits: &'a Limits,
    pub(super) present: Option<&'a Webhook>,
}

impl Allowed<'_> {
    fn present_subscription(&self, events: &Events) -> Option<&Subscription> {
        self.present?.subscriptions().iter().find(|it| it.events() == events)
    }

    fn has(&self, events: &Events) -> bool {
        self.present_subscription(events).is_some()
    }

    fn has_match(&self, pattern: &EventPattern) -> bool {
        self.catalog.iter().any(|event| pattern.matches(event))
    }

    fn max_subscriptions(&self) -> usize {
        let present = self.present.map_or(0, |webhook| webhook.subscriptions().len());
        self.limits.subscriptions().max(present)
    }

    fn max_departments(&self, events: Option<&Events>) -> usize {
        let present = events.and_then(|events| self.present_subscription(events));
        let count = match present.map(Subscription::departments) {
            Some(Departments::Only(set)) => set.iter().count(),
            Some(Departments::All) | None => 0,
        };
        self.limits.departments().max(count)
    }

    fn has_filter(&self, events: Option<&Events>, filter: &Filter) -> bool {
        let present = events.and_then(|events| self.present_subscription(events));
        present.and_then(Subscription::filter) == Some(filter)
    }

    fn has_template(&self, events: Option<&Events>, template: &BodyTemplate) -> bool {
        let present = events.and_then(|events| self.present_subscription(events));
        present.and_then(Subscription::template) == Some(template)
    }
}

/// The characters of a pattern that are shown in a message.
const MAX_SHOWN_CHARS: usize = 64;

/// Returns the attribute that names the events of a subscription.
pub(super) const fn attribute_of(events: &Events) -> &'static str {
    match events {
        Events::One(_) => "event_id",
        Events::Matching(_) => "events",
    }
}

fn value_of(events: &Events) -> String {
    match events {
        Events::One(id) => id.to_string(),
        Events::Matching(pattern) => pattern.to_string(),
    }
}

/// Says what to do about a text without `*`, which may be meant as the key of an event.
fn no_pattern(text: &str, shown: &str, catalog: &Catalog) -> String {
    match catalog.by_key(text) {
        Some(event) => format!("{shown:?} is one event; name it by `event_id`: {}", event.id()),
        None => format!("there is no event {shown:?}; choose one of the catalog"),
    }
}

impl Findings {
    fn about_event(&mut self, field: &str, rule: Rule, event: impl ToString, message: String) {
        self.0.push(Violation::new(field, rule, message).with("event", event));
    }

    pub(super) fn subscriptions(&mut self, draft: &WebhookDraft, allowed: &Allowed<'_>) -> Vec<Subscription> {
        let field = "subscriptions";
        let list = match &draft.subscriptions {
            Some(given) => self.typed(field, "an array of subscriptions", given),
            None => {
                self.add(field, Rule::Required, "is missing; subscribe to at least one event");
                None
            }
        };
        let Some(list) = list else { return Vec::new() };
        if list.is_empty() {
            self.add(field, Rule::Empty, "is empty; subscribe to at least one event");
        }
        let mut seen = BTreeSet::new();
        let checked = self.bounded(field, list, allowed.max_subscriptions());
        let read = |(index, given)| self.subscription(index, given, allowed, &mut seen);
        checked.iter().enumerate().filter_map(read).collect()
    }

    fn subscription(
        &mut self,
        index: usize,
        given: &Given<SubscriptionDraft>,
        allowed: &Allowed<'_>,
        seen: &mut BTreeSet<Events>,
    ) -> Option<Subscription> {
        let field = format!("subscriptions[{index}]");
        let draft = self.typed(&field, "an object with `event_id`", given)?;
        let events = self.events(&field, draft, allowed);
        let max = allowed.max_departments(events.as_ref());
        let departments = self.departments(&format!("{field}.dept_ids"), draft, max);
        let filter = self.filter(&format!("{field}.filter"), draft, events.as_ref(), allowed);
        let template = self.template(&format!("{field}.template"), draft, events.as_ref(), allowed);
        let events = events?;
        if !seen.insert(events.clone()) {
            let message = format!("{events} stands in an earlier subscription; join the two");
            let field = format!("{field}.{}", attribute_of(&events));
            self.about_event(&field, Rule::DuplicateEvent, value_of(&events), message);
        }
        // What is invalid counts for the limits all the same: no webhook is made of it.
        let departments = departments.unwrap_or_default();
        let subscription = match events {
            Events::One(id) => Subscription::new(id, departments),
            Events::Matching(pattern) => Subscription::matching(pattern, departments),
        };
        let subscription = filter.into_iter().fold(subscription, Subscription::with_filter);
        Some(template.into_iter().fold(subscription, Subscription::with_template))
    }

    fn events(&mut self, field: &str, draft: &SubscriptionDraft, allowed: &Allowed<'_>) -> Option<Events> {
        let (event_id, events) = (format!("{field}.event_id"), format!("{field}.events"));
        match (&draft.event_id, &draft.events) {
            (Some(given), None) => self.event(&event_id, given, allowed),
            (None, Some(given)) => self.pattern(&events, given, allowed),
            (Some(_), Some(_)) => {
                let message = "stands beside `event_id`; make a subscription of each";
                self.add(&events, Rule::Conflict, message);
                None
            }
            (None, None) => {
                self.add(&event_id, Rule::Required, "is missing; name an event of the catalog");
                None
            }
        }
    }

    fn event(&mut self, field: &str, given: &Given<i64>, allowed: &Allowed<'_>) -> Option<Events> {
        let number = *self.typed(field, "a whole number", given)?;
        let id = u32::try_from(number).ok().map(EventId::new);
        let is_known = |id: &EventId| allowed.catalog.get(*id).is_some() || allowed.has(&Events::One(*id));
        let id = id.filter(is_known);
        if id.is_none() {
            let message = format!("there is no event {number}; choose one of the catalog");
            self.about_event(field, Rule::UnknownEvent, number, message);
        }
        id.map(Events::One)
    }

    fn pattern(&mut self, field: &str, given: &Given<String>, allowed: &Allowed<'_>) -> Option<Events> {
        let text = self.typed(field, "a pattern such as `invoice.*`", given)?;
        let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
        let pattern = match EventPattern::new(text) {
            Ok(pattern) => pattern,
            Err(error) if text.contains('*') || text.is_empty() => {
                self.add(field, Rule::Format, format!("{shown:?} {error}"));
                return None;
            }
            Err(_) => {
                let message = no_pattern(text, &shown, allowed.catalog);
                self.about_event(field, Rule::UnknownEvent, shown, message);
                return None;
            }
        };
        let has_match = allowed.has_match(&pattern);
        let events = Events::Matching(pattern);
        if allowed.has(&events) {
            return Some(events);
        }
        if !allowed.catalog.allows_patterns() {
            self.add(field, Rule::NotOffered, "patterns are not offered here; name each event");
            return None;
        }
        if !has_match {
            let message = format!("no event matches {shown:?}; choose from the catalog");
            self.about_event(field, Rule::UnknownEvent, shown, message);
            return None;
        }
        Some(events)
    }

    fn departments(&mut self, field: &str, draft: &SubscriptionDraft, max: usize) -> Option<Departments> {
        let Some(given) = &draft.dept_ids else { return Some(Departments::All) };
        let list = self.typed(field, "an array of department ids", given)?;
        let list = self.bounded(field, list, max);
        let mut read = |(index, id)| {
            let field = format!("{field}[{index}]");
            self.typed(&field, "a whole number", id).copied().map(DeptId::new)
        };
        let ids: Vec<_> = list.iter().enumerate().map(&mut read).collect();
        let ids: Option<Vec<_>> = ids.into_iter().collect();
        let departments = Departments::only(ids?);
        departments.map_err(|error| self.add(field, Rule::Empty, error.to_string())).ok()
    }

    fn filter(
        &mut self,
        field: &str,
        draft: &SubscriptionDraft,
        events: Option<&Events>,
        allowed: &Allowed<'_>,
    ) -> Option<Filter> {
        let given = draft.filter.as_ref()?;
        let read = Filter::check(field, given);
        let has_it = read.as_ref().is_ok_and(|filter| allowed.has_filter(events, filter));
        if !allowed.catalog.allows_filters() && !has_it {
            self.add(field, Rule::NotOffered, "filters are not offered here; leave `filter` out");
            return None;
        }
        read.map_err(|violations| self.0.extend(violations)).ok()
    }

    fn template(
        &mut self,
        field: &str,
        draft: &SubscriptionDraft,
        events: Option<&Events>,
        allowed: &Allowed<'_>,
    ) -> Option<BodyTemplate> {
        let read = match draft.template.as_ref()? {
            Given::Right(template) => Ok(template.clone()),
            Given::Wrong(given) => BodyTemplate::check(field, given),
        };
        let has_it = read.as_ref().is_ok_and(|template| allowed.has_template(events, template));
        if !allowed.catalog.allows_templates() && !has_it {
            self.add(field, Rule::NotOffered, "templates are not offered here; leave `template` out");
            return None;
        }
        read.map_err(|violations| self.0.extend(violations)).ok()
    }
}

/// Returns the template of a draft's subscription to an event, for a request to a webhook that there is not yet.
///
/// # Errors
///
/// Returns the violations of the draft's templates. Other violations of the draft do not matter.
///
/// ```
/// use hookwire::model::{BodyTemplate, Departments, Subscription};
/// use hookwire::{WebhookDraft, assist, registry};
///
/// let template = BodyTemplate::parse(r#"{"device": "${payload.deviceName}"}"#)?;
/// let online = Subscription::new(assist::DEVICE_ONLINE, Departments::All).with_template(template.clone());
/// let draft = WebhookDraft::new("Log", "https://hooks.example.com/").subscribe_to(&online);
/// let found = registry::draft_template(&draft, assist::DEVICE_ONLINE, &assist::catalog());
/// assert_eq!(found, Ok(Some(template)));
/// # Ok::<_, hookwire::model::InvalidTemplate>(())
/// ```
pub fn draft_template(
    draft: &WebhookDraft,
    event: EventId,
    catalog: &Catalog,
) -> Result<Option<BodyTemplate>, Vec<Violation>> {
    let mut found = Findings::default();
    let allowed = Allowed { catalog, limits: &Limits::default(), present: None };
    let subscriptions = found.subscriptions(draft, &allowed);
    found.0.retain(|it| it.field().contains("].template"));
    if !found.0.is_empty() {
        return Err(found.0);
    }
    let including = subscriptions.iter().filter(|it| it.events().include(event, catalog));
    let deciding = including.max_by_key(|it| it.events().closeness());
    Ok(deciding.and_then(Subscription::template).cloned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::check::{UrlRule, check_draft};
    use super::*;
    use crate::model::{CatalogBuilder, EventType, HookId};

    const NONE: [(&str, Rule); 0] = [];

    /// A catalog of the events 1 and 2, and 3, which is hidden.
    fn catalog(configure: impl FnOnce(CatalogBuilder) -> CatalogBuilder) -> Catalog {
        let event = |id, key| EventType::new(EventId::new(id), key, "name", &json!({}));
        let builder = Catalog::builder().event(event(1, "invoice.paid")).event(event(2, "invoice.sent"));
        configure(builder.event(event(3, "beta.tested").hidden())).build().expect("sound")
    }

    fn open() -> Catalog {
        catalog(|it| it.allow_filters().allow_patterns().allow_templates())
    }

    fn closed() -> Catalog {
        catalog(|it| it)
    }

    fn webhook_of(subscriptions: &Value) -> Value {
        json!({"hook_id": 1, "name": "a", "url": "https://a.example/", "subscriptions": subscriptions})
    }

    fn present(subscriptions: &Value) -> Webhook {
        serde_json::from_value(webhook_of(subscriptions)).expect("a webhook")
    }

    fn violations(catalog: &Catalog, subscriptions: &Value, present: Option<&Webhook>) -> Vec<Violation> {
        let draft = serde_json::from_value(webhook_of(subscriptions)).expect("every object is a draft");
        let terms = (catalog, &Limits::default(), UrlRule::HttpsOnly);
        check_draft(&draft, HookId::new(1), present, terms).webhook.err().unwrap_or_default()
    }

    /// Returns the rules that subscriptions break, with the fields below `subscriptions`.
    fn broken(catalog: &Catalog, subscriptions: &Value, present: Option<&Webhook>) -> Vec<(String, Rule)> {
        let violations = violations(catalog, subscriptions, present);
        let below = |it: &Violation| it.field().strip_prefix("subscriptions").expect("the list").to_owned();
        violations.iter().map(|it| (below(it), it.rule())).collect()
    }

    fn are(found: &[(String, Rule)], expected: &[(&str, Rule)]) {
        let found: Vec<_> = found.iter().map(|(field, rule)| (field.as_str(), *rule)).collect();
        assert_eq!(found, expected);
    }

    fn filtered(filter: &Value) -> Value {
        json!([{"event_id": 1, "filter": filter}])
    }

    #[test]
    fn filters_pass_where_the_catalog_allows_them_and_null_is_none() {
        let sound = json!([{"pointer": "/a", "equals": 1}]);
        are(&broken(&open(), &filtered(&sound), None), &NONE);
        for filter in [&sound, &json!([]), &json!(7)] {
            are(&broken(&closed(), &filtered(filter), None), &[("[0].filter", Rule::NotOffered)]);
        }
        for catalog in [open(), closed()] {
            are(&broken(&catalog, &filtered(&Value::Null), None), &NONE);
        }
    }

    #[test]
    fn each_fault_of_a_filter_is_told_with_its_path() {
        let faulty = json!([{"pointer": "/a", "equals": 1}, {"pointer": "a", "like": 1}]);
        let expected = [("[0].filter[1].pointer", Rule::Format), ("[0].filter[1]", Rule::UnknownOperator)];
        are(&broken(&open(), &filtered(&faulty), None), &expected);
    }

    #[test]
    fn a_filter_that_is_there_may_stay_when_the_catalog_allows_none_any_more() {
        let filter = json!([{"pointer": "/a", "equals": 1}]);
        let present = present(&filtered(&filter));
        are(&broken(&closed(), &filtered(&filter), Some(&present)), &NONE);
        let other = json!([{"pointer": "/a", "equals": 2}]);
        are(&broken(&closed(), &filtered(&other), Some(&present)), &[("[0].filter", Rule::NotOffered)]);
    }

    fn with_template(template: &Value) -> Value {
        json!([{"event_id": 1, "template": template}])
    }

    #[test]
    fn templates_pass_where_the_catalog_allows_them_and_null_is_none() {
        for template in [json!({"a": "${payload}"}), json!("${payload"), json!(7)] {
            are(&broken(&closed(), &with_template(&template), None), &[("[0].template", Rule::NotOffered)]);
        }
        are(&broken(&open(), &with_template(&json!({"a": "${payload}"})), None), &NONE);
        for catalog in [open(), closed()] {
            are(&broken(&catalog, &with_template(&Value::Null), None), &NONE);
        }
        let faulty = json!({"a": ["${x}"], "b.c": "${"});
        let expected =
            [("[0].template.a[0]", Rule::UnknownParameter), ("[0].template[\"b.c\"]", Rule::Format)];
        are(&broken(&open(), &with_template(&faulty), None), &expected);
    }

    #[test]
    fn a_template_that_is_there_may_stay_when_the_catalog_allows_none_any_more() {
        let template = json!({"a": "${payload}"});
        let present = present(&with_template(&template));
        are(&broken(&closed(), &with_template(&template), Some(&present)), &NONE);
        let refused = [("[0].template", Rule::NotOffered)];
        are(&broken(&closed(), &with_template(&json!({"a": 2})), Some(&present)), &refused);
        are(&broken(&closed(), &json!([{"event_id": 2, "template": template}]), Some(&present)), &refused);
    }

    #[test]
    fn a_draft_has_the_template_of_the_subscription_that_decides() {
        let list = json!([{"events": "*", "template": [1]}, {"events": "invoice.*", "template": [2]}, {"event_id": 1}]);
        let draft = serde_json::from_value(webhook_of(&list)).expect("every object is a draft");
        let of =
            |id| draft_template(&draft, EventId::new(id), &open()).expect("sound").map(|it| it.to_string());
        assert_eq!((of(1), of(2).as_deref(), of(9)), (None, Some("[2]"), None));
    }

    fn to(events: &str) -> Value {
        json!([{ "events": events }])
    }

    #[test]
    fn a_pattern_passes_where_the_catalog_allows_it_and_has_a_match() {
        for pattern in ["*", "invoice.*", "invoice.paid*", "inv*"] {
            are(&broken(&open(), &to(pattern), None), &NONE);
            are(&broken(&closed(), &to(pattern), None), &[("[0].events", Rule::NotOffered)]);
        }
        for unknown in ["invoces.*", "Invoice.*", "beta.*", "invoice.paidd"] {
            are(&broken(&open(), &to(unknown), None), &[("[0].events", Rule::UnknownEvent)]);
        }
        for malformed in ["", "**", "*.paid", "invoice.*.x"] {
            for catalog in [open(), closed()] {
                are(&broken(&catalog, &to(malformed), None), &[("[0].events", Rule::Format)]);
            }
        }
        are(&broken(&open(), &json!([{"events": 1}]), None), &[("[0].events", Rule::WrongType)]);
    }

    #[test]
    fn a_pattern_that_is_there_may_stay_when_it_is_not_offered_or_matches_nothing_any_more() {
        for pattern in ["invoice.*", "gone.*"] {
            let present = present(&to(pattern));
            for catalog in [open(), closed()] {
                are(&broken(&catalog, &to(pattern), Some(&present)), &NONE);
            }
            are(&broken(&closed(), &to("*"), Some(&present)), &[("[0].events", Rule::NotOffered)]);
        }
    }

    #[test]
    fn an_id_and_patterns_stand_beside_each_other_in_subscriptions_of_their_own() {
        let several = json!([{"event_id": 1}, {"events": "*"}, {"events": "invoice.*"}]);
        are(&broken(&open(), &several, None), &NONE);
        let twice = json!([{"events": "*"}, {"events": "*", "dept_ids": [7]}]);
        are(&broken(&open(), &twice, None), &[("[1].events", Rule::DuplicateEvent)]);
        let both = json!([{"event_id": 1, "events": "*"}]);
        are(&broken(&open(), &both, None), &[("[0].events", Rule::Conflict)]);
        are(&broken(&open(), &json!([{}]), None), &[("[0].event_id", Rule::Required)]);
    }

    #[test]
    fn a_message_says_what_to_do_and_repeats_no_more_than_some_of_a_text() {
        let told = |events: &str| violations(&open(), &to(events), None)[0].message().to_owned();
        assert_eq!(told("invoice.paid"), r#""invoice.paid" is one event; name it by `event_id`: 1"#);
        assert_eq!(told("invoice.payd"), r#"there is no event "invoice.payd"; choose one of the catalog"#);
        assert!(told("**").starts_with(r#""**" is no pattern; write `*`, or"#));
        assert!(told(&"x".repeat(100_000)).len() < 200);
    }
}
