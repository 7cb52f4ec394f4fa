//! [`ReadyKeys`]: a ring of keys that is prepared once, so that each message is signed quickly.

use super::ed25519::PrivateKey;
use super::hmac::HmacKey;
use super::message::{Message, Signature};
use crate::model::Timestamp;

/// The keys of a ring, ready to sign messages in one scheme. They are wiped from memory when dropped.
pub(crate) struct ReadyKeys {
    /// Oldest first.
    pub(super) previous: Vec<(ReadyKey, Timestamp)>,
    pub(super) current: ReadyKey,
}

/// A key that is ready to sign.
pub(super) enum ReadyKey {
    Hmac(HmacKey),
    Private(PrivateKey),
}

impl ReadyKeys {
    /// Signs `message` with every key that is valid at its time, the current one last.
    pub(crate) fn sign(&self, message: &Message<'_>) -> Vec<Signature> {
        let live = self.previous.iter().filter(|(_, until)| *until > message.at).map(|(key, _)| key);
        let mut signatures = Vec::with_capacity(self.previous.len() + 1);
        signatures.extend(live.chain([&self.current]).map(|key| key.sign(message)));
        signatures
    }
}

impl ReadyKey {
    fn sign(&self, message: &Message<'_>) -> Signature {
        match self {
            Self::Private(key) => Signature::Ed25519(key.sign(&message.content())),
            Self::Hmac(key) => Signature::HmacSha256(key.sign(&message.parts(&message.timestamp()))),
        }
    }
}
