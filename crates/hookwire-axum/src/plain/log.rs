//! The delivery log in plain names.

use hookwire::Catalog;
use hookwire::model::{Attempt, Delivery, EventId, FailureKind, MessageRecord, Outcome, Timestamp};
use hookwire::service::{Explanation, Fate, LoggedDelivery};
use hookwire::store::RoutingRecord;
use serde::Serialize;

/// A delivery with its attempts.
#[derive(Serialize)]
pub(super) struct Logged {
    id: String,
    message: String,
    event: String,
    webhook: String,
    state: String,
    created_at: String,
    due_at: Option<String>,
    ended_at: Option<String>,
    /// The delivery that this one repeats.
    origin: Option<String>,
    attempts: Vec<Tried>,
}

/// An attempt: an answer with its `status`, or a `failure`.
#[derive(Serialize)]
struct Tried {
    number: u32,
    at: String,
    took_ms: u64,
    is_success: bool,
    status: Option<u16>,
    failure: Option<FailureKind>,
    /// The same in words.
    told: String,
    answer: Option<String>,
}

/// A published event, in a listing.
#[derive(Serialize)]
pub(super) struct Message {
    id: String,
    event: String,
    happened_at: String,
    published_at: String,
    webhooks: usize,
    skipped: usize,
    is_waiting: bool,
}

/// What became of an event at each webhook.
#[derive(Serialize)]
pub(super) struct Explained {
    id: String,
    event: String,
    happened_at: String,
    published_at: String,
    /// Why it was not routed, or that it waits for that.
    note: Option<String>,
    has_payload: bool,
    webhooks: Vec<FateOf>,
}

#[derive(Serialize)]
struct FateOf {
    webhook: String,
    /// `delivery`, `waiting` or `skipped`.
    fate: &'static str,
    /// The same in words.
    told: String,
    delivery: Option<Logged>,
}

fn text(time: Option<Timestamp>) -> Option<String> {
    time.map(|it| it.to_string())
}

/// Returns the key of an event, or the number of one that has left the catalog.
fn key(catalog: &Catalog, id: EventId) -> String {
    catalog.get(id).map_or_else(|| id.to_string(), |event| event.key().to_owned())
}

impl Logged {
    pub(super) fn new(catalog: &Catalog, logged: &LoggedDelivery) -> Self {
        Self::of(catalog, &logged.delivery, &logged.attempts)
    }

    fn of(catalog: &Catalog, delivery: &Delivery, attempts: &[Attempt]) -> Self {
        Self {
            id: delivery.id.to_string(),
            message: delivery.message_id.to_string(),
            event: key(catalog, delivery.event_id),
            webhook: delivery.hook_id.to_string(),
            state: delivery.state.to_string(),
            created_at: delivery.created_at.to_string(),
            due_at: text(delivery.due_at),
            ended_at: text(delivery.ended_at),
            origin: delivery.origin.map(|it| it.to_string()),
            attempts: attempts.iter().map(Tried::new).collect(),
        }
    }
}

impl Tried {
    fn new(attempt: &Attempt) -> Self {
        let (status, answer, failure) = match &attempt.outcome {
            Outcome::Answered { status, body, .. } => (Some(status.as_u16()), Some(body.clone()), None),
            Outcome::Failed { kind, .. } => (None, None, Some(*kind)),
        };
        Self {
            number: attempt.number,
            at: attempt.at.to_string(),
            took_ms: u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX),
            is_success: attempt.outcome.is_success(),
            status,
            failure,
            told: attempt.outcome.to_string(),
            answer: answer.filter(|it| !it.is_empty()),
        }
    }
}

impl Message {
    pub(super) fn new(catalog: &Catalog, message: &MessageRecord) -> Self {
        Self {
            id: message.message_id.to_string(),
            event: key(catalog, message.event_id),
            happened_at: message.time.to_string(),
            published_at: message.published_at.to_string(),
            webhooks: message.targets,
            skipped: message.skipped,
            is_waiting: message.is_waiting,
        }
    }
}

impl Explained {
    pub(super) fn new(catalog: &Catalog, explanation: &Explanation) -> Self {
        let record = &explanation.record;
        let note = match &record.routing {
            RoutingRecord::Routed(_) => None,
            RoutingRecord::Unroutable(reason) => Some(format!("not routed: {reason}")),
            RoutingRecord::Waiting => Some("waits for routing".to_owned()),
        };
        let fates = explanation.fates();
        let webhooks = fates.iter().map(|(hook_id, fate)| FateOf {
            webhook: hook_id.to_string(),
            fate: name(fate),
            told: fate.to_string(),
            delivery: fate.delivery().map(|it| {
                Logged::of(
                    catalog,
                    it,
                    explanation.last_attempts.get(&it.id).map_or(&[], std::slice::from_ref),
                )
            }),
        });
        Self {
            id: record.event.message_id.to_string(),
            event: explanation.event.clone(),
            happened_at: record.event.time.to_string(),
            published_at: record.receipt.published_at.to_string(),
            note,
            has_payload: record.has_payload,
            webhooks: webhooks.collect(),
        }
    }
}

fn name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Delivery(_) => "delivery",
        Fate::Waiting { .. } => "waiting",
        _ => "skipped",
    }
}
