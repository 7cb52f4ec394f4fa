//! Stability: what stays the same between versions, and for how long.
//!
//! # The API
//!
//! hookwire keeps to [Semantic Versioning](https://semver.org/spec/v2.0.0.html).
//!
//! | | until 1.0 | from 1.0 |
//! |---|---|---|
//! | a breaking change of the API | in a minor version (0.1 to 0.2), named **breaking** in CHANGELOG.md with the old and the new form | in a major version |
//! | an addition | in any version | in a minor version |
//! | `hookwire-postgres` | has the minor version of the `hookwire` that it works with | has a major version of its own |
//!
//! - Public enums and structs that may grow are `#[non_exhaustive]`. Those that are not, are not because stores and
//!   transports take them apart; a new variant or field there is a breaking change.
//! - A new method of [`Store`](crate::store::Store) or [`Transport`](crate::transport::Transport) is a breaking
//!   change, and a new point of their contracts too. The conformance suites show what an implementation has to do.
//! - Types of other crates in the API are those of `bytes`, `http`, `serde`, `serde_json` and `url`. A major version of
//!   one of these is a breaking change here.
//! - The text of an error, `Debug` output and items with `#[doc(hidden)]` are not part of the API. Branch on
//!   [`ErrorKind`](crate::ErrorKind), not on text.
//! - A default in [`policy`](crate::policy) may change in a minor version; CHANGELOG.md says so. Set the numbers on
//!   which you depend.
//! - A feature only adds names. Removing one is a breaking change.
//!
//! # Deprecation
//!
//! A name that goes away is first marked `#[deprecated]`, with the name to use instead. Until 1.0 it stays for one
//! minor version where both can be had; from 1.0 it stays until the next major version.
//!
//! # JSON
//!
//! The attributes of webhooks, drafts, violations and log entries are an interface for users' programs. An attribute
//! keeps its name, type and meaning. New attributes may come in any version, so readers must ignore those that they
//! do not know. The headers and the body of a request to a receiver, and the signatures, do not change for a webhook
//! that exists. The repository keeps each form as a golden file, and a test compares them.
//!
//! # Stored data
//!
//! A later version opens the stores of every released one. A SQLite file is brought to the new schema when it is
//! opened. A PostgreSQL schema is brought to it by `PostgresStore::migrate`, which you call when you deploy. A newer
//! schema is refused with an error, never written to, unless it says of itself that this version can work with it.
//! [Upgrades](super::upgrades) tells how to go back to an old version. Each released form of the SQLite file and of the
//! PostgreSQL schema is kept in the repository as a fixture, and a test opens it and delivers from it.
//!
//! # SQL
//!
//! | interface | promise |
//! |---|---|
//! | the function `hookwire.publish(text)`, and the members of its document | as the API: not broken within a version that is compatible |
//! | the table `hookwire_outbox` | as the API; an outbox that an earlier version has made is drained |
//! | the tables of `hookwire-postgres`, to read | until 1.0 they may change in a minor version, and CHANGELOG.md says how; from 1.0 columns may be added |
//! | the tables of `SqliteStore` | none; use the API |
//! | indexes, and SQL functions other than `publish` | none |
//!
//! # Log lines
//!
//! The targets of `tracing` events begin with `hookwire`. Their levels and the names of their fields change only in a
//! minor version, and CHANGELOG.md says so. Their texts may change in any version: filter by target, level and field.
//!
//! # Metrics
//!
//! The names of [metrics](super::operations#metrics), their units and labels change only in a minor version, and CHANGELOG.md
//! says so. A label may get a new value in any version.
//!
//! # Versions that get fixes
//!
//! The latest minor version gets fixes. A fix of a weakness, or of lost or doubled deliveries, also goes to the minor
//! version before it, for six months after the latest was released.
//!
//! # Rust
//!
//! The oldest Rust that compiles is in `rust-version` of Cargo.toml, 1.90 today. It rises only in a minor version, and
//! never to a Rust that is younger than six months.
