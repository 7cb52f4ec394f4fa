pub(crate) mod answers;
pub(crate) mod identity;
pub(crate) mod receiver;
