use std::fmt;

use crate::model::{Delivery, DeliveryState, End, HookId};
use crate::routing::SkipReason;
use crate::store::{EventRecord, RoutingRecord};

/// The answer to "was it sent, and if not why": what became of one event at each webhook.
///
/// `Display` tells it in lines for a person.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The event and what routing decided.
    pub record: EventRecord,
    /// Its deliveries, oldest first.
    pub deliveries: Vec<Delivery>,
}

/// What became of an event at one webhook.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fate {
    /// There is a delivery for it.
    Delivery(Delivery),
    /// Routing passed the webhook over.
    Skipped(SkipReason),
}

impl Explanation {
    /// What became of the event at each webhook, by ascending id; a delivery that was repeated shows each
    /// time.
    pub fn fates(&self) -> Vec<(HookId, Fate)> {
        let delivered = self.deliveries.iter().map(|it| (it.hook_id, Fate::Delivery(it.clone())));
        let skipped: &[_] = match &self.record.routing {
            RoutingRecord::Routed(skipped) => skipped,
            RoutingRecord::Unroutable(_) | RoutingRecord::Waiting => &[],
        };
        let skipped = skipped.iter().map(|(hook_id, reason)| (*hook_id, Fate::Skipped(*reason)));
        let mut fates: Vec<_> = delivered.chain(skipped).collect();
        fates.sort_by_key(|(hook_id, _)| *hook_id);
        fates
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = &self.record.event;
        let at = self.record.receipt.published_at;
        write!(f, "{}: event {} published {at}", event.message_id, event.event_id)?;
        match &self.record.routing {
            RoutingRecord::Routed(_) => {}
            RoutingRecord::Unroutable(reason) => write!(f, "\n  not routed: {reason}")?,
            RoutingRecord::Waiting => f.write_str("\n  waits for routing")?,
        }
        self.fates().iter().try_for_each(|(hook_id, fate)| write!(f, "\n  webhook {hook_id}: {fate}"))
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delivery = match self {
            Self::Delivery(delivery) => delivery,
            Self::Skipped(reason) => return write!(f, "skipped, {reason}"),
        };
        let attempts = match delivery.attempts {
            1 => "1 attempt".to_owned(),
            n => format!("{n} attempts"),
        };
        match (delivery.state, delivery.due_at) {
            (DeliveryState::Ended(end), _) => write!(f, "{} after {attempts}", ended(end)),
            (DeliveryState::Pending, Some(due)) => write!(f, "pending after {attempts}, next due {due}"),
            (DeliveryState::Pending, None) => write!(f, "pending after {attempts}"),
        }
    }
}

const fn ended(end: End) -> &'static str {
    match end {
        End::Cancelled => "cancelled",
        End::Delivered => "delivered",
        End::Exhausted => "given up",
        End::Expired => "expired",
    }
}
