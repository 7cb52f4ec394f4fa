//! One module for each row of Zoho Assist's webhook page.

mod attributes;
mod departments;
mod events;
mod limits;
mod ping;
pub(crate) mod scopes;
mod source;
mod status;
pub(crate) mod support;
