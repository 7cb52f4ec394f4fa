//! Servers, stores and other doubles that the tests share.

pub(crate) mod alone;
pub(crate) mod answers;
pub(crate) mod h2_replies;
pub(crate) mod h2_server;
pub(crate) mod identity;
pub(crate) mod log;
pub(crate) mod material;
#[cfg(target_os = "linux")]
pub(crate) mod memory;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod reset;
pub(crate) mod store;
