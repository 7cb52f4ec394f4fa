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
    /// Envelope and media type are the catalog's: a webhook with an envelope or a template of its own gets other bodies.
    /// The payloads have the schemas that [`EventType::with_schema`] gave them, and the catalog's samples as examples.
    /// References within a schema are to its place in the document.
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
            "requestBody": {"required": true, "content": {envelope::media_type(self.envelope()): {
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
        let payload = event.schema().map_or(Value::Bool(true), |schema| self.placed(event.key(), schema));
        let text = || json!({"type": "string"});
        let kind = json!({"const": event.key()});
        let (properties, required) = match self.envelope() {
            EnvelopeKind::Assist => (
                json!({"payload": payload, "eventType": kind, "eventTime": text(), "eventBy": text(), "orgId": text()}),
                json!(["payload", "eventType", "eventTime", "orgId"]),
            ),
            EnvelopeKind::CloudEvents => (
                json!({
                    "specversion": {"const": "1.0"}, "id": text(), "source": {"type": "string", "format": "uri-reference"},
                    "type": kind, "time": {"type": "string", "format": "date-time"},
                    "datacontenttype": {"const": "application/json"}, "data": payload,
                }),
                json!(["specversion", "id", "source", "type", "time", "datacontenttype", "data"]),
            ),
            EnvelopeKind::StandardWebhooks => (
                json!({"type": kind, "timestamp": {"type": "string", "format": "date-time"}, "data": payload}),
                json!(["type", "timestamp", "data"]),
            ),
        };
        json!({"type": "object", "properties": properties, "required": required})
    }

    /// Returns the schema of a payload with its references as they have to be at its place in the document.
    fn placed(&self, key: &str, schema: &Value) -> Value {
        let mut schema = schema.clone();
        let member = match self.envelope() {
            EnvelopeKind::Assist => "payload",
            EnvelopeKind::CloudEvents | EnvelopeKind::StandardWebhooks => "data",
        };
        let path = key.replace('~', "~0").replace('/', "~1");
        let path: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        let media_type = envelope::media_type(self.envelope()).replace('/', "~1");
        let content = format!("post/requestBody/content/{media_type}/schema/properties");
        move_references(&mut schema, &format!("#/webhooks/{path}/{content}/{member}"));
        schema
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

/// Prefixes the references of a schema to its own root. One with an `$id` is a resource of its own, and stays.
fn move_references(schema: &mut Value, root: &str) {
    match schema {
        Value::Object(members) if members.contains_key("$id") => {}
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("const" | "default" | "enum" | "examples", _) => {} // data, not schemas
                    ("$ref", Value::String(reference)) => {
                        if let Some(path) = reference.strip_prefix('#').filter(|path| is_pointer(path)) {
                            *reference = format!("{root}{path}");
                        }
                    }
                    (_, value) => move_references(value, root),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, root)),
        _ => {}
    }
}

/// Whether a fragment leads to a place by its path, and not by an `$anchor`.
fn is_pointer(fragment: &str) -> bool {
    fragment.is_empty() || fragment.starts_with('/')
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
    fn references_within_a_schema_are_to_its_place_in_the_document() {
        let tree = json!({
            "properties": {
                "root": {"$ref": "#"}, "item": {"$ref": "#/$defs/Item"}, "named": {"$ref": "#item"},
                "elsewhere": {"$ref": "https://example.com/#/$defs/Item"},
                "own": {"$id": "https://example.com/own", "$ref": "#/$defs/Own"},
                "data": {"const": {"$ref": "#/text"}},
            },
            "$defs": {"Item": {"$anchor": "item", "type": "integer"}},
        });
        let event = EventType::new(EventId::new(1), "tree/~grown", "Tree", "sample").with_schema(tree);
        for envelope in [EnvelopeKind::CloudEvents, EnvelopeKind::StandardWebhooks] {
            references_lead_to_their_places(&event, envelope);
        }
    }

    fn references_lead_to_their_places(event: &EventType, envelope: EnvelopeKind) {
        let catalog = Catalog::builder().event(event.clone()).envelope(envelope).build().expect("sound");
        let document = catalog.openapi("Trees", "1.0");
        let contents = &document["webhooks"]["tree/~grown"]["post"]["requestBody"]["content"];
        let body = &contents[envelope::media_type(envelope)];
        let schemas = &body["schema"]["properties"]["data"]["properties"];
        let item = schemas["item"]["$ref"].as_str().expect("a reference");
        let pointer = item.strip_prefix('#').expect("within the document").replace("%7E", "~");
        assert_eq!(document.pointer(&pointer).expect(item)["type"], "integer");
        let root = item.strip_suffix("/$defs/Item").expect("the place of the schema");
        assert_eq!(schemas["root"]["$ref"], root);
        for (name, kept) in
            [("named", "#item"), ("elsewhere", "https://example.com/#/$defs/Item"), ("own", "#/$defs/Own")]
        {
            assert_eq!(schemas[name]["$ref"], kept);
        }
        assert_eq!(schemas["data"]["const"]["$ref"], "#/text");
    }

    #[cfg(feature = "schemars")]
    #[test]
    fn a_rust_type_is_described_as_it_is_serialised() {
        #[derive(schemars::JsonSchema, serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Invoice {
            total_cents: i64,
            lines: Vec<Line>,
            #[serde(skip_serializing_if = "Option::is_none")]
            replaces: Option<Box<Self>>,
        }

        #[derive(schemars::JsonSchema, serde::Serialize)]
        struct Line {
            text: String,
        }

        let sample = Invoice { total_cents: 5, lines: vec![Line { text: "Nails".into() }], replaces: None };
        let event = EventType::new(EventId::new(1), "invoice.paid", "Invoice paid", &sample);
        let catalog = Catalog::builder().event(event.with_schema_of::<Invoice>()).build().expect("sound");
        let document = catalog.openapi("Invoices", "1.0");
        let content =
            &document["webhooks"]["invoice.paid"]["post"]["requestBody"]["content"]["application/json"];
        let schema = &content["schema"]["properties"]["data"];
        assert_eq!(schema["properties"]["totalCents"]["type"], "integer");
        assert_eq!(schema["required"], json!(["totalCents", "lines"]));
        assert_eq!(schema.get("$schema"), None);
        let line = schema["properties"]["lines"]["items"]["$ref"].as_str().expect("a reference");
        let line = document.pointer(line.trim_start_matches('#')).expect("within the document");
        assert_eq!(line["properties"]["text"]["type"], "string");
    }

    #[test]
    fn an_example_has_what_its_schema_requires() {
        let event = assist::catalog().iter().next().expect("18").clone();
        let with =
            |envelope| Catalog::builder().event(event.clone()).envelope(envelope).build().expect("sound");
        for (catalog, media_type) in [
            (assist::catalog(), "application/json"),
            (with(EnvelopeKind::StandardWebhooks), "application/json"),
            (with(EnvelopeKind::CloudEvents), "application/cloudevents+json"),
        ] {
            let document = catalog.openapi("Zoho Assist", "1.0");
            for item in document["webhooks"].as_object().expect("an object").values() {
                let content = &item["post"]["requestBody"]["content"][media_type];
                let required = content["schema"]["required"].as_array().expect("names");
                let has = |name: &Value| content["example"].get(name.as_str().unwrap_or_default()).is_some();
                assert!(!required.is_empty() && required.iter().all(has), "{content}");
            }
        }
    }
}
