//! The integration tests, through the public API, as one binary.

mod api;
mod conformance;
mod conformance_catches;
mod dispatcher;
mod faults;
mod golden;
mod guard;
mod hostile;
mod http_transport;
mod layers;
mod load;
mod proxy;
mod seed;
mod sqlite;
mod support;
mod tls;
mod transport_conformance;
