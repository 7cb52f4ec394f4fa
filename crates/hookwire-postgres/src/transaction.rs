//! The statements that begin transactions, with every setting that they rely on.
//!
//! Nothing is left to the defaults of a database or a role, which `ALTER DATABASE .. SET` and `ALTER ROLE .. SET` can
//! change.

/// Begins a transaction. Each statement sees what others have committed before it.
///
/// `default_transaction_read_only` is left as it is: whoever has set it wants no writes, and errors name it.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE";

/// Begins a transaction on a connection outside the pool, which lasts as long as it has to. The settings end with it.
pub(crate) const BEGIN_UNLIMITED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE;
    SET LOCAL statement_timeout TO 0;
    SET LOCAL lock_timeout TO 0;
    SET LOCAL idle_in_transaction_session_timeout TO 0;
    SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout';";
