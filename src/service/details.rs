//! [`Details`]: a webhook with its options and its state, as a host shows it.

use http::HeaderName;
use serde::{Serialize, Serializer};

use crate::model::{
    BodyTemplate, DeliveryOptions, Disabled, EnvelopeKind, SignatureScheme, Timestamp, Webhook,
};
use crate::registry::Version;

/// A webhook with its delivery options and state. Its secrets are not part of it.
///
/// The JSON form has the names of the fields. Of the options' headers it has the names alone, because their values may be
/// credentials. Times are milliseconds since the Unix epoch.
///
/// ```
/// # async fn show(acme: hookwire::Tenant, hook_id: hookwire::HookId) -> Result<(), Box<dyn std::error::Error>> {
/// let json = serde_json::to_value(acme.details(hook_id).await?)?;
/// assert_eq!(json["webhook"]["hook_id"], hook_id.get());
/// println!("sends the headers {}", json["options"]["headers"]); // ["x-team"]
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Details {
    /// The webhook.
    pub webhook: Webhook,
    /// The number of changes to it so far, by calls and by hookwire itself: see
    /// [`Tenant::expecting`](crate::Tenant::expecting).
    pub version: Version,
    /// Its envelope, template, signature scheme, headers and limits.
    #[serde(serialize_with = "without_values")]
    pub options: DeliveryOptions,
    /// Since when and why it is disabled; `None` while it is enabled.
    pub disabled: Option<Disabled>,
    /// Since when it is [paused](crate::Tenant::pause); `None` while it is not.
    pub paused: Option<Timestamp>,
    /// The time since which every attempt has failed; `None` if the last one succeeded, or none was made.
    pub failing_since: Option<Timestamp>,
    /// The start of the last attempt that succeeded, late by up to a minute as [`statistics`](crate::Tenant::statistics) are;
    /// `None` if none has.
    pub last_success_at: Option<Timestamp>,
}

/// The options as they are shown.
#[derive(Serialize)]
struct ShownOptions<'a> {
    envelope: Option<EnvelopeKind>,
    template: Option<&'a BodyTemplate>,
    headers: Vec<&'a str>,
    signature: SignatureScheme,
    rate: Option<u32>,
    max_in_flight: Option<u32>,
}

fn without_values<S: Serializer>(options: &DeliveryOptions, serializer: S) -> Result<S::Ok, S::Error> {
    let mut headers: Vec<_> = options.headers().keys().map(HeaderName::as_str).collect();
    headers.sort_unstable();
    let (envelope, template, signature) = (options.envelope(), options.template(), options.signature());
    let (rate, max_in_flight) = (options.rate(), options.max_in_flight());
    let shown = ShownOptions { envelope, template, headers, signature, rate, max_in_flight };
    shown.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::DisableReason;

    #[test]
    fn headers_are_shown_by_name_alone() {
        let webhook = json!({
            "hook_id": 1, "name": "Books", "url": "https://hooks.example.com/",
            "status": 0, "subscriptions": [{"event_id": 1}],
        });
        let options =
            DeliveryOptions::new().with_headers([("x-team", "devices"), ("authorization", "Bearer hidden")]);
        let template =
            serde_json::from_str::<BodyTemplate>(r#"{"z":1.10,"a":"${payload}"}"#).expect("a template");
        let details = Details {
            webhook: serde_json::from_value(webhook).expect("a webhook"),
            version: Version::new(3),
            options: options.expect("valid").with_envelope(EnvelopeKind::Assist).with_template(template),
            disabled: Some(Disabled {
                reason: Some(DisableReason::Gone),
                at: Some(Timestamp::from_millis(5)),
            }),
            paused: Some(Timestamp::from_millis(4)),
            failing_since: None,
            last_success_at: Some(Timestamp::from_millis(3)),
        };
        let shown = serde_json::to_value(&details).expect("JSON");
        let expected = json!({
            "webhook": serde_json::to_value(&details.webhook).expect("JSON"),
            "version": 3,
            "options": {"envelope": "assist", "template": {"z": 1.10, "a": "${payload}"}, "headers": ["authorization", "x-team"], "signature": "v1",
                "rate": null, "max_in_flight": null},
            "disabled": {"reason": "gone", "at": 5},
            "paused": 4,
            "failing_since": null,
            "last_success_at": 3,
        });
        assert_eq!(shown, expected);
    }
}
