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

use crate::model::{DeptId, Event, EventId, HookId, PublishedEvent, SourceId, Status, Webhook};
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

impl<'a> From<&'a PublishedEvent> for Occasion<'a> {
    fn from(event: &'a PublishedEvent) -> Self {
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
