//! One module for each row of Zoho Assist's webhook page.

mod attributes;
mod departments;
mod events;
mod limits;
mod ping;
mod scopes;
mod source;
mod status;
mod support;
