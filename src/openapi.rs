//! The OpenAPI description of what receivers get.

use serde_json::{Map, Value, json};

use crate::envelope;
use crate::model::{Catalog, EnvelopeKind, Event, EventType, MessageId, TenantId, Timestamp};

/// The headers that each request has, with what they are for.
const HEADERS: [(&str, &str); 3] = [
    ("webhook-id", "The id of the message, the same on each retry. Handle each id once."),
    ("webhook-timestamp", "The time of the request, in seconds since the Unix epoch."),
    (
        "webhook-signature",
        "Signatures by Standard Webhooks, separated by spaces. Verify one of them, over the exact bytes.",
    ),
];

/// The time of the examples, 2026-01-01.
const EXAMPLE_TIME: Timestamp = Timestamp::from_secs(1_767_225_600);

impl Catalog {
    /// Describes the requests that receivers get as a document of OpenAPI 3.1, with each event that is not hidden in its
    /// section `webhooks`: envelope, payload, example, headers and answers.
    ///
    /// The payloads have the schemas that [`EventType::with_schema`] gave them, and the catalog's samples as examples.
    ///
    /// ```
    /// use hookwire::assist;
    ///
    /// let document = assist::catalog().openapi("Zoho Assist", "1.0");
    /// let online = &document["webhooks"]["DEVICE_ONLINE"]["post"];
    /// assert_eq!(online["summary"], "Device Online");
    /// assert!(online["requestBody"]["content"]["application/json"]["example"]["payload"].is_object());
    /// ```
    pub fn openapi(&self, title: &str, version: &str) -> Value {
        let webhooks = self.visible().map(|event| (event.key().to_owned(), self.path_item(event)));
        json!({
            "openapi": "3.1.0",
            "info": {"title": title, "version": version},
            "webhooks": webhooks.collect::<Map<_, _>>(),
        })
    }

    fn path_item(&self, event: &EventType) -> Value {
        let mut post = json!({
            "summary": event.name(),
            "parameters": HEADERS.map(|(name, description)| json!({
                "name": name, "in": "header", "required": true, "schema": {"type": "string"},
                "description": description,
            })),
            "requestBody": {"required": true, "content": {"application/json": {
                "schema": self.body_schema(event),
                "example": self.example(event),
            }}},
            "responses": {
                "2XX": {"description": "It was handled, or is handled already. Any other answer is tried again."},
                "410": {"description": "The receiver wants no more: the webhook is disabled."},
            },
        });
        if !event.module().is_empty() {
            post["tags"] = json!([event.module()]);
        }
        if event.is_deprecated() {
            post["deprecated"] = json!(true);
        }
        json!({"post": post})
    }

    fn body_schema(&self, event: &EventType) -> Value {
        let payload = event.schema().cloned().unwrap_or(Value::Bool(true));
        let text = || json!({"type": "string"});
        let kind = json!({"const": event.key()});
        let (properties, required) = match self.envelope() {
            EnvelopeKind::Assist => (
                json!({"payload": payload, "eventType": kind, "eventTime": text(), "eventBy": text(), "orgId": text()}),
                json!(["payload", "eventType", "eventTime", "orgId"]),
            ),
            EnvelopeKind::StandardWebhooks => (
                json!({"type": kind, "timestamp": {"type": "string", "format": "date-time"}, "data": payload}),
                json!(["type", "timestamp", "data"]),
            ),
        };
        json!({"type": "object", "properties": properties, "required": required})
    }

    fn example(&self, event: &EventType) -> Value {
        let body = || {
            let id = MessageId::new("msg_1").ok()?;
            let sample = Event::new(event.id(), event.sample()).ok()?.stamped(|| id, EXAMPLE_TIME);
            let body = envelope::body(self.envelope(), &sample, event.key(), &TenantId::new("acme").ok()?);
            serde_json::from_slice(&body).ok()
        };
        body().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assist;
    use crate::model::EventId;

    #[test]
    fn each_event_is_described_and_hidden_ones_are_not() {
        let event =
            |id, key: &str| EventType::new(EventId::new(id), key, "Invoice paid", &json!({"invoice": 4711}));
        let schema = json!({"type": "object", "properties": {"invoice": {"type": "integer"}}});
        let catalog = Catalog::builder()
            .event(event(1, "invoice.paid").with_schema(schema.clone()).in_module("Invoices"))
            .event(event(2, "invoice.settled").deprecated())
            .event(event(3, "invoice.secret").hidden())
            .build()
            .expect("sound");
        let document = catalog.openapi("Invoices", "2.0");
        let keys: Vec<_> = document["webhooks"].as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["invoice.paid", "invoice.settled"]);
        let (paid, settled) =
            (&document["webhooks"]["invoice.paid"]["post"], &document["webhooks"]["invoice.settled"]["post"]);
        assert_eq!((&paid["tags"], &paid["deprecated"]), (&json!(["Invoices"]), &Value::Null));
        assert_eq!((&settled["tags"], &settled["deprecated"]), (&Value::Null, &json!(true)));
        let content = &paid["requestBody"]["content"]["application/json"];
        assert_eq!(content["schema"]["properties"]["data"], schema);
        let example = json!({"type": "invoice.paid", "timestamp": "2026-01-01T00:00:00.000Z", "data": {"invoice": 4711}});
        assert_eq!(content["example"], example);
        assert_eq!(
            settled["requestBody"]["content"]["application/json"]["schema"]["properties"]["data"],
            true
        );
    }

    #[test]
    fn an_example_has_what_its_schema_requires() {
        for catalog in [
            assist::catalog(),
            Catalog::builder()
                .event(assist::catalog().iter().next().expect("18").clone())
                .build()
                .expect("sound"),
        ] {
            let document = catalog.openapi("Zoho Assist", "1.0");
            for item in document["webhooks"].as_object().expect("an object").values() {
                let content = &item["post"]["requestBody"]["content"]["application/json"];
                let required = content["schema"]["required"].as_array().expect("names");
                let has = |name: &Value| content["example"].get(name.as_str().unwrap_or_default()).is_some();
                assert!(!required.is_empty() && required.iter().all(has), "{content}");
            }
        }
    }
}
