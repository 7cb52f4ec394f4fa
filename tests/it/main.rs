//! The integration tests, through the public API, as one binary.

mod api;
mod conformance;
mod conformance_catches;
mod dispatcher;
mod failing_seams;
mod fuzzed;
mod golden;
mod guard;
mod handshake;
mod hostile;
mod http_transport;
mod layers;
mod load;
mod outbox;
mod proxy;
mod sealing;
mod secrets;
mod security_page;
mod seed;
mod signing;
mod sqlite;
mod streams;
mod support;
mod tenants;
mod tls;
mod transport_conformance;
