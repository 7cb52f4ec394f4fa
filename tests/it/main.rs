//! Integration tests through the public API, as one binary.

#[cfg(feature = "http-transport")]
mod guard;
#[cfg(feature = "http-transport")]
mod http_transport;
#[cfg(feature = "http-transport")]
mod support;
