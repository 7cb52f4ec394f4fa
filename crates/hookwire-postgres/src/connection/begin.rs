//! `Begin`: how transactions begin, with the settings that they rely on.

use std::time::Duration;

use crate::connection::schema::SchemaName;
use crate::connection::statements::Statements;
use crate::transaction::BEGIN;

/// The number of uses after which a connection plans its statements again. A young one does so sooner.
const PLAN_EVERY: usize = 256;

/// The text with which transactions begin.
///
/// Every setting ends with its transaction: a pooler in between may give the connection to somebody else afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    settings: String,
    keeps_plans: bool,
}

impl Begin {
    /// Nobody waits for a lock for ever, nor holds one for ever because its process stands still. A server that may lose
    /// commits does not lose those of this store. Every statement goes along an index whatever its parameters are, so
    /// one plan serves all of them. Nothing is left to the defaults of a database or a role; `transaction_timeout` is
    /// passed over by servers that do not have it.
    pub(crate) fn new(schema: &SchemaName, statements: &Statements) -> Self {
        let settings = format!(
            "SET LOCAL search_path TO {};
            SET LOCAL lock_timeout TO '5s';
            SET LOCAL idle_in_transaction_session_timeout TO '10s';
            SET LOCAL jit TO off;
            SET LOCAL plan_cache_mode TO force_generic_plan;
            SET LOCAL enable_seqscan TO off;
            SET LOCAL enable_bitmapscan TO off;
            SET LOCAL enable_indexscan TO on;
            SET LOCAL enable_indexonlyscan TO on;
            SET LOCAL enable_nestloop TO on;
            SET LOCAL exit_on_error TO off;
            SET LOCAL standard_conforming_strings TO on;
            SELECT set_config('synchronous_commit', 'on', true)
                WHERE current_setting('synchronous_commit') = 'off';
            SELECT set_config('transaction_timeout', '0', true)
                WHERE current_setting('transaction_timeout', true) <> '0';",
            schema.search_path()
        );
        Self { settings, keeps_plans: matches!(statements, Statements::Named) }
    }

    /// Returns the statements that begin a transaction on a connection after so many uses. The server gives a statement up
    /// a little before nobody waits for it any more.
    pub(crate) fn sql(&self, within: Duration, uses: usize) -> String {
        let plan = if self.keeps_plans && is_time_to_plan(uses) { "DISCARD PLANS; " } else { "" };
        let limit = within.mul_f32(0.8).as_millis();
        format!("{BEGIN}; {plan}SET LOCAL statement_timeout TO {limit}; {}", self.settings)
    }
}

/// Whether a connection plans its statements again after so many uses. A plan that was made for an empty table may
/// scan the whole of a full one, and the server takes minutes to notice by itself.
const fn is_time_to_plan(uses: usize) -> bool {
    uses.is_power_of_two() || uses.is_multiple_of(PLAN_EVERY)
}
