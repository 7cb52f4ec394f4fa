//! Routing of events that were published by SQL or by the outbox.

use std::collections::BTreeMap;

use tracing::warn;

use super::calls::Calls;
use crate::error_chain::chain;
use crate::model::TenantId;
use crate::registry::Registry;
use crate::routing;
use crate::service::{Core, Error};
use crate::store::{Routed, Unrouted};

/// Routes events that were written unrouted, in their order, by the rules that publishing uses. A later claim returns
/// the events of a tenant again whose routing fails.
pub(super) async fn route_all(core: &Core, calls: &Calls, unrouted: Vec<Unrouted>) {
    let mut by_tenant: BTreeMap<TenantId, Vec<Unrouted>> = BTreeMap::new();
    for item in unrouted {
        by_tenant.entry(item.tenant.clone()).or_default().push(item);
    }
    for (tenant, items) in by_tenant {
        if let Err(error) = route_tenant(core, calls, &tenant, items).await {
            warn!(%tenant, error = chain(&error), "events could not be routed; they will be tried again");
        }
    }
}

async fn route_tenant(
    core: &Core,
    calls: &Calls,
    tenant: &TenantId,
    items: Vec<Unrouted>,
) -> Result<(), Error> {
    let registry = calls.answer(core.fresh_registry(tenant)).await?;
    let routed: Vec<_> = items.into_iter().map(|item| decide(core, item, &registry)).collect();
    let answers = calls.answer(core.store().route(&routed)).await?;
    core.tell_routed(&routed, &answers);
    Ok(())
}

fn decide(core: &Core, unrouted: Unrouted, registry: &Registry) -> Routed {
    let routes = || routing::route(&unrouted.event, registry, core.catalog()).into_iter().collect();
    let routing = core.check_event(&unrouted.event).map(|()| routes()).map_err(|error| error.to_string());
    Routed { unrouted, routed_at: registry.revision, routing, expires: core.policy().expires() }
}
