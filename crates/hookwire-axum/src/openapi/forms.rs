//! The forms of values, of which schemas are put together.

use serde_json::Value;
use utoipa::openapi::schema::{AnyOfBuilder, SchemaType};
use utoipa::openapi::{ArrayBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type};

/// Adds attributes of the same form to an object.
pub(super) trait Attributes {
    /// Adds attributes that the object always has.
    fn has(self, names: &[&str], form: impl Into<RefOr<Schema>>) -> Self;

    /// Adds attributes that the object may lack.
    fn may_have(self, names: &[&str], form: impl Into<RefOr<Schema>>) -> Self;
}

impl Attributes for ObjectBuilder {
    fn has(self, names: &[&str], form: impl Into<RefOr<Schema>>) -> Self {
        names.iter().fold(self.may_have(names, form), |object, name| object.required(*name))
    }

    fn may_have(self, names: &[&str], form: impl Into<RefOr<Schema>>) -> Self {
        let form = form.into();
        names.iter().fold(self, |object, name| object.property(*name, form.clone()))
    }
}

pub(super) fn object() -> ObjectBuilder {
    ObjectBuilder::new()
}

pub(super) fn text() -> ObjectBuilder {
    object().schema_type(Type::String)
}

pub(super) fn integer() -> ObjectBuilder {
    object().schema_type(Type::Integer)
}

pub(super) fn flag() -> ObjectBuilder {
    object().schema_type(Type::Boolean)
}

pub(super) fn anything() -> ObjectBuilder {
    object().schema_type(SchemaType::AnyValue)
}

pub(super) fn one_of<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> ObjectBuilder {
    anything().enum_values(Some(values))
}

/// Texts by names.
pub(super) fn texts() -> ObjectBuilder {
    object().additional_properties(Some(text()))
}

pub(super) fn date_time() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// A time in either view's form.
pub(super) fn moment() -> AnyOfBuilder {
    either(date_time(), integer())
}

/// The id of a webhook, as a query or a body has it.
pub(super) fn webhook_id() -> ObjectBuilder {
    text().pattern(Some("^[0-9]{1,18}$"))
}

pub(super) fn array(items: impl Into<RefOr<Schema>>) -> ArrayBuilder {
    ArrayBuilder::new().items(items.into())
}

pub(super) fn nullable(form: impl Into<RefOr<Schema>>) -> AnyOfBuilder {
    either(form, object().schema_type(Type::Null))
}

pub(super) fn either(one: impl Into<RefOr<Schema>>, other: impl Into<RefOr<Schema>>) -> AnyOfBuilder {
    AnyOfBuilder::new().item(one).item(other)
}

/// The schema of this name.
pub(super) fn the(schema: &str) -> Ref {
    Ref::from_schema_name(schema)
}
