//! How transactions begin. Nothing is left to the defaults of a database or a role, which `ALTER DATABASE .. SET` and
//! `ALTER ROLE .. SET` can change.

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

/// The settings of a session that have their built-in values, whatever the defaults are. A statement outside a
/// transaction reads as in one. No time limit ends what this crate bounds by itself, nor a connection that waits in the
/// pool. The planner may use every kind of plan. Settings that this version of the server does not have are passed over.
pub(crate) const BUILT_IN_SETTINGS: &str = "SET statement_timeout TO 0;
    SET default_transaction_isolation TO 'read committed';
    SET default_transaction_deferrable TO off;
    SET exit_on_error TO off;
    SET standard_conforming_strings TO on;
    SELECT pg_catalog.set_config(name, boot_val, false) FROM pg_catalog.pg_settings
        WHERE name IN ('idle_session_timeout', 'transaction_timeout') OR pg_catalog.starts_with(name, 'enable_');";
