//! The event types that a host offers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use thiserror::Error;

use super::event::Payload;
use super::formats::EnvelopeKind;
use super::integer_id::EventId;
use super::scope::ScopePrefix;

/// A kind of event that a host offers.
///
/// ```
/// use hookwire::EventId;
/// use hookwire::model::EventType;
/// use serde_json::json;
///
/// let paid = EventType::new(EventId::new(1), "order.paid", "Order paid", &json!({"order": 4711}))
///     .in_module("Orders");
/// assert_eq!(paid.key(), "order.paid");
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct EventType {
    #[serde(rename = "event_id")]
    id: EventId,
    key: String,
    name: String,
    module: String,
    sample: Option<Arc<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<Arc<Value>>,
    #[serde(rename = "deprecated", skip_serializing_if = "is_false")]
    is_deprecated: bool,
    #[serde(skip)]
    is_hidden: bool,
}

/// Whether an attribute is left out of the JSON form.
const fn is_false(value: &bool) -> bool {
    !*value
}

impl EventType {
    /// Creates an event type from its id, its key on the wire, its display name and a sample payload.
    ///
    /// [`ping_event`](crate::service::Tenant::ping_event) sends the sample.
    pub fn new<S: Serialize + ?Sized>(
        id: EventId,
        key: impl Into<String>,
        name: impl Into<String>,
        sample: &S,
    ) -> Self {
        Self {
            id,
            key: key.into(),
            name: name.into(),
            module: String::new(),
            sample: to_raw_value(sample).ok().map(Arc::from),
            schema: None,
            is_deprecated: false,
            is_hidden: false,
        }
    }

    /// Creates the event type whose payload is the Rust type `P`, with a value of it as the sample.
    pub fn of<P: Payload>(key: impl Into<String>, name: impl Into<String>, sample: &P) -> Self {
        Self::new(P::EVENT, key, name, sample)
    }

    /// Sets the module, a heading under which a user interface lists the event.
    #[must_use]
    pub fn in_module(self, module: impl Into<String>) -> Self {
        Self { module: module.into(), ..self }
    }

    /// Sets the JSON Schema of the payload, for [`Catalog::openapi`].
    ///
    /// References within it (`#/$defs/Item`) are to its own root. With the feature `schemars`, `with_schema_of` makes the
    /// schema of a Rust type.
    ///
    /// ```
    /// use hookwire::EventId;
    /// use hookwire::model::EventType;
    /// use serde_json::json;
    ///
    /// let paid = EventType::new(EventId::new(1), "order.paid", "Order paid", &json!({"order": 4711}))
    ///     .with_schema(json!({"type": "object", "properties": {"order": {"type": "integer"}}}));
    /// assert!(paid.schema().is_some());
    /// ```
    #[must_use]
    pub fn with_schema(self, schema: Value) -> Self {
        Self { schema: Some(Arc::new(schema)), ..self }
    }

    /// Sets the JSON Schema of the payload to that of the Rust type `T`, as it is serialised.
    ///
    /// ```
    /// use hookwire::model::{Catalog, EventType};
    /// use hookwire::{EventId, Payload};
    ///
    /// /// An order was paid.
    /// #[derive(schemars::JsonSchema, serde::Serialize)]
    /// struct OrderPaid {
    ///     order: u64,
    /// }
    ///
    /// impl Payload for OrderPaid {
    ///     const EVENT: EventId = EventId::new(1);
    /// }
    ///
    /// let paid = EventType::of("order.paid", "Order paid", &OrderPaid { order: 4711 })
    ///     .with_schema_of::<OrderPaid>();
    /// let schema = paid.schema().expect("that of the type");
    /// assert_eq!(schema["description"], "An order was paid.");
    /// assert_eq!(schema["properties"]["order"]["type"], "integer");
    /// ```
    #[cfg(feature = "schemars")]
    #[must_use]
    pub fn with_schema_of<T: schemars::JsonSchema>(self) -> Self {
        let settings = schemars::generate::SchemaSettings::draft2020_12();
        // The document says itself which dialect its schemas are in.
        let settings = settings.with(|settings| settings.meta_schema = None).for_serialize();
        self.with_schema(settings.into_generator().into_root_schema_for::<T>().to_value())
    }

    /// Marks it as one that new webhooks should not subscribe to. It is published and delivered as before.
    #[must_use]
    pub fn deprecated(self) -> Self {
        Self { is_deprecated: true, ..self }
    }

    /// Keeps it out of [`Catalog::visible`], and so out of descriptions and user interfaces. Whoever knows its id can
    /// subscribe to it.
    #[must_use]
    pub fn hidden(self) -> Self {
        Self { is_hidden: true, ..self }
    }

    /// Returns whether it is [deprecated](Self::deprecated).
    pub const fn is_deprecated(&self) -> bool {
        self.is_deprecated
    }

    /// Returns whether it is [hidden](Self::hidden).
    pub const fn is_hidden(&self) -> bool {
        self.is_hidden
    }

    /// Returns the JSON Schema of the payload, if it has one.
    pub fn schema(&self) -> Option<&Value> {
        self.schema.as_deref()
    }

    /// Returns the id.
    pub const fn id(&self) -> EventId {
        self.id
    }

    /// Returns the key on the wire: `eventType` or `type` in the envelope.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the display name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the heading under which a user interface lists the event; empty if it has none.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// Returns the sample payload, as JSON.
    pub fn sample(&self) -> &RawValue {
        self.sample.as_deref().unwrap_or(RawValue::NULL)
    }
}

/// All event types that a host offers, with their default envelope and scope prefix.
///
/// ```
/// use hookwire::EventId;
/// use hookwire::model::{Catalog, EventType};
/// use serde_json::json;
///
/// let catalog = Catalog::builder()
///     .event(EventType::new(EventId::new(1), "order.paid", "Order paid", &json!({"order": 1})))
///     .build()?;
/// assert_eq!(catalog.get(EventId::new(1)).map(|event| event.key()), Some("order.paid"));
/// # Ok::<_, hookwire::model::InvalidCatalog>(())
/// ```
#[derive(Clone, Debug)]
pub struct Catalog {
    events: Arc<BTreeMap<EventId, EventType>>,
    envelope: EnvelopeKind,
    scope_prefix: ScopePrefix,
    allows_filters: bool,
    allows_patterns: bool,
    allows_templates: bool,
}

impl Catalog {
    /// Starts a catalog with the Standard Webhooks envelope and the scope prefix `webhooks`.
    pub fn builder() -> CatalogBuilder {
        CatalogBuilder {
            events: Vec::new(),
            envelope: EnvelopeKind::StandardWebhooks,
            scope_prefix: ScopePrefix::new("webhooks"),
            allows_filters: false,
            allows_patterns: false,
            allows_templates: false,
        }
    }

    /// Returns the event type with this id.
    pub fn get(&self, id: EventId) -> Option<&EventType> {
        self.events.get(&id)
    }

    /// Returns the event type with this key.
    ///
    /// ```
    /// use hookwire::assist;
    ///
    /// let catalog = assist::catalog();
    /// let online = catalog.by_key("DEVICE_ONLINE").map(|event| event.id());
    /// assert_eq!(online, Some(assist::DEVICE_ONLINE));
    /// assert!(catalog.by_key("device_online").is_none(), "keys are compared as they are");
    /// ```
    pub fn by_key(&self, key: &str) -> Option<&EventType> {
        self.iter().find(|event| event.key == key)
    }

    /// Returns every event type by ascending id.
    pub fn iter(&self) -> impl Iterator<Item = &EventType> {
        self.events.values()
    }

    /// Returns every event type that is not [hidden](EventType::hidden), by ascending id.
    pub fn visible(&self) -> impl Iterator<Item = &EventType> {
        self.iter().filter(|event| !event.is_hidden)
    }

    /// Returns the envelope that is used for webhooks without one of their own.
    pub const fn envelope(&self) -> EnvelopeKind {
        self.envelope
    }

    /// Returns the prefix of the host's scope names.
    pub const fn scope_prefix(&self) -> &ScopePrefix {
        &self.scope_prefix
    }

    /// Returns whether subscriptions may have [filters](super::Filter).
    pub const fn allows_filters(&self) -> bool {
        self.allows_filters
    }

    /// Returns whether subscriptions may be to [patterns](super::EventPattern) of events.
    pub const fn allows_patterns(&self) -> bool {
        self.allows_patterns
    }

    /// Returns whether webhooks and subscriptions may have [templates](super::BodyTemplate).
    pub const fn allows_templates(&self) -> bool {
        self.allows_templates
    }
}

/// A builder of a [`Catalog`].
#[derive(Clone, Debug)]
pub struct CatalogBuilder {
    events: Vec<EventType>,
    envelope: EnvelopeKind,
    scope_prefix: ScopePrefix,
    allows_filters: bool,
    allows_patterns: bool,
    allows_templates: bool,
}

impl CatalogBuilder {
    /// Adds an event type.
    #[must_use]
    pub fn event(mut self, event: EventType) -> Self {
        self.events.push(event);
        self
    }

    /// Sets the envelope that is used for webhooks without one of their own.
    #[must_use]
    pub fn envelope(self, envelope: EnvelopeKind) -> Self {
        Self { envelope, ..self }
    }

    /// Sets the prefix of the host's scope names.
    #[must_use]
    pub fn scope_prefix(self, scope_prefix: ScopePrefix) -> Self {
        Self { scope_prefix, ..self }
    }

    /// Lets subscriptions have [filters](super::Filter) on the payload. Default: they are refused, as Zoho Assist has none.
    ///
    /// A payload is read for it only if a subscription to its event has a filter.
    #[must_use]
    pub fn allow_filters(self) -> Self {
        Self { allows_filters: true, ..self }
    }

    /// Lets subscriptions be to [patterns](super::EventPattern) of events, `*` and `invoice.*`, which include the events of
    /// later catalogs. Default: they are refused, as Zoho Assist has none.
    ///
    /// A webhook that subscribes to a pattern counts towards the limit of each event that matches.
    #[must_use]
    pub fn allow_patterns(self) -> Self {
        Self { allows_patterns: true, ..self }
    }

    /// Lets webhooks and subscriptions have [templates](super::BodyTemplate) of their bodies. Default: they are refused.
    /// [Zoho Assist's](crate::assist::catalog) catalog allows them.
    #[must_use]
    pub fn allow_templates(self) -> Self {
        Self { allows_templates: true, ..self }
    }

    /// Builds the catalog.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidCatalog`] with every fault: ids or keys used twice, empty keys, keys with `*`, samples
    /// that do not serialise.
    pub fn build(self) -> Result<Catalog, InvalidCatalog> {
        let faults = self.faults();
        if !faults.is_empty() {
            return Err(InvalidCatalog { faults });
        }
        let events = self.events.into_iter().map(|event| (event.id, event)).collect();
        Ok(Catalog {
            events: Arc::new(events),
            envelope: self.envelope,
            scope_prefix: self.scope_prefix,
            allows_filters: self.allows_filters,
            allows_patterns: self.allows_patterns,
            allows_templates: self.allows_templates,
        })
    }

    fn faults(&self) -> Vec<CatalogFault> {
        let (mut faults, mut keys) = (Vec::new(), BTreeSet::new());
        for (index, event) in self.events.iter().enumerate() {
            let earlier = &self.events[..index];
            if earlier.iter().any(|other| other.id == event.id) {
                faults.push(CatalogFault::DuplicateId(event.id));
            }
            if !keys.insert(event.key.to_lowercase()) {
                faults.push(CatalogFault::DuplicateKey(event.key.clone()));
            }
            if event.key.is_empty() {
                faults.push(CatalogFault::EmptyKey(event.id));
            }
            if event.key.contains('*') {
                faults.push(CatalogFault::KeyWithStar(event.key.clone()));
            }
            if event.sample.is_none() {
                faults.push(CatalogFault::UnserializableSample(event.id));
            }
        }
        faults
    }
}

/// An error for event types that do not make a [`Catalog`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("the catalog has faults: {}", .faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
#[non_exhaustive]
pub struct InvalidCatalog {
    /// Every fault, in the order in which the events were added.
    pub faults: Vec<CatalogFault>,
}

/// One fault of a catalog.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CatalogFault {
    /// Two event types have this id.
    #[error("event id {0} is used twice")]
    DuplicateId(EventId),
    /// Two event types have this key, perhaps with other capitals.
    #[error("key {0:?} is used twice, capitals aside")]
    DuplicateKey(String),
    /// The event type has no key.
    #[error("event {0} has an empty key")]
    EmptyKey(EventId),
    /// The key has a `*`, which stands for patterns.
    #[error("key {0:?} has a `*`, which stands for patterns of keys")]
    KeyWithStar(String),
    /// The sample payload does not serialise to JSON.
    #[error("the sample of event {0} does not serialise to JSON")]
    UnserializableSample(EventId),
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn event(id: u32, key: &str) -> EventType {
        EventType::new(EventId::new(id), key, "name", &json!({}))
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let unserializable = HashMap::from([((1, 2), 3)]);
        let error = Catalog::builder()
            .event(event(1, "a"))
            .event(event(1, "b"))
            .event(event(2, "a"))
            .event(EventType::new(EventId::new(3), "", "name", &unserializable))
            .event(event(4, "a.*"))
            .build()
            .expect_err("faulty");
        assert_eq!(
            error.faults,
            [
                CatalogFault::DuplicateId(EventId::new(1)),
                CatalogFault::DuplicateKey("a".into()),
                CatalogFault::EmptyKey(EventId::new(3)),
                CatalogFault::UnserializableSample(EventId::new(3)),
                CatalogFault::KeyWithStar("a.*".into()),
            ]
        );
        assert!(
            error.to_string().contains("event id 1 is used twice; key \"a\" is used twice, capitals aside")
        );
    }

    #[test]
    fn keys_that_differ_by_case_alone_are_refused() {
        for (one, other) in [("invoice.paid", "Invoice.Paid"), ("zahlung.\u{e4}", "zahlung.\u{c4}")] {
            let error = Catalog::builder().event(event(1, one)).event(event(2, other)).build();
            let faults = error.expect_err("alike").faults;
            assert_eq!(faults, [CatalogFault::DuplicateKey(other.into())]);
        }
        assert!(Catalog::builder().event(event(1, "a.b")).event(event(2, "a.c")).build().is_ok());
    }

    #[test]
    fn events_come_in_the_order_of_their_ids() {
        let catalog = Catalog::builder().event(event(9, "b")).event(event(2, "a")).build();
        let ids: Vec<_> = catalog.expect("valid").iter().map(|event| event.id().get()).collect();
        assert_eq!(ids, [2, 9]);
    }
}
