//! [`UnsealError`]: why stored secrets do not open.

use thiserror::Error;

use crate::model::KeyId;

/// The reason why stored secrets do not open. The message shows nothing of them.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum UnsealError {
    /// The key with this id does not open them: they were changed, belong to another webhook, or were sealed
    /// by a different key with the same id.
    #[error("they were changed, belong to another webhook, or key `{0}` is not the one that sealed them")]
    Broken(KeyId),
    /// The bytes are in no form that this version knows.
    #[error("they are in no form that this version of hookwire knows")]
    Form,
    /// The key that sealed them was not passed.
    #[error("they are sealed by key `{0}`: give it to `seal_with`, of the feature `seal`")]
    NoKey(KeyId),
}
