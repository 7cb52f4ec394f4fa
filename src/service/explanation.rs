//! The explanation of one event: its fate at each webhook.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryState, End, HookId, MessageId, Outcome, Stopped, Timestamp,
};
use crate::routing::SkipReason;
use crate::store::{EventRecord, RoutingRecord};

/// The answer to "was it sent, and if not why" for one event and each webhook.
///
/// `Display` writes it as lines for a person. The JSON form has the message, the decision of routing, and for each webhook
/// its fate with the last attempt, without the payload.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The event and the decisions of routing.
    pub record: EventRecord,
    /// The deliveries of the event, oldest first.
    pub deliveries: Vec<Delivery>,
    /// The last attempt of each delivery that was attempted and not delivered. The handle decides how much of the
    /// outcome is shown, as in [`attempts`](crate::Tenant::attempts).
    pub last_attempts: BTreeMap<DeliveryId, Attempt>,
    /// The webhooks to which nothing is delivered now, since when and why. Their pending deliveries wait.
    pub stopped: BTreeMap<HookId, Stopped>,
    /// The key of the event, or its number if the catalog no longer has it.
    pub event: String,
}

/// The fate of an event at one webhook.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// The webhook has a delivery of the event.
    Delivery(Delivery),
    /// Routing skipped the webhook.
    Skipped(SkipReason),
    /// The webhook has a delivery of the event, which waits because nothing is delivered to the webhook now.
    Waiting {
        /// The delivery.
        delivery: Delivery,
        /// Since when and why.
        stopped: Stopped,
    },
}

impl Explanation {
    /// Returns the fate of the event at each webhook, by ascending id. A redelivered event appears once for each
    /// delivery.
    pub fn fates(&self) -> Vec<(HookId, Fate)> {
        let delivered = self.deliveries.iter().map(|it| (it.hook_id, self.fate(it)));
        let skipped: &[_] = match &self.record.routing {
            RoutingRecord::Routed(skipped) => skipped,
            RoutingRecord::Unroutable(_) | RoutingRecord::Waiting => &[],
        };
        // What was skipped may have been recovered since.
        let have_some: BTreeSet<_> = self.deliveries.iter().map(|it| it.hook_id).collect();
        let has_none = |(hook_id, _): &&(HookId, _)| !have_some.contains(hook_id);
        let skipped =
            skipped.iter().filter(has_none).map(|(hook_id, reason)| (*hook_id, Fate::Skipped(*reason)));
        let mut fates: Vec<_> = delivered.chain(skipped).collect();
        fates.sort_by_key(|(hook_id, _)| *hook_id);
        fates
    }

    fn fate(&self, delivery: &Delivery) -> Fate {
        match self.stopped.get(&delivery.hook_id).filter(|_| delivery.state == DeliveryState::Pending) {
            Some(stopped) => Fate::Waiting { delivery: delivery.clone(), stopped: *stopped },
            None => Fate::Delivery(delivery.clone()),
        }
    }

    fn write_fate(&self, f: &mut fmt::Formatter<'_>, hook_id: HookId, fate: &Fate) -> fmt::Result {
        write!(f, "\n  webhook {hook_id}: {fate}")?;
        let last = fate.delivery().and_then(|delivery| self.last_attempts.get(&delivery.id));
        let Some(last) = last else { return Ok(()) };
        write!(f, "; the last {}", told(&last.outcome))
    }
}

/// The JSON form of an [`Explanation`].
#[derive(Serialize)]
struct Shown<'a> {
    message_id: &'a MessageId,
    event: &'a str,
    time: Timestamp,
    published_at: Timestamp,
    routing: Routing<'a>,
    has_payload: bool,
    webhooks: Vec<ShownFate<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Routing<'a> {
    Routed,
    Unroutable(&'a str),
    Waiting,
}

#[derive(Serialize)]
struct ShownFate<'a> {
    hook_id: HookId,
    fate: Fate,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_attempt: Option<&'a Attempt>,
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let EventRecord { event, has_payload, receipt, routing } = &self.record;
        let webhooks = self.fates().into_iter().map(|(hook_id, fate)| ShownFate {
            hook_id,
            last_attempt: fate.delivery().and_then(|delivery| self.last_attempts.get(&delivery.id)),
            fate,
        });
        let shown = Shown {
            message_id: &event.message_id,
            event: &self.event,
            time: event.time,
            published_at: receipt.published_at,
            routing: match routing {
                RoutingRecord::Routed(_) => Routing::Routed,
                RoutingRecord::Unroutable(reason) => Routing::Unroutable(reason),
                RoutingRecord::Waiting => Routing::Waiting,
            },
            has_payload: *has_payload,
            webhooks: webhooks.collect(),
        };
        shown.serialize(serializer)
    }
}

impl Fate {
    /// Returns the delivery, unless routing skipped the webhook.
    pub const fn delivery(&self) -> Option<&Delivery> {
        match self {
            Self::Delivery(delivery) | Self::Waiting { delivery, .. } => Some(delivery),
            Self::Skipped(_) => None,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = &self.record.event;
        let at = self.record.receipt.published_at;
        write!(f, "{}: {} published {at}", event.message_id, self.event)?;
        match &self.record.routing {
            RoutingRecord::Routed(_) => {}
            RoutingRecord::Unroutable(reason) => write!(f, "\n  not routed: {reason}")?,
            RoutingRecord::Waiting => f.write_str("\n  waits for routing")?,
        }
        if !self.record.has_payload {
            f.write_str("\n  its payload was removed, so it cannot be delivered again")?;
        }
        self.fates().iter().try_for_each(|(hook_id, fate)| self.write_fate(f, *hook_id, fate))
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delivery = match self {
            Self::Delivery(delivery) => delivery,
            Self::Skipped(reason) => return write!(f, "skipped, {reason}"),
            Self::Waiting { delivery, stopped } => {
                return write!(f, "waits after {}: {stopped}", attempts(delivery));
            }
        };
        let attempts = attempts(delivery);
        match (delivery.state, delivery.due_at) {
            (DeliveryState::Ended(end), _) => write!(f, "{} after {attempts}", ended(end)),
            (DeliveryState::Pending, Some(due)) => {
                // A claim moves the time to the end of its lease, so an attempt may be under way until then.
                write!(f, "pending after {attempts}; the next is under way, or due {due}")
            }
            (DeliveryState::Pending, None) => write!(f, "pending after {attempts}"),
        }
    }
}

fn attempts(delivery: &Delivery) -> String {
    match delivery.attempts {
        1 => "1 attempt".to_owned(),
        n => format!("{n} attempts"),
    }
}

/// The characters that are shown of the answer's body or the failure's detail.
const MAX_WORDS: usize = 200;

/// Returns the outcome of an attempt as a clause, with as much of the receiver's words as the reader may see. They are
/// quoted, because they may hold line breaks and control characters.
fn told(outcome: &Outcome) -> String {
    let (clause, words) = match outcome {
        Outcome::Answered { body, .. } => (outcome.to_string(), body),
        Outcome::Failed { detail, .. } => (format!("failed: {outcome}"), detail),
    };
    if words.is_empty() {
        return clause;
    }
    let words: String = words.chars().take(MAX_WORDS).collect();
    format!("{clause} ({words:?})")
}

const fn ended(end: End) -> &'static str {
    match end {
        End::Cancelled => "cancelled",
        End::Delivered => "delivered",
        End::Erased => "not sent, because its payload was erased,",
        End::Exhausted => "given up",
        End::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DisableReason, Disabled, EventId};

    fn pending(attempts: u32, due_at: Option<Timestamp>) -> Delivery {
        Delivery {
            id: DeliveryId::new(1),
            message_id: MessageId::new("msg_1").expect("valid"),
            event_id: EventId::new(1),
            hook_id: HookId::new(1),
            state: DeliveryState::Pending,
            attempts,
            created_at: Timestamp::default(),
            due_at,
            ended_at: None,
            origin: None,
        }
    }

    #[test]
    fn a_delivery_that_may_be_under_way_is_not_said_to_wait_for_the_end_of_its_lease() {
        assert_eq!(
            Fate::Delivery(pending(0, Some(Timestamp::from_secs(35)))).to_string(),
            "pending after 0 attempts; the next is under way, or due 1970-01-01T00:00:35.000Z"
        );
    }

    #[test]
    fn a_delivery_of_a_disabled_webhook_waits_for_somebody_to_enable_it() {
        let waiting = |attempts, disabled| Fate::Waiting {
            delivery: pending(attempts, None),
            stopped: Stopped::Disabled(disabled),
        };
        let by_somebody = waiting(1, Disabled::default());
        assert_eq!(by_somebody.to_string(), "waits after 1 attempt: the webhook is disabled");
        let disabled = Disabled { reason: Some(DisableReason::Gone), at: Some(Timestamp::default()) };
        let by_hookwire = waiting(2, disabled);
        let told = "waits after 2 attempts: the webhook is disabled since 1970-01-01T00:00:00.000Z, \
            because the receiver answered 410 Gone";
        assert_eq!(by_hookwire.to_string(), told);
    }
}
