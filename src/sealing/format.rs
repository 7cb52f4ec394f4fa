//! The stored form of secrets: its parts, and the data that encryption binds them to.

use crate::model::{HookId, KeyId, TenantId};

/// Stored secrets, parsed.
pub(super) enum Stored<'a> {
    /// An unencrypted key ring.
    Clear(&'a [u8]),
    Sealed(Sealed<'a>),
}

/// The parts of the sealed form.
pub(super) struct Sealed<'a> {
    pub(super) key_id: KeyId,
    /// The bytes before the nonce.
    pub(super) head: &'a [u8],
    pub(super) nonce: &'a [u8; NONCE],
    /// The encrypted bytes and their tag.
    pub(super) rest: &'a [u8],
}

/// The length of a nonce.
pub(super) const NONCE: usize = 24;

pub(super) const VERSION: u8 = 1;

impl<'a> Stored<'a> {
    /// Parses stored bytes. Returns `None` if they are in no known form.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes {
            [b'{', ..] => Some(Self::Clear(bytes)),
            [VERSION, length, ..] => Sealed::parse(bytes, usize::from(*length)).map(Self::Sealed),
            _ => None,
        }
    }
}

impl<'a> Sealed<'a> {
    fn parse(bytes: &'a [u8], id_length: usize) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(2 + id_length)?;
        let key_id = KeyId::new(std::str::from_utf8(&head[2..]).ok()?).ok()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        Some(Self { key_id, head, nonce, rest })
    }
}

/// Returns the associated data, to which the sealed bytes are bound. It is unambiguous: the head contains its own
/// length, and the id of the webhook always has 8 bytes.
pub(super) fn associated_data(head: &[u8], (tenant, hook_id): (&TenantId, HookId)) -> Vec<u8> {
    [head, &hook_id.get().to_be_bytes(), tenant.as_str().as_bytes()].concat()
}
