//! `DialError`: why a connection did not open, and how far its encryption had come.

use std::error::Error as _;
use std::io;

use thiserror::Error;
use tokio_postgres::error::SqlState;

/// An error of an attempt to connect.
#[derive(Debug)]
pub(crate) struct DialError {
    pub(crate) error: tokio_postgres::Error,
    pub(crate) stage: Stage,
}

/// An error of a TLS handshake. It has a type of its own, by which it is told from other I/O errors.
#[derive(Debug, Error)]
#[error(transparent)]
pub(crate) struct HandshakeError(#[from] io::Error);

/// How far the encryption of a connection had come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// The server has yet to agree to the TLS that it must have.
    AwaitsTls,
    /// The connection is not encrypted.
    Plain,
    /// TLS has begun.
    Tls,
}

impl DialError {
    /// Whether a parameter of the start was refused. PostgreSQL knows all that are sent; poolers do not.
    pub(crate) fn is_of_parameter(&self) -> bool {
        let codes = [SqlState::FEATURE_NOT_SUPPORTED, SqlState::PROTOCOL_VIOLATION];
        self.error.code().is_some_and(|code| codes.contains(code))
    }

    /// Returns whether another kind of encryption may succeed: the handshake failed, or the server forbids this kind.
    pub(crate) fn may_be_of_the_way(&self) -> bool {
        let is_handshake = self.error.source().is_some_and(|source| source.is::<HandshakeError>());
        is_handshake || self.error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    }
}
