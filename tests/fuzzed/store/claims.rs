//! What a claim may give, and what it must.

use std::collections::BTreeMap;

use hookwire::model::Timestamp;
use hookwire::store::{Claim, ClaimRequest, Claimed};

use super::super::Verdict;
use super::model::{LaneKey, Model, Row, State};

/// Checks what was claimed against the model, and holds it there.
pub(super) fn check(model: &mut Model, request: &ClaimRequest, claimed: &Claimed) -> Verdict {
    let claims = &claimed.deliveries;
    ensure!(claims.len() <= request.limit, "{} claimed of {}", claims.len(), request.limit);
    ensure!(claimed.unrouted.is_empty(), "{:?} was never published so", claimed.unrouted);
    let bytes: usize = claims.iter().map(size).sum();
    ensure!(claims.len() <= 1 || bytes <= request.max_bytes, "{bytes} bytes of {}", request.max_bytes);
    let latest = latest(model, claims);
    for claim in claims {
        take(model, request, claim)?;
    }
    in_order(model, &latest)?;
    let cut_short = claims.len() >= request.limit || (request.max_bytes != usize::MAX && !claims.is_empty());
    if !cut_short {
        nothing_is_left(model, request)?;
        comes_again(model, request, claimed)?;
    }
    Ok(())
}

/// Checks what publishing held.
pub(super) fn held(model: &mut Model, request: &ClaimRequest, claims: &[Claim]) -> Verdict {
    ensure!(claims.len() <= request.limit, "{} held of {}", claims.len(), request.limit);
    for claim in claims {
        let waits = |row: &&Row| matches!(row.state, State::Due(_)) && model.is_claimable(row);
        let lane = model.rows.get(&claim.id).map(|row| row.lane.clone());
        let waiting =
            model.rows.values().filter(waits).filter(|row| Some(&row.lane) == lane.as_ref()).count();
        ensure!(waiting == 1, "{} is held before what waits on its lane", claim.id);
        take(model, request, claim)?;
    }
    Ok(())
}

fn size(claim: &Claim) -> usize {
    claim.event.payload.get().len()
}

fn take(model: &mut Model, request: &ClaimRequest, claim: &Claim) -> Verdict {
    let Some(row) = model.rows.get(&claim.id) else { return Err(format!("{claim:?} of nothing")) };
    let hook = claim.hook.hook_id();
    let same = row.lane == (claim.tenant.clone(), hook) && row.message == claim.event.message_id;
    ensure!(same && row.size == size(claim), "{claim:?} is given for {row:?}");
    ensure!(row.attempts == claim.attempts, "{} attempts instead of {}", claim.attempts, row.attempts);
    ensure!(model.is_claimable(row), "{row:?} is claimed at {:?}", model.now);
    ensure!(!model.fences.contains(&(claim.id, claim.fence)), "{:?} was used before", claim.fence);
    let lane = &model.lanes[&row.lane];
    ensure!(lane.health == claim.health, "{:?} instead of {:?}", claim.health, lane.health);
    ensure!(lane.hook.version == claim.hook.version, "an old webhook: {:?}", claim.hook);
    let room = model.room(request.holder, &request.quota, &row.lane);
    ensure!(room > 0, "no room for {row:?} by {:?}", request.quota);
    model.hold(request.holder, claim, request.lease);
    Ok(())
}

/// When the last claimed first attempt and the last claimed retry of each lane were due, as far as that is known.
fn latest(model: &Model, claims: &[Claim]) -> BTreeMap<(LaneKey, bool), Timestamp> {
    let mut latest = BTreeMap::new();
    for (id, row) in claims.iter().filter_map(|claim| Some((claim.id, model.rows.get(&claim.id)?))) {
        // What was given back without an attempt may be where it was, or due from then on.
        let claimed = model.fences.iter().filter(|(claimed, _)| *claimed == id).count();
        let was_given_back = u32::try_from(claimed).is_ok_and(|claimed| claimed > row.attempts);
        if let State::Due(due) = row.state
            && !was_given_back
        {
            let known = latest.entry(kind(row)).or_insert(due);
            *known = due.max(*known);
        }
    }
    latest
}

/// A row's lane, and whether it is a retry.
fn kind(row: &Row) -> (LaneKey, bool) {
    (row.lane.clone(), row.attempts > 0)
}

/// Within a lane, no first attempt that waits is due before one that was claimed, and no retry before one.
fn in_order(model: &Model, latest: &BTreeMap<(LaneKey, bool), Timestamp>) -> Verdict {
    let is_before = |row: &&Row| match (row.state, latest.get(&kind(row))) {
        (State::Due(due), Some(latest)) => due < *latest && model.is_claimable(row),
        _ => false,
    };
    let passed_over = model.rows.values().find(is_before);
    ensure!(passed_over.is_none(), "{passed_over:?} is passed over");
    Ok(())
}

/// Where neither limit nor bytes cut a claim short, it leaves only what there is no room for.
fn nothing_is_left(model: &Model, request: &ClaimRequest) -> Verdict {
    let is_left = |row: &&Row| model.is_claimable(row) && has_room(model, request, row);
    let left = model.rows.values().find(is_left);
    ensure!(left.is_none(), "{left:?} is left at {:?}", model.now);
    Ok(())
}

/// The next delivery that comes by itself is foretold: early perhaps, late never.
fn comes_again(model: &Model, request: &ClaimRequest, claimed: &Claimed) -> Verdict {
    let coming = model.rows.values().filter(|row| has_room(model, request, row));
    let Some(at) = coming.filter_map(|row| model.gives_at(row)).min() else { return Ok(()) };
    let within = at.since(model.now);
    let told = claimed.next_in.is_some_and(|next_in| next_in <= within);
    ensure!(told, "{:?} is told, though something comes in {within:?}", claimed.next_in);
    Ok(())
}

fn has_room(model: &Model, request: &ClaimRequest, row: &Row) -> bool {
    model.room(request.holder, &request.quota, &row.lane) > 0
}
