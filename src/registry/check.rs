//! Checks each attribute of a draft by itself (name, URL, subscriptions, ..), and collects every violation.

use super::limits::Limits;
use super::subscriptions::Allowed;
use crate::model::{
    CallbackUrl, Catalog, Findings, Given, HookId, InvalidCallbackUrl, Rule, SourceId, Status, Subscription,
    Violation, Webhook, WebhookDraft, WebhookParts,
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
    /// The subscriptions to events that there are, even if the draft is not valid.
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

impl Findings {
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
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
