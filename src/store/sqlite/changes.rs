//! The changes that a transaction leaves for the memory to apply after its commit.

use std::collections::HashMap;
use std::sync::Arc;

use super::file::rows::{Lane, LaneId, Position};
use super::file::sql::as_i64;
use crate::model::{HookId, TenantId, Timestamp};
use crate::registry::Revision;
use crate::retry::RetryState;
use crate::store::lease::{Fence, HolderId};

/// The changes of a transaction to what is kept in memory. The commit applies them, a rollback drops them.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) lanes: HashMap<LaneId, Arc<Lane>>,
    pub(super) tenants: HashMap<TenantId, TenantRow>,
    /// Webhooks whose documents are written anew.
    pub(super) hooks: Vec<LaneId>,
    /// Lanes whose rows are removed.
    pub(super) forgotten: Vec<LaneId>,
    /// Claims as they are now: `None` once they have ended.
    pub(super) held: HashMap<i64, Option<ClaimedRow>>,
    /// Deliveries that wait from now on.
    pub(super) waiting: Vec<Position>,
    /// Deliveries that waited and have ended or are removed.
    pub(super) gone: Vec<Position>,
    pub(super) routing: HashMap<TenantId, Option<RoutingLease>>,
    pub(super) cursors: Option<Cursors>,
    pub(super) numbers: Option<Numbers>,
    /// Whether events wait for routing from now on.
    pub(super) has_unrouted: bool,
    /// Whether work has come that a dispatcher should hear of.
    pub(super) has_new_work: bool,
}

/// A tenant as its row tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct TenantRow {
    pub(super) id: i64,
    pub(super) revision: Revision,
    pub(super) next_hook: HookId,
    /// The date since when it is suspended.
    pub(super) suspended: Option<Timestamp>,
}

/// A delivery under a claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimedRow {
    pub(super) fence: Fence,
    pub(super) until: Timestamp,
    /// Where it waited, as its row still tells.
    pub(super) position: Position,
    pub(super) attempts: u32,
    pub(super) retry: RetryState,
}

/// The right to route a tenant's oldest unrouted events, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoutingLease {
    pub(super) holder: HolderId,
    pub(super) fence: Fence,
    pub(super) until: Timestamp,
    pub(super) left: usize,
}

/// The last numbers that rows were given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) event: i64,
    pub(super) delivery: i64,
}

/// Where the walks of upkeep stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursors {
    pub(super) waiting: Position,
    pub(super) removing: Walk,
    pub(super) stripping: Walk,
}

/// Where a walk over old events stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walk {
    /// The last event that has been looked at once it was old.
    pub(super) frontier: i64,
    /// The last before it that has been looked at again.
    pub(super) revisit: i64,
}

impl TenantRow {
    pub(super) const fn new(id: i64) -> Self {
        Self { id, revision: Revision::new(0), next_hook: HookId::new(1), suspended: None }
    }
}

impl Numbers {
    pub(super) const fn next_event(&mut self) -> i64 {
        self.event += 1;
        self.event
    }

    /// Gives the first of so many numbers in a row.
    pub(super) fn next_deliveries(&mut self, count: usize) -> i64 {
        self.delivery += as_i64(count);
        self.delivery - as_i64(count) + 1
    }
}
