//! The events and departments that a webhook wants.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::events::{EventPattern, Events};
use super::filter::Filter;
use super::integer_id::{DeptId, EventId};
use super::template::BodyTemplate;

/// The kinds of event that a webhook wants, with the departments and the payloads for which it wants them, and the template of
/// their bodies.
///
/// If several subscriptions of a webhook include an event, only one of them decides about it: the one that names it by
/// id, or else the one with the longest pattern.
///
/// ```
/// use hookwire::{assist, DeptId};
/// use hookwire::model::{Departments, Subscription};
///
/// let devices = Departments::only([DeptId::new(7), DeptId::new(9)])?;
/// let subscription = Subscription::new(assist::DEVICE_ONLINE, devices);
/// assert_eq!(
///     serde_json::to_string(&subscription)?,
///     r#"{"event_id":13,"dept_ids":[7,9]}"#,
/// );
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Subscription {
    #[serde(flatten)]
    events: Events,
    #[serde(rename = "dept_ids", default, skip_serializing_if = "Departments::is_all")]
    departments: Departments,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<Filter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<BodyTemplate>,
}

impl Subscription {
    /// Creates a subscription to the event `event_id` for `departments`.
    pub const fn new(event_id: EventId, departments: Departments) -> Self {
        Self { events: Events::One(event_id), departments, filter: None, template: None }
    }

    /// Creates a subscription to all events whose keys match `pattern`, for `departments`.
    ///
    /// ```
    /// use hookwire::model::{Departments, EventPattern, Subscription};
    ///
    /// let invoices = Subscription::matching(EventPattern::new("invoice.*")?, Departments::All);
    /// assert_eq!(serde_json::to_string(&invoices)?, r#"{"events":"invoice.*"}"#);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub const fn matching(pattern: EventPattern, departments: Departments) -> Self {
        Self { events: Events::Matching(pattern), departments, filter: None, template: None }
    }

    /// Limits the subscription to payloads that pass `filter`.
    #[must_use]
    pub fn with_filter(self, filter: Filter) -> Self {
        Self { filter: Some(filter), ..self }
    }

    /// Sets the template of the bodies for these events, in place of the
    /// [webhook's](super::DeliveryOptions::with_template) and of an envelope.
    #[must_use]
    pub fn with_template(self, template: BodyTemplate) -> Self {
        Self { template: Some(template), ..self }
    }

    /// Returns the kinds of event.
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// Returns the departments for which the event is wanted.
    pub const fn departments(&self) -> &Departments {
        &self.departments
    }

    /// Returns the filter that payloads have to pass, if there is one.
    pub const fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Returns the template of the bodies, if there is one.
    pub const fn template(&self) -> Option<&BodyTemplate> {
        self.template.as_ref()
    }
}

/// The departments for which a subscription wants its event.
///
/// In JSON it is the key `dept_ids`, absent or `null` for all departments. An empty list is refused, so that removing
/// the last department does not widen a subscription to all.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Option<DeptSet>", into = "Option<DeptSet>")]
#[expect(clippy::exhaustive_enums, reason = "a subscription is narrowed or it is not")]
pub enum Departments {
    /// Events of every department, and events without one.
    #[default]
    All,
    /// Events of these departments, and none without a department.
    Only(DeptSet),
}

impl Departments {
    /// Creates the variant [`Only`](Self::Only).
    ///
    /// # Errors
    ///
    /// Returns [`EmptyDepartments`] if there is none.
    pub fn only(departments: impl IntoIterator<Item = DeptId>) -> Result<Self, EmptyDepartments> {
        DeptSet::new(departments).map(Self::Only)
    }

    /// Returns whether every department is wanted.
    pub const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// Returns whether an event of `department` is wanted.
    pub fn include(&self, department: Option<DeptId>) -> bool {
        match (self, department) {
            (Self::All, _) => true,
            (Self::Only(_), None) => false,
            (Self::Only(set), Some(department)) => set.contains(department),
        }
    }
}

impl From<Option<DeptSet>> for Departments {
    fn from(set: Option<DeptSet>) -> Self {
        set.map_or(Self::All, Self::Only)
    }
}

impl From<Departments> for Option<DeptSet> {
    fn from(departments: Departments) -> Self {
        match departments {
            Departments::All => None,
            Departments::Only(set) => Some(set),
        }
    }
}

/// A non-empty set of departments.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Vec<DeptId>", into = "Vec<DeptId>")]
pub struct DeptSet(BTreeSet<DeptId>);

/// An error for an empty list of departments. Omit `dept_ids` to subscribe for all of them.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("names no department; leave `dept_ids` out to mean all departments")]
#[non_exhaustive]
pub struct EmptyDepartments {}

impl DeptSet {
    /// Creates a set of these departments.
    ///
    /// # Errors
    ///
    /// Returns [`EmptyDepartments`] if there is none.
    pub fn new(departments: impl IntoIterator<Item = DeptId>) -> Result<Self, EmptyDepartments> {
        let set: BTreeSet<_> = departments.into_iter().collect();
        if set.is_empty() { Err(EmptyDepartments {}) } else { Ok(Self(set)) }
    }

    /// Returns whether `department` is in the set.
    pub fn contains(&self, department: DeptId) -> bool {
        self.0.contains(&department)
    }

    /// Returns the departments in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = DeptId> + '_ {
        self.0.iter().copied()
    }
}

impl TryFrom<Vec<DeptId>> for DeptSet {
    type Error = EmptyDepartments;

    fn try_from(departments: Vec<DeptId>) -> Result<Self, EmptyDepartments> {
        Self::new(departments)
    }
}

impl From<DeptSet> for Vec<DeptId> {
    fn from(set: DeptSet) -> Self {
        set.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Subscription, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn absent_and_null_departments_mean_all() {
        for json in [r#"{"event_id":13}"#, r#"{"event_id":13,"dept_ids":null}"#] {
            assert_eq!(parse(json).expect(json).departments(), &Departments::All);
        }
    }

    #[test]
    fn an_empty_list_is_refused_and_never_all() {
        assert!(parse(r#"{"event_id":13,"dept_ids":[]}"#).is_err());
        assert_eq!(Departments::only([]), Err(EmptyDepartments {}));
    }

    #[test]
    fn departments_are_read_from_numbers_and_strings_and_doubled_ones_fold() {
        let subscription = parse(r#"{"event_id":"13","dept_ids":["9",7,9]}"#).expect("valid");
        let Departments::Only(set) = subscription.departments() else { panic!("narrowed") };
        assert_eq!(set.iter().collect::<Vec<_>>(), [DeptId::new(7), DeptId::new(9)]);
    }

    #[test]
    fn an_event_without_a_department_reaches_all_only() {
        let only = Departments::only([DeptId::new(7)]).expect("one");
        assert!(Departments::All.include(None));
        assert!(!only.include(None));
        assert!(only.include(Some(DeptId::new(7))));
        assert!(!only.include(Some(DeptId::new(8))));
    }
}
