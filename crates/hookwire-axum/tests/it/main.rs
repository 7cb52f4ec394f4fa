//! The API and the page as their users meet them: requests to the router, in process.

mod access;
mod changes;
mod document;
mod keys;
mod log;
#[cfg(feature = "page")]
mod page;
#[cfg(feature = "page")]
mod page_parameters;
#[cfg(feature = "page")]
mod page_recovery;
#[cfg(feature = "page")]
mod page_words;
mod queries;
mod refusals;
mod support;
