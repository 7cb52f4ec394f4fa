use crate::model::{HookId, KeyId, TenantId};

/// What a store keeps, taken apart.
pub(super) enum Form<'a> {
    /// A key ring, written without keys to seal by.
    Clear(&'a [u8]),
    Sealed(Sealed<'a>),
}

/// The parts of the sealed form.
pub(super) struct Sealed<'a> {
    pub(super) key_id: KeyId,
    /// What stands before the nonce.
    pub(super) head: &'a [u8],
    pub(super) nonce: &'a [u8; NONCE],
    /// What is encrypted, and its tag.
    pub(super) rest: &'a [u8],
}

/// The length of a nonce.
pub(super) const NONCE: usize = 24;

pub(super) const VERSION: u8 = 1;

impl<'a> Form<'a> {
    /// Nothing where the bytes are of no known form.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        match bytes {
            [b'{', ..] => Some(Self::Clear(bytes)),
            [VERSION, length, ..] => Sealed::read(bytes, usize::from(*length)).map(Self::Sealed),
            _ => None,
        }
    }
}

impl<'a> Sealed<'a> {
    fn read(bytes: &'a [u8], id_length: usize) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(2 + id_length)?;
        let key_id = KeyId::new(std::str::from_utf8(&head[2..]).ok()?).ok()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        Some(Self { key_id, head, nonce, rest })
    }
}

/// What the sealed bytes are bound to. Its parts cannot run into each other: the head tells its own length,
/// and the webhook's id has always 8 bytes.
pub(super) fn associated(head: &[u8], (tenant, hook_id): (&TenantId, HookId)) -> Vec<u8> {
    [head, &hook_id.get().to_be_bytes(), tenant.as_str().as_bytes()].concat()
}
