//! `Begin`: the texts that set a connection up, and with which its transactions begin.

use std::time::Duration;

use crate::connection::error::ConnectError;
use crate::connection::schema::SchemaName;
use crate::connection::statements::Statements;
use crate::transaction::BEGIN;

/// The number of uses after which a connection plans its statements again. A young one does so sooner.
const PLAN_EVERY: usize = 256;
/// The time that a server may take for a statement along indexes and within limits.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The texts that set a connection up, and with which transactions begin.
///
/// Behind a pooler every setting ends with its transaction: the pooler may give the connection to somebody else
/// afterwards. A connection of the store's own has them for as long as it is open.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    /// Executed once on each connection. Empty behind a pooler.
    pub(crate) session: String,
    settings: String,
    keeps_plans: bool,
}

impl Begin {
    pub(crate) fn new(schema: &SchemaName, statements: &Statements) -> Self {
        let is_own = matches!(statements, Statements::Named);
        let settings = settings(schema, !is_own);
        let (session, settings) = if is_own { (settings, String::new()) } else { (String::new(), settings) };
        Self { session, settings, keeps_plans: is_own }
    }

    /// Returns the statements that begin a transaction on a connection after so many uses.
    pub(crate) fn sql(&self, within: Duration, uses: usize) -> String {
        let plan = if self.keeps_plans && is_time_to_plan(uses) { "; DISCARD PLANS" } else { "" };
        let limit = match within {
            ANSWER_WITHIN => String::new(),
            other => format!("; SET LOCAL statement_timeout TO {}", server_limit(other)),
        };
        format!("{BEGIN}{plan}; {}{limit}", self.settings)
    }
}

/// Returns the statement that sets what transactions rely on, until the end of one or of the session.
///
/// Nobody waits for a lock for ever, nor holds one for ever because its process stands still. A server that may lose
/// commits does not lose those of this store. Every statement goes along an index whatever its parameters are, so
/// one plan serves all of them. Nothing is left to the defaults of a database or a role; `transaction_timeout` is
/// passed over by servers that do not have it.
fn settings(schema: &SchemaName, is_local: bool) -> String {
    let path = schema.search_path();
    let limit = server_limit(ANSWER_WITHIN).to_string();
    let settings = [
        ("search_path", &path[..]),
        ("lock_timeout", "5s"),
        ("statement_timeout", &limit),
        ("idle_in_transaction_session_timeout", "10s"),
        ("jit", "off"),
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
        ("enable_indexscan", "on"),
        ("enable_indexonlyscan", "on"),
        ("enable_nestloop", "on"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_material", "off"),
        ("exit_on_error", "off"),
        ("standard_conforming_strings", "on"),
    ];
    let set = |(name, value)| format!("pg_catalog.set_config('{name}', '{value}', {is_local}), ");
    let all: String = settings.map(set).concat();
    format!(
        "SELECT {all}pg_catalog.set_config('synchronous_commit', \
            replace(pg_catalog.current_setting('synchronous_commit'), 'off', 'on'), {is_local}), \
            CASE WHEN pg_catalog.current_setting('transaction_timeout', true) <> '0' \
                THEN pg_catalog.set_config('transaction_timeout', '0', {is_local}) END"
    )
}

/// Returns the statement that sets a connection up, for a test that reads plans.
///
/// # Errors
///
/// [`ConnectError::SchemaName`] if no schema may have this name.
#[doc(hidden)]
pub fn session_settings(schema: &str) -> Result<String, ConnectError> {
    Ok(settings(&SchemaName::new(schema)?, false))
}

/// Returns the milliseconds after which the server gives a statement up: a little before nobody waits for it any more.
fn server_limit(within: Duration) -> u128 {
    within.mul_f32(0.8).as_millis()
}

/// Whether a connection plans its statements again after so many uses. A plan that was made for an empty table may
/// scan the whole of a full one, and the server takes minutes to notice by itself.
const fn is_time_to_plan(uses: usize) -> bool {
    uses.is_power_of_two() || uses.is_multiple_of(PLAN_EVERY)
}
