//! `Millis`: a time as the columns of the database keep it.

use std::error::Error;
use std::time::Duration;

use bytes::BytesMut;
use hookwire::model::Timestamp;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// A time by the database's clock, kept as a `bigint` of milliseconds since 1970.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Millis(Timestamp);

impl Millis {
    /// Before every time that a column can hold.
    pub(crate) const MIN: Self = Self(Timestamp::from_millis(i64::MIN));
    /// After every time that a column can hold.
    pub(crate) const MAX: Self = Self(Timestamp::from_millis(i64::MAX));

    pub(crate) const fn timestamp(self) -> Timestamp {
        self.0
    }

    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.plus(duration))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.minus(duration))
    }

    /// Returns the time from `earlier` until this; zero if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.since(earlier.0)
    }
}

impl From<Timestamp> for Millis {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

impl<'a> FromSql<'a> for Millis {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Timestamp::from_millis(i64::from_sql(ty, raw)?)))
    }

    fn accepts(ty: &Type) -> bool {
        <i64 as FromSql>::accepts(ty)
    }
}

impl ToSql for Millis {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.as_millis().to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <i64 as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}
