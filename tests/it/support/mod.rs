pub(crate) mod answers;
pub(crate) mod frames;
pub(crate) mod identity;
pub(crate) mod material;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod store;
pub(crate) mod tunnels;
