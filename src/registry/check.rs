//! Checks each attribute of a draft by itself (name, URL, subscriptions, ..), and collects every violation.

use std::collections::BTreeSet;

use serde_json::Value;

use super::limits::Limits;
use crate::model::{
    CallbackUrl, Catalog, Departments, DeptId, EventId, Given, HookId, InvalidCallbackUrl, Rule, SourceId,
    Status, Subscription, SubscriptionDraft, Violation, Webhook, WebhookDraft, WebhookParts,
};

/// The kinds of callback URL that are accepted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum UrlRule {
    /// Only `https`.
    #[default]
    HttpsOnly,
    /// Also `http` to `localhost` or a loopback address, for development.
    LoopbackHttp,
    /// Also `http`, as far as the transport allows it: see
    /// [`allow_private_http`](crate::service::WebhooksBuilder::allow_private_http).
    PrivateHttp,
}

/// Checks a callback URL.
///
/// # Errors
///
/// Returns every violation, of the field `url`.
pub fn check_url(text: &str, rule: UrlRule, limits: &Limits) -> Result<CallbackUrl, Vec<Violation>> {
    let mut found = Findings::default();
    let url = found.url(text, rule, limits);
    url.ok_or(found.0)
}

/// The result of checking a draft by itself, without regard to other webhooks.
pub(super) struct Checked {
    /// The webhook, or every violation.
    pub(super) webhook: Result<Webhook, Vec<Violation>>,
    /// The subscriptions that are valid, even if the draft is not.
    pub(super) subscriptions: Vec<Subscription>,
}

/// Checks a draft by itself. An edit of a webhook passes its `present` form.
pub(super) fn check_draft(
    draft: &WebhookDraft,
    hook_id: HookId,
    present: Option<&Webhook>,
    (catalog, limits, urls): (&Catalog, &Limits, UrlRule),
) -> Checked {
    let mut found = Findings::default();
    let name = found.name(draft, limits);
    let desc = found.desc(draft, limits);
    let url = found.required_url(draft, urls, limits);
    let ignore_src = found.ignore_src(draft);
    let status = found.status(draft, present.map_or(Status::Enabled, Webhook::status));
    let subscriptions = found.subscriptions(draft, &Allowed { catalog, limits, present });
    let readable = subscriptions.clone();
    let webhook = match (name, url, status) {
        (Some(name), Some(url), Some(status)) if found.0.is_empty() => {
            let parts = WebhookParts { hook_id, name, desc, url, ignore_src, status, subscriptions };
            Ok(Webhook::from_checked(parts))
        }
        _ => Err(found.0),
    };
    Checked { webhook, subscriptions: readable }
}

/// The events and numbers that a webhook may have. What it has already may stay, even if the event has left the
/// catalog or a limit was lowered.
struct Allowed<'a> {
    catalog: &'a Catalog,
    limits: &'a Limits,
    present: Option<&'a Webhook>,
}

impl Allowed<'_> {
    fn present_subscription(&self, event: EventId) -> Option<&Subscription> {
        self.present?.subscription(event)
    }

    fn contains(&self, event: EventId) -> bool {
        self.catalog.get(event).is_some() || self.present_subscription(event).is_some()
    }

    fn max_subscriptions(&self) -> usize {
        let present = self.present.map_or(0, |webhook| webhook.subscriptions().len());
        self.limits.subscriptions().max(present)
    }

    fn max_departments(&self, event: Option<EventId>) -> usize {
        let present = event.and_then(|event| self.present_subscription(event));
        let count = match present.map(Subscription::departments) {
            Some(Departments::Only(set)) => set.iter().count(),
            Some(Departments::All) | None => 0,
        };
        self.limits.departments().max(count)
    }
}

/// The violations found so far. Each check adds its own, and returns the value if it is usable.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, field: &str, rule: Rule, message: impl Into<String>) {
        self.0.push(Violation::new(field, rule, message));
    }

    /// Returns the value if it has the wanted type.
    fn typed<'a, T>(&mut self, field: &str, wanted: &str, given: &'a Given<T>) -> Option<&'a T> {
        match given {
            Given::Right(value) => Some(value),
            Given::Wrong(value) => {
                self.add(field, Rule::WrongType, format!("must be {wanted}, not {}", kind_of(value)));
                None
            }
        }
    }

    fn text<'a>(&mut self, field: &str, given: &'a Option<Given<String>>) -> Option<&'a str> {
        self.typed(field, "a string", given.as_ref()?).map(String::as_str)
    }

    fn length(&mut self, field: &str, text: &str, max: usize) {
        let length = text.chars().count();
        if length > max {
            let message = format!("has {length} characters; shorten it to {max}");
            self.add(field, Rule::TooLong, message);
        }
    }

    fn no_controls(&mut self, field: &str, text: &str, except: &[char]) {
        if text.contains(|c: char| c.is_control() && !except.contains(&c)) {
            self.add(field, Rule::Format, "holds control characters; remove them");
        }
    }

    fn name(&mut self, draft: &WebhookDraft, limits: &Limits) -> Option<String> {
        let given =
            draft.name.as_ref().is_some_and(|name| !matches!(name, Given::Right(it) if it.trim().is_empty()));
        if !given {
            self.add("name", Rule::Required, "is missing; give the webhook a name");
            return None;
        }
        let name = self.text("name", &draft.name)?;
        self.length("name", name, limits.name_chars());
        self.no_controls("name", name, &[]);
        Some(name.to_owned())
    }

    fn desc(&mut self, draft: &WebhookDraft, limits: &Limits) -> Option<String> {
        let desc = self.text("desc", &draft.desc)?;
        self.length("desc", desc, limits.desc_chars());
        self.no_controls("desc", desc, &['\n', '\t']);
        Some(desc.to_owned()).filter(|desc| !desc.is_empty())
    }

    fn required_url(&mut self, draft: &WebhookDraft, rule: UrlRule, limits: &Limits) -> Option<CallbackUrl> {
        if draft.url.is_none() {
            self.add("url", Rule::Required, "is missing; name the https URL that shall get the events");
            return None;
        }
        let text = self.text("url", &draft.url)?;
        self.url(text, rule, limits)
    }

    fn url(&mut self, text: &str, rule: UrlRule, limits: &Limits) -> Option<CallbackUrl> {
        let parsed = match rule {
            UrlRule::HttpsOnly => CallbackUrl::parse(text),
            UrlRule::LoopbackHttp => CallbackUrl::parse_allowing_loopback_http(text),
            UrlRule::PrivateHttp => CallbackUrl::parse_allowing_http(text),
        };
        // The stored form counts: encoding makes it longer than the given one.
        let stored = parsed.as_ref().map_or(text, CallbackUrl::as_str);
        self.length("url", stored, limits.url_chars());
        let refuse = |error: InvalidCallbackUrl| self.0.extend(error.violations("url"));
        parsed.map_err(refuse).ok()
    }

    fn ignore_src(&mut self, draft: &WebhookDraft) -> Option<SourceId> {
        let text = self.text("ignore_src", &draft.ignore_src)?;
        match SourceId::new(text) {
            Ok(source) => Some(source),
            Err(_) if text.is_empty() => {
                self.add("ignore_src", Rule::Empty, "is empty; leave it out to hear of every source");
                None
            }
            Err(error) => {
                self.add("ignore_src", Rule::Format, error.to_string());
                None
            }
        }
    }

    fn status(&mut self, draft: &WebhookDraft, default: Status) -> Option<Status> {
        let Some(given) = &draft.status else { return Some(default) };
        let number = *self.typed("status", "0 or 1", given)?;
        let status = Status::try_from(number);
        status.map_err(|error| self.add("status", Rule::OutOfRange, error.to_string())).ok()
    }

    /// Returns the part of a list that is checked, so that a longer one costs no more and has no more violations.
    fn bounded<'a, T>(&mut self, field: &str, list: &'a [T], max: usize) -> &'a [T] {
        if list.len() > max {
            let message = format!("has {} entries, and at most {max} are allowed; shorten it", list.len());
            self.add(field, Rule::TooMany, message);
        }
        &list[..list.len().min(max)]
    }

    fn subscriptions(&mut self, draft: &WebhookDraft, allowed: &Allowed<'_>) -> Vec<Subscription> {
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
        seen: &mut BTreeSet<EventId>,
    ) -> Option<Subscription> {
        let field = format!("subscriptions[{index}]");
        let draft = self.typed(&field, "an object with `event_id`", given)?;
        let event = self.event(&format!("{field}.event_id"), draft, allowed);
        let max = allowed.max_departments(event);
        let departments = self.departments(&format!("{field}.dept_ids"), draft, max);
        let event = event?;
        if !seen.insert(event) {
            let message = format!("event {event} stands in an earlier subscription; join the two");
            self.add(&format!("{field}.event_id"), Rule::DuplicateEvent, message);
        }
        Some(Subscription::new(event, departments?))
    }

    fn event(&mut self, field: &str, draft: &SubscriptionDraft, allowed: &Allowed<'_>) -> Option<EventId> {
        let Some(given) = &draft.event_id else {
            self.add(field, Rule::Required, "is missing; name an event of the catalog");
            return None;
        };
        let number = *self.typed(field, "a whole number", given)?;
        let event = u32::try_from(number).ok().map(EventId::new).filter(|id| allowed.contains(*id));
        if event.is_none() {
            let message = format!("there is no event {number}; choose one of the catalog");
            self.add(field, Rule::UnknownEvent, message);
        }
        event
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
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "this number",
        Value::String(_) => "this string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::assist;

    /// Returns the rules that a draft breaks, with their fields; none if it is valid.
    fn broken(draft: &WebhookDraft, limits: &Limits) -> Vec<(String, Rule)> {
        let catalog = assist::catalog();
        let terms = (&catalog, limits, UrlRule::HttpsOnly);
        let checked = check_draft(draft, HookId::new(1), None, terms);
        let violations = checked.webhook.err().unwrap_or_default();
        violations.iter().map(|it| (it.field().to_owned(), it.rule())).collect()
    }

    /// Returns the rules that the attribute breaks in an otherwise valid draft.
    fn rules(attribute: &str, value: Value) -> Vec<Rule> {
        let mut draft =
            json!({"name": "a", "url": "https://a.example/", "subscriptions": [{"event_id": 13}]});
        draft[attribute] = value;
        let draft = serde_json::from_value(draft).expect("every object is a draft");
        let limits = Limits::default().with_name_chars(3).with_desc_chars(4).with_url_chars(20);
        let found = broken(&draft, &limits);
        assert!(found.iter().all(|(field, _)| field.starts_with(attribute)), "{found:?}");
        found.into_iter().map(|(_, rule)| rule).collect()
    }

    #[test]
    fn lengths_hold_at_both_sides_of_their_edge_and_count_characters() {
        let cases = [
            ("name", "ééé", "éééé"),
            ("desc", "éééé", "ééééé"),
            ("url", "https://a.example/ab", "https://a.example/abc"),
        ];
        for (attribute, fits, too_long) in cases {
            assert_eq!(rules(attribute, json!(fits)), [], "{attribute}");
            assert_eq!(rules(attribute, json!(too_long)), [Rule::TooLong], "{attribute}");
        }
    }

    #[test]
    fn what_has_the_wrong_type_is_named() {
        let named = [(json!(true), "a boolean"), (json!(7), "this number"), (json!([]), "an array")];
        for (value, kind) in named.into_iter().chain([(json!({}), "an object")]) {
            assert_eq!(kind_of(&value), kind);
        }
        assert_eq!((kind_of(&json!("a")), kind_of(&Value::Null)), ("this string", "null"));
    }

    #[test]
    fn a_url_is_measured_in_the_form_that_is_stored() {
        assert_eq!(rules("url", json!("https://a.example/é")), [Rule::TooLong]);
        assert_eq!(rules("url", json!("https://a.example:443/a")), []);
        assert_eq!(rules("url", json!("https://a.example/b/../ab")), []);
        assert_eq!(rules("url", json!("http:a.example/abcdef")), [Rule::TooLong, Rule::NotHttps]);
        assert_eq!(rules("url", json!("not a URL, and too long")), [Rule::TooLong, Rule::NotUrl]);
    }

    #[test]
    fn a_name_has_text_and_a_description_need_not() {
        for blank in ["", " ", "\u{3000}"] {
            assert_eq!(rules("name", json!(blank)), [Rule::Required], "{blank:?}");
            assert_eq!(rules("desc", json!(blank)), [], "{blank:?}");
        }
        assert_eq!(rules("name", json!("a b")), []);
    }

    #[test]
    fn only_line_breaks_and_tabs_pass_among_control_characters() {
        assert_eq!(rules("desc", json!("a\n\tb")), []);
        for control in ["\u{0}", "\r", "\u{7f}", "\u{85}"] {
            assert_eq!(rules("name", json!(control.to_owned() + "a")), [Rule::Format], "{control:?}");
            assert_eq!(rules("desc", json!(control)), [Rule::Format], "{control:?}");
        }
    }

    #[test]
    fn a_source_has_1_to_128_characters() {
        assert_eq!(rules("ignore_src", json!("")), [Rule::Empty]);
        assert_eq!(rules("ignore_src", json!("é".repeat(128))), []);
        assert_eq!(rules("ignore_src", json!("é".repeat(129))), [Rule::Format]);
    }

    #[test]
    fn a_status_is_0_or_1() {
        for (number, found) in
            [(-1, vec![Rule::OutOfRange]), (0, vec![]), (1, vec![]), (2, vec![Rule::OutOfRange])]
        {
            assert_eq!(rules("status", json!(number)), found, "{number}");
        }
    }

    #[test]
    fn an_event_is_one_of_the_catalog() {
        let one = |id: Value| rules("subscriptions", json!([{"event_id": id}]));
        for known in [json!(0), json!(17), json!("17")] {
            assert_eq!(one(known), []);
        }
        for unknown in [json!(-1), json!(18), json!(1_u64 << 32), json!(i64::MIN)] {
            assert_eq!(one(unknown), [Rule::UnknownEvent]);
        }
        assert_eq!(one(Value::Null), [Rule::Required]);
        assert_eq!(one(json!(1.5)), [Rule::WrongType]);
        assert_eq!(one(json!(u64::MAX)), [Rule::WrongType]);
    }

    #[test]
    fn subscriptions_are_at_least_one_and_none_twice() {
        assert_eq!(rules("subscriptions", json!([])), [Rule::Empty]);
        assert_eq!(rules("subscriptions", Value::Null), [Rule::Required]);
        assert_eq!(rules("subscriptions", json!([{"event_id": 1}, {"event_id": 2}])), []);
        let thrice = json!([{"event_id": 1}, {"event_id": "1"}, {"event_id": 1, "dept_ids": [7]}]);
        assert_eq!(rules("subscriptions", thrice), [Rule::DuplicateEvent, Rule::DuplicateEvent]);
    }

    #[test]
    fn departments_are_at_least_one_or_left_out() {
        let with = |dept_ids: Value| rules("subscriptions", json!([{"event_id": 1, "dept_ids": dept_ids}]));
        for sound in [Value::Null, json!([7]), json!(["7", i64::MIN, i64::MAX])] {
            assert_eq!(with(sound), []);
        }
        assert_eq!(with(json!([])), [Rule::Empty]);
        assert_eq!(with(json!({})), [Rule::WrongType]);
        assert_eq!(with(json!([[7], null, 7])), [Rule::WrongType, Rule::WrongType]);
    }

    /// Checks with limits of two subscriptions, and three departments in each.
    fn short(draft: Value, present: Option<&Webhook>) -> Vec<(String, Rule)> {
        let draft: WebhookDraft = serde_json::from_value(draft).expect("every object is a draft");
        let limits = Limits::default().with_subscriptions(2).with_departments(3);
        let terms = (&assist::catalog(), &limits, UrlRule::HttpsOnly);
        let violations =
            check_draft(&draft, HookId::new(1), present, terms).webhook.err().unwrap_or_default();
        violations.iter().map(|it| (it.field().to_owned(), it.rule())).collect()
    }

    fn webhook_of(subscriptions: &Value) -> Value {
        json!({"hook_id": 1, "name": "a", "url": "https://a.example/", "status": 1,
            "subscriptions": subscriptions})
    }

    #[test]
    fn lists_are_bounded_and_nothing_beyond_is_looked_at() {
        let at_the_edge = json!([{"event_id": 1, "dept_ids": [1, 2, 3]}, {"event_id": 2}]);
        assert_eq!(short(webhook_of(&at_the_edge), None), []);
        let beyond = json!([{"event_id": 1, "dept_ids": [1, 2, 3, "x"]}, {"event_id": 99}, 5, {}, {}]);
        let expected = [
            ("subscriptions", Rule::TooMany),
            ("subscriptions[0].dept_ids", Rule::TooMany),
            ("subscriptions[1].event_id", Rule::UnknownEvent),
        ];
        assert_eq!(short(webhook_of(&beyond), None), expected.map(|(field, rule)| (field.to_owned(), rule)));
        let endless = json!(vec![Value::Null; 100_000]);
        assert_eq!(short(webhook_of(&endless), None).len(), 3, "violations do not grow with what is sent");
        let departments = json!([{"event_id": 1, "dept_ids": endless}]);
        assert_eq!(short(webhook_of(&departments), None).len(), 4);
    }

    #[test]
    fn what_a_webhook_has_may_stay_when_limits_are_lowered() {
        let many = json!([{"event_id": 1, "dept_ids": [1, 2, 3, 4]}, {"event_id": 2}, {"event_id": 3}]);
        let present = serde_json::from_value(webhook_of(&many)).expect("a webhook");
        assert_eq!(short(webhook_of(&many), Some(&present)), []);
        let more = json!([{"event_id": 1, "dept_ids": [1, 2, 3, 4, 5]}, {"event_id": 2}, {"event_id": 3}]);
        assert_eq!(short(webhook_of(&more), Some(&present)).len(), 1);
    }

    #[test]
    fn loopback_over_http_passes_only_where_it_is_allowed() {
        let limits = Limits::default();
        let check = |url, rule| check_url(url, rule, &limits).is_ok();
        assert!(check("http://127.0.0.1/", UrlRule::LoopbackHttp));
        assert!(!check("http://127.0.0.1/", UrlRule::HttpsOnly));
        assert!(!check("http://a.example/", UrlRule::LoopbackHttp));
        assert!(
            check("http://a.example/", UrlRule::PrivateHttp)
                && !check("ftp://a.example/", UrlRule::PrivateHttp)
        );
        assert!(check("https://a.example/", UrlRule::LoopbackHttp));
    }
}
