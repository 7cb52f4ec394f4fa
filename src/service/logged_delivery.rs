//! [`LoggedDelivery`]: a delivery with its attempts, as the log shows both together.

use serde::Serialize;

use crate::model::{Attempt, Delivery};

/// A delivery with its attempts.
///
/// The JSON form has the names of the fields. See
/// [`Tenant::deliveries_with_attempts`](crate::Tenant::deliveries_with_attempts).
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LoggedDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// Its attempts, in order. The handle decides how much of their outcomes is shown, as in
    /// [`attempts`](crate::Tenant::attempts).
    pub attempts: Vec<Attempt>,
}
