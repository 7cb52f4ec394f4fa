//! The file of the SQLite store: opening it, its schema, statements, and values as rows keep them.

pub(super) mod open;
pub(super) mod rows;
pub(super) mod schema;
pub(super) mod sql;
