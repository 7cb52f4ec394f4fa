//! Which of the due deliveries a claim takes: a pure decision.

use std::collections::HashSet;

use hookwire::delivery::LaneClass;
use hookwire::model::{HookId, TenantId};
use hookwire::store::{ClaimRequest, HeldCounts};

use crate::rows::LaneId;

/// A lane with the first of what is due in it.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) lane: LaneId,
    pub(crate) tenant: TenantId,
    pub(crate) hook: HookId,
    pub(crate) class: LaneClass,
    pub(crate) heads: Vec<Head>,
    /// Whether there may be more that is due behind these.
    pub(crate) is_part: bool,
}

/// A delivery that is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    pub(crate) id: i64,
    pub(crate) event: i64,
    pub(crate) fence: i64,
    pub(crate) attempts: i32,
    pub(crate) bytes: usize,
}

/// What is taken, in the order of the turns: the number of the offer, and the head.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) taken: Vec<(usize, Head)>,
    /// Whether limit or bytes left out something for which there was room.
    pub(crate) is_cut: bool,
    /// The numbers of the offers of which more might be taken: there is room still.
    pub(crate) with_room: HashSet<usize>,
}

/// Takes from the lanes by turns, one of each in a round, as far as request and room reach.
pub(crate) fn choose(offers: &[Offer], request: &ClaimRequest, held: &mut HeldCounts) -> Choice {
    let mut choice = take(offers, request, held);
    let has_room = |offer: &Offer| held.room(&request.quota, &offer.tenant, offer.hook, offer.class) > 0;
    let with_room = offers.iter().enumerate().filter(|(_, offer)| has_room(offer));
    choice.with_room = with_room.map(|(number, _)| number).collect();
    choice
}

fn take(offers: &[Offer], request: &ClaimRequest, held: &mut HeldCounts) -> Choice {
    let mut choice = Choice::default();
    let mut bytes = 0;
    for round in 0.. {
        let before = choice.taken.len();
        for (number, offer) in offers.iter().enumerate() {
            let Some(head) = offer.heads.get(round) else { continue };
            if held.room(&request.quota, &offer.tenant, offer.hook, offer.class) == 0 {
                continue;
            }
            let is_large = !choice.taken.is_empty() && bytes + head.bytes > request.max_bytes;
            if is_large || choice.taken.len() >= request.limit {
                choice.is_cut = true;
                return choice;
            }
            held.take(&offer.tenant, offer.hook, offer.class);
            bytes += head.bytes;
            choice.taken.push((number, *head));
        }
        if choice.taken.len() == before {
            break;
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookwire::store::{HolderId, Quota};

    use super::*;

    fn offer(lane: LaneId, heads: usize) -> Offer {
        let head = |n| Head { id: lane * 100 + n, event: 1, fence: 0, attempts: 0, bytes: 10 };
        let heads = (0..i64::try_from(heads).unwrap()).map(head).collect();
        let (tenant, hook) = (TenantId::new("acme").unwrap(), HookId::new(lane));
        Offer { lane, tenant, hook, class: LaneClass::Proven, heads, is_part: false }
    }

    fn request(limit: usize, max_bytes: usize, per_webhook: usize) -> ClaimRequest {
        let quota = Quota::default().with_per_webhook(per_webhook);
        let (holder, lease) = (HolderId::new(1), Duration::from_secs(30));
        ClaimRequest { holder, lease, limit, max_bytes, quota }
    }

    fn chosen(request: &ClaimRequest) -> (Vec<i64>, bool) {
        let offers = [offer(1, 4), offer(2, 1), offer(3, 2)];
        let choice = choose(&offers, request, &mut HeldCounts::default());
        (choice.taken.iter().map(|(_, head)| head.id).collect(), choice.is_cut)
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
        let choice = choose(&[offer(1, 4), offer(2, 1)], &request(10, 1000, 3), &mut HeldCounts::default());
        assert_eq!(choice.with_room, HashSet::from([1]));
    }
}
