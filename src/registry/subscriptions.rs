//! Checks the subscriptions of a draft.

use std::collections::BTreeSet;

use super::limits::Limits;
use crate::model::{
    Catalog, Departments, DeptId, EventId, Filter, Findings, Given, Rule, Subscription, SubscriptionDraft,
    Webhook, WebhookDraft,
};

/// The events and numbers that a webhook may have. What it has already may stay, even if the event has left the
/// catalog or a limit was lowered.
pub(super) struct Allowed<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) limits: &'a Limits,
    pub(super) present: Option<&'a Webhook>,
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

    fn has_filter(&self, event: Option<EventId>, filter: &Filter) -> bool {
        let present = event.and_then(|event| self.present_subscription(event));
        present.and_then(Subscription::filter) == Some(filter)
    }
}

impl Findings {
    pub(super) fn subscriptions(&mut self, draft: &WebhookDraft, allowed: &Allowed<'_>) -> Vec<Subscription> {
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
        let filter = self.filter(&format!("{field}.filter"), draft, event, allowed);
        let event = event?;
        if !seen.insert(event) {
            let message = format!("event {event} stands in an earlier subscription; join the two");
            self.add(&format!("{field}.event_id"), Rule::DuplicateEvent, message);
        }
        // What is invalid counts for the limits all the same: no webhook is made of it.
        let subscription = Subscription::new(event, departments.unwrap_or_default());
        Some(match filter {
            Some(filter) => subscription.with_filter(filter),
            None => subscription,
        })
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

    fn filter(
        &mut self,
        field: &str,
        draft: &SubscriptionDraft,
        event: Option<EventId>,
        allowed: &Allowed<'_>,
    ) -> Option<Filter> {
        let given = draft.filter.as_ref()?;
        let read = Filter::check(field, given);
        let has_it = read.as_ref().is_ok_and(|filter| allowed.has_filter(event, filter));
        if !allowed.catalog.allows_filters() && !has_it {
            self.add(field, Rule::NotOffered, "filters are not offered here; leave `filter` out");
            return None;
        }
        read.map_err(|violations| self.0.extend(violations)).ok()
    }
}
