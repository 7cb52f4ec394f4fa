//! The choice of the due deliveries that a claim takes: a pure decision.

use std::collections::HashSet;

use hookwire::delivery::LaneClass;
use hookwire::model::{HookId, TenantId};
use hookwire::retry::RetryState;
use hookwire::store::{ClaimRequest, HeldCounts};

use crate::rows::LaneId;

/// A lane with the first of its due deliveries.
#[derive(Debug)]
pub(crate) struct LaneHeads {
    pub(crate) lane: LaneId,
    pub(crate) tenant: TenantId,
    pub(crate) hook: HookId,
    pub(crate) class: LaneClass,
    pub(crate) heads: Vec<Head>,
    /// Whether more may be due after these.
    pub(crate) is_part: bool,
}

/// A due delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    pub(crate) id: i64,
    pub(crate) event: i64,
    pub(crate) fence: i64,
    pub(crate) attempts: i32,
    pub(crate) retry: RetryState,
    pub(crate) bytes: usize,
}

/// The deliveries that a claim takes, in the order of their turns: the number of the candidate, and the head.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) taken: Vec<(usize, Head)>,
    /// Whether the limit or the bytes left out a delivery for which the holder had room.
    pub(crate) is_cut: bool,
    /// The numbers of the candidates for which the holder still has room.
    pub(crate) with_room: HashSet<usize>,
}

/// Takes one delivery of each lane in a round, as far as the request and the room of the holder allow.
pub(crate) fn select(candidates: &[LaneHeads], request: &ClaimRequest, held: &mut HeldCounts) -> Selection {
    let mut selection = take(candidates, request, held);
    let has_room = |candidate: &LaneHeads| {
        held.room(&request.quota, &candidate.tenant, candidate.hook, candidate.class) > 0
    };
    let with_room = candidates.iter().enumerate().filter(|(_, candidate)| has_room(candidate));
    selection.with_room = with_room.map(|(number, _)| number).collect();
    selection
}

fn take(candidates: &[LaneHeads], request: &ClaimRequest, held: &mut HeldCounts) -> Selection {
    let mut selection = Selection::default();
    let mut bytes = 0;
    for round in 0.. {
        let before = selection.taken.len();
        for (number, candidate) in candidates.iter().enumerate() {
            let Some(head) = candidate.heads.get(round) else { continue };
            if held.room(&request.quota, &candidate.tenant, candidate.hook, candidate.class) == 0 {
                continue;
            }
            let is_large = !selection.taken.is_empty() && bytes + head.bytes > request.max_bytes;
            if is_large || selection.taken.len() >= request.limit {
                selection.is_cut = true;
                return selection;
            }
            held.take(&candidate.tenant, candidate.hook, candidate.class);
            bytes += head.bytes;
            selection.taken.push((number, *head));
        }
        if selection.taken.len() == before {
            break;
        }
    }
    selection
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookwire::store::{HolderId, Quota};

    use super::*;

    fn candidate(lane: LaneId, heads: usize) -> LaneHeads {
        let head = |n| Head {
            id: lane * 100 + n,
            event: 1,
            fence: 0,
            attempts: 0,
            retry: RetryState::default(),
            bytes: 10,
        };
        let heads = (0..i64::try_from(heads).unwrap()).map(head).collect();
        let (tenant, hook) = (TenantId::new("acme").unwrap(), HookId::new(lane));
        LaneHeads { lane, tenant, hook, class: LaneClass::Proven, heads, is_part: false }
    }

    fn request(limit: usize, max_bytes: usize, per_webhook: usize) -> ClaimRequest {
        let quota = Quota::default().with_per_webhook(per_webhook);
        let (holder, lease) = (HolderId::new(1), Duration::from_secs(30));
        ClaimRequest { holder, lease, limit, max_bytes, quota }
    }

    fn chosen(request: &ClaimRequest) -> (Vec<i64>, bool) {
        let candidates = [candidate(1, 4), candidate(2, 1), candidate(3, 2)];
        let selection = select(&candidates, request, &mut HeldCounts::default());
        (selection.taken.iter().map(|(_, head)| head.id).collect(), selection.is_cut)
    }

    #[test]
    fn each_lane_gives_one_in_a_round() {
        assert_eq!(chosen(&request(10, 1000, 16)), (vec![100, 200, 300, 101, 301, 102, 103], false));
    }

    #[test]
    fn limit_and_bytes_cut() {
        assert_eq!(chosen(&request(2, 1000, 16)), (vec![100, 200], true));
        assert_eq!(chosen(&request(10, 25, 16)), (vec![100, 200], true));
        assert_eq!(chosen(&request(10, 1, 16)), (vec![100], true), "a larger one comes alone");
        assert_eq!(chosen(&request(0, 1000, 16)), (vec![], true));
    }

    #[test]
    fn what_has_no_room_is_passed_over_and_cuts_nothing() {
        assert_eq!(chosen(&request(10, 1000, 1)), (vec![100, 200, 300], false));
    }

    #[test]
    fn it_tells_of_which_more_might_be_taken() {
        let selection =
            select(&[candidate(1, 4), candidate(2, 1)], &request(10, 1000, 3), &mut HeldCounts::default());
        assert_eq!(selection.with_room, HashSet::from([1]));
    }
}
