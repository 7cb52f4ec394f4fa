//! The choice of the due deliveries that a claim takes: a pure decision.

use std::collections::{HashMap, HashSet};
use std::vec::IntoIter;

use hookwire::model::{TenantId, Timestamp};
use hookwire::retry::RetryState;
use hookwire::store::{ClaimRequest, PlaceTime};

use crate::schedule::places::{Place, Places};

/// The number of first attempts after which a retry that is due comes before the next.
const FIRSTS_IN_A_ROW: usize = 3;

/// A lane with the first of its due deliveries.
#[derive(Debug)]
pub(crate) struct LaneHeads {
    pub(crate) place: Place,
    /// Deliveries that were never attempted.
    pub(crate) firsts: Vec<Head>,
    /// Deliveries that stand behind: retries, and what was recovered.
    pub(crate) retries: Vec<Head>,
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

/// A delivery that a claim may take, and the number of its candidate.
#[derive(Clone, Copy, Debug)]
struct Turn {
    number: usize,
    head: Head,
    is_retry: bool,
}

/// A claim that is being made up.
struct Choice<'a> {
    candidates: &'a [LaneHeads],
    request: &'a ClaimRequest,
    places: &'a mut Places,
    now: Timestamp,
    bytes: usize,
    selection: Selection,
}

impl LaneHeads {
    /// Returns the number of deliveries.
    pub(crate) const fn count(&self) -> usize {
        self.firsts.len() + self.retries.len()
    }
}

/// Takes deliveries as far as the request and the room of the holder allow: of the tenant with the least use first, and
/// within it of the lane with the least use. Of equal use, each gives one in a round, in the order of the candidates.
pub(crate) fn select(
    candidates: &[LaneHeads],
    request: &ClaimRequest,
    places: &mut Places,
    now: Timestamp,
) -> Selection {
    let order = by_use(candidates, places, now);
    let mut choice = Choice { candidates, request, places, now, bytes: 0, selection: Selection::default() };
    for tenants in order {
        if !choice.take_rounds(tenants) {
            choice.selection.is_cut = true;
            break;
        }
    }
    choice.finish()
}

impl Choice<'_> {
    /// Takes one delivery of each tenant in a round, until none has any. Returns `false` if the claim is full before.
    fn take_rounds(&mut self, mut tenants: Vec<IntoIter<Turn>>) -> bool {
        while !tenants.is_empty() {
            let mut is_full = false;
            tenants.retain_mut(|turns| {
                let Some(turn) = turns.find(|it| !is_full && self.has_room(it.number)) else { return false };
                is_full = !self.take(turn);
                true
            });
            if is_full {
                return false;
            }
        }
        true
    }

    fn has_room(&self, number: usize) -> bool {
        self.places.has_room(&self.request.quota, &self.candidates[number].place, self.now)
    }

    /// Takes a delivery, unless the claim is full.
    fn take(&mut self, turn: Turn) -> bool {
        let Turn { number, head, is_retry } = turn;
        let is_first = self.selection.taken.is_empty();
        let is_large = !is_first && self.bytes + head.bytes > self.request.max_bytes;
        if is_large || self.selection.taken.len() >= self.request.limit {
            return false;
        }
        let LaneHeads { place, retries, .. } = &self.candidates[number];
        self.places.take(place, self.now);
        self.places.count_served(place.lane, is_retry, !retries.is_empty());
        self.bytes += head.bytes;
        self.selection.taken.push((number, head));
        true
    }

    fn finish(self) -> Selection {
        let with_room = (0..self.candidates.len()).filter(|number| self.has_room(*number)).collect();
        Selection { with_room, ..self.selection }
    }
}

/// Returns the tenants in groups of equal use, those with the least first, and the deliveries of each in their order.
fn by_use(candidates: &[LaneHeads], places: &Places, now: Timestamp) -> Vec<Vec<IntoIter<Turn>>> {
    let mut tenants: Vec<(PlaceTime, Vec<(PlaceTime, usize)>)> = Vec::new();
    let mut known: HashMap<&TenantId, usize> = HashMap::new();
    for (number, LaneHeads { place, .. }) in candidates.iter().enumerate() {
        let rank = places.rank(place.lane, &place.tenant, place.hook, now);
        let at = *known.entry(&place.tenant).or_insert(tenants.len());
        if at == tenants.len() {
            tenants.push((rank.tenant.0, Vec::new()));
        }
        tenants[at].1.push((rank.lane.0, number));
    }
    tenants.sort_by_key(|(used, _)| *used);
    let turns = |lanes: &[(PlaceTime, usize)]| turns(lanes.to_vec(), candidates, places).into_iter();
    let groups = tenants.chunk_by(|one, other| one.0 == other.0);
    groups.map(|group| group.iter().map(|(_, lanes)| turns(lanes)).collect()).collect()
}

/// Returns the deliveries of a tenant: those of the lanes with the least use first. Of equal use, each lane gives one in a
/// round.
fn turns(mut lanes: Vec<(PlaceTime, usize)>, candidates: &[LaneHeads], places: &Places) -> Vec<Turn> {
    let mut turns = Vec::new();
    lanes.sort_by_key(|(used, _)| *used);
    for group in lanes.chunk_by(|one, other| one.0 == other.0) {
        let of = |number: usize| {
            let LaneHeads { place, firsts, retries, .. } = &candidates[number];
            let heads = interleave(firsts, retries, places.firsts(place.lane)).into_iter();
            heads.map(move |(head, is_retry)| Turn { number, head, is_retry })
        };
        let mut queues: Vec<_> = group.iter().map(|(_, number)| of(*number)).collect();
        while !queues.is_empty() {
            queues.retain_mut(|queue| queue.next().map(|turn| turns.push(turn)).is_some());
        }
    }
    turns
}

/// Puts the first attempts of a lane before its retries, but every fourth place is a retry's. `firsts_before` were served
/// since the last retry. Tells of each whether it is a retry.
fn interleave<T: Copy>(firsts: &[T], retries: &[T], firsts_before: usize) -> Vec<(T, bool)> {
    let (mut firsts, mut retries) = (firsts.iter().copied().peekable(), retries.iter().copied().peekable());
    let (mut order, mut in_a_row) = (Vec::new(), firsts_before);
    loop {
        let is_retry = retries.peek().is_some() && (in_a_row >= FIRSTS_IN_A_ROW || firsts.peek().is_none());
        let next = if is_retry { retries.next() } else { firsts.next() };
        let Some(next) = next else { return order };
        in_a_row = if is_retry { 0 } else { in_a_row + 1 };
        order.push((next, is_retry));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookwire::delivery::LaneClass;
    use hookwire::model::HookId;
    use hookwire::store::{HolderId, Quota};

    use super::*;
    use crate::rows::LaneId;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    /// A lane of the tenant `lane / 10`, with so many first attempts.
    fn candidate(lane: LaneId, heads: usize) -> LaneHeads {
        let head = |n| Head {
            id: lane * 100 + n,
            event: 1,
            fence: 0,
            attempts: 0,
            retry: RetryState::default(),
            bytes: 10,
        };
        let firsts = (0..i64::try_from(heads).unwrap()).map(head).collect();
        let tenant = TenantId::new(format!("t{}", lane / 10)).unwrap();
        let place = Place { lane, tenant, hook: HookId::new(lane), class: LaneClass::Proven };
        LaneHeads { place, firsts, retries: Vec::new(), is_part: false }
    }

    fn request(limit: usize, max_bytes: usize, per_webhook: usize) -> ClaimRequest {
        let quota = Quota::default().with_per_webhook(per_webhook);
        let (holder, lease) = (HolderId::new(1), Duration::from_secs(30));
        ClaimRequest { holder, lease, limit, max_bytes, quota, start_within: Duration::from_secs(1) }
    }

    fn ids(selection: &Selection) -> Vec<i64> {
        selection.taken.iter().map(|(_, head)| head.id).collect()
    }

    fn chosen(request: &ClaimRequest) -> (Vec<i64>, bool) {
        let candidates = [candidate(1, 4), candidate(2, 1), candidate(3, 2)];
        let selection = select(&candidates, request, &mut Places::default(), NOW);
        (ids(&selection), selection.is_cut)
    }

    #[test]
    fn of_equal_use_each_lane_gives_one_in_a_round() {
        assert_eq!(chosen(&request(10, 1000, 16)), (vec![100, 200, 300, 101, 301, 102, 103], false));
    }

    #[test]
    fn of_equal_use_each_tenant_gives_one_in_a_round() {
        let candidates = [candidate(1, 2), candidate(2, 2), candidate(11, 3)];
        let selection = select(&candidates, &request(10, 1000, 16), &mut Places::default(), NOW);
        assert_eq!(ids(&selection), [100, 1100, 200, 1101, 101, 1102, 201]);
    }

    #[test]
    fn the_least_use_comes_first() {
        let candidates = [candidate(1, 2), candidate(11, 2), candidate(12, 2), candidate(13, 1)];
        let mut places = Places::default();
        [1, 1, 11, 12].iter().for_each(|lane| places.take(&candidate(*lane, 0).place, NOW));
        let later = NOW.plus(Duration::from_millis(10));
        places.give_back(&candidate(12, 0).place, later);
        let later = NOW.plus(Duration::from_millis(20));
        let selection = select(&candidates, &request(6, 1000, 16), &mut places, later);
        assert_eq!((ids(&selection), selection.is_cut), (vec![1300, 1200, 1201, 1100, 1101, 100], true));
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
        let candidates = [candidate(1, 4), candidate(2, 1)];
        let selection = select(&candidates, &request(10, 1000, 3), &mut Places::default(), NOW);
        assert_eq!(selection.with_room, HashSet::from([1]));
    }

    #[test]
    fn every_fourth_place_is_a_retrys() {
        let order = |firsts, retries, before| {
            let merged = interleave(&['f'; 9][..firsts], &['r'; 9][..retries], before);
            assert!(merged.iter().all(|(kind, is_retry)| (*kind == 'r') == *is_retry));
            merged.into_iter().map(|(kind, _)| kind).collect::<String>()
        };
        assert_eq!(order(9, 3, 0), "fffrfffrfffr");
        assert_eq!(order(4, 3, 2), "frfffrr", "two came before, and the rest is nobody's alone");
        assert_eq!(order(2, 1, 3), "rff");
        assert_eq!((order(0, 3, 1), order(3, 0, 7), order(0, 0, 3)), ("rrr".into(), "fff".into(), "".into()));
    }

    #[test]
    fn places_of_retries_are_counted_from_claim_to_claim() {
        let LaneHeads { firsts, .. } = candidate(2, 9);
        let mut places = Places::default();
        let mut served = || {
            let candidate = LaneHeads { retries: firsts.clone(), ..candidate(1, 9) };
            select(&[candidate], &request(1, 1000, 16), &mut places, NOW).taken[0].1.id
        };
        assert_eq!([(); 8].map(|()| served()), [100, 100, 100, 200, 100, 100, 100, 200]);
    }
}
