//! Detects failures to connect that are this machine's own, and limits how many attempts run at once meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{FailureKind, Outcome, TenantId};

/// The least numbers of hosts and of tenants that must fail, while none answers, for our own network to count as down.
const HOSTS: usize = 10;
const TENANTS: usize = 5;

/// The time within which they must have failed.
const WINDOW: Duration = Duration::from_secs(60);

/// The fewest attempts that run at once: enough that one receiver that hangs does not hide that others answer.
const PROBES: usize = 4;

/// The time for which no attempt is started after a failure of our own.
const PAUSE: Duration = Duration::from_secs(1);

/// The time without a failure of our own after which the next answer ends the trouble.
const CALM: Duration = Duration::from_secs(60);

/// What an attempt tells of our own side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sign {
    /// Our own side failed, as the transport said.
    Local,
    /// Nothing.
    None,
    /// The receiver was reached.
    Reached,
    /// The receiver was not reached.
    Unreached,
}

/// An attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended<'a> {
    pub(super) sign: Sign,
    pub(super) host: &'a str,
    pub(super) tenant: &'a TenantId,
    pub(super) started: Instant,
    /// The number of attempts that ran, this one included.
    pub(super) running: usize,
}

/// A change that the operator is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum News {
    Began,
    Ended,
}

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Judged {
    /// Whether its failure is ours, and does not count for its receiver.
    pub(super) is_ours: bool,
    pub(super) news: Option<News>,
}

/// The judge of failures to connect. It narrows the dispatcher while our own side fails.
///
/// A few probes run at once then. When no receiver can be reached, one answer ends it. When descriptors run out, the
/// width grows by one with each answer, as TCP starts. When they run out again, it is halved, once for all attempts that
/// ran at the same time, and grows by one with as many answers as it is wide.
#[derive(Debug)]
pub(super) struct OwnSide {
    width: usize,
    /// The receivers that could not be reached since somebody answered, each with its tenant and the time.
    unreached: Vec<(String, TenantId, Instant)>,
    trouble: Option<Trouble>,
}

#[derive(Clone, Copy, Debug)]
struct Trouble {
    is_outage: bool,
    width: usize,
    /// The width from which it grows slowly.
    slow_from: usize,
    /// The answers since it grew last.
    answers: usize,
    narrowed_at: Instant,
    failed_at: Instant,
}

impl Trouble {
    const fn new(is_outage: bool, width: usize, slow_from: usize, now: Instant) -> Self {
        Self { is_outage, width, slow_from, answers: 0, narrowed_at: now, failed_at: now }
    }

    fn halve(&mut self, running: usize, least: usize, now: Instant) {
        let width = (self.width.min(running) / 2).max(least);
        *self = Self::new(self.is_outage, width, width, now);
    }

    const fn grow(&mut self) {
        self.answers += 1;
        if self.width < self.slow_from || self.answers >= self.width {
            self.width += 1;
            self.answers = 0;
        }
    }
}

impl Sign {
    pub(super) const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Answered { .. } => Self::Reached,
            Outcome::Failed { kind, .. } => match kind {
                FailureKind::Connect | FailureKind::Dns => Self::Unreached,
                FailureKind::Local => Self::Local,
                FailureKind::Prepare | FailureKind::Refused | FailureKind::Timeout => Self::None,
                FailureKind::Protocol
                | FailureKind::Tls
                | FailureKind::TlsClientCertificate
                | FailureKind::TlsExpired
                | FailureKind::TlsIncompleteChain
                | FailureKind::TlsNotYetValid
                | FailureKind::TlsTooOld
                | FailureKind::TlsUntrusted
                | FailureKind::TlsWrongHost => Self::Reached,
            },
        }
    }
}

impl OwnSide {
    /// Creates the judge of a dispatcher that runs at most `width` attempts at once.
    pub(super) const fn new(width: usize) -> Self {
        Self { width, unreached: Vec::new(), trouble: None }
    }

    /// Returns the most attempts that run at once, if there is trouble.
    pub(super) fn narrowed_to(&self) -> Option<usize> {
        self.trouble.map(|trouble| trouble.width)
    }

    /// Returns whether an attempt may start beside those that run, if it was claimed at `claimed_at`. While there is
    /// trouble, what was claimed before is too much.
    pub(super) fn may_start(&self, running: usize, claimed_at: Instant) -> bool {
        self.trouble.is_none_or(|trouble| running < trouble.width && claimed_at > trouble.narrowed_at)
    }

    /// Returns the time before which no attempt is started, if there is trouble.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.trouble.map(|trouble| trouble.failed_at + PAUSE)
    }

    /// Judges an attempt that has ended at `now`.
    pub(super) fn judge(&mut self, ended: Ended<'_>, now: Instant) -> Judged {
        match ended.sign {
            Sign::Local => Judged { is_ours: true, news: self.failed(ended, now) },
            Sign::None => Judged::default(),
            Sign::Reached => Judged { is_ours: false, news: self.reached(now) },
            Sign::Unreached => self.unreached(ended, now),
        }
    }

    /// Narrows the dispatcher, unless the attempt ran already when it was narrowed last.
    fn failed(&mut self, ended: Ended<'_>, now: Instant) -> Option<News> {
        let probes = PROBES.min(self.width);
        let Some(trouble) = &mut self.trouble else {
            self.trouble = Some(Trouble::new(false, probes, self.width, now));
            return Some(News::Began);
        };
        trouble.failed_at = now;
        if ended.started >= trouble.narrowed_at {
            trouble.halve(ended.running, probes, now);
        }
        None
    }

    fn reached(&mut self, now: Instant) -> Option<News> {
        self.unreached.clear();
        let trouble = self.trouble.as_mut()?;
        trouble.grow();
        let is_calm = now.saturating_duration_since(trouble.failed_at) >= CALM;
        if !trouble.is_outage && !is_calm && trouble.width < self.width {
            return None;
        }
        self.trouble = None;
        Some(News::Ended)
    }

    fn unreached(&mut self, ended: Ended<'_>, now: Instant) -> Judged {
        if let Some(trouble) = self.trouble.as_mut().filter(|it| it.is_outage) {
            trouble.failed_at = now;
            return Judged { is_ours: true, news: None };
        }
        self.remember(ended, now);
        if !self.is_outage() {
            return Judged::default();
        }
        self.unreached.clear();
        let trouble = Trouble::new(true, PROBES.min(self.width), self.width, now);
        let news = self.trouble.replace(trouble).is_none().then_some(News::Began);
        Judged { is_ours: true, news }
    }

    /// Records that a receiver was not reached. It keeps at most [`TENANTS`] records of a host and [`HOSTS`] of a
    /// tenant, because more do not help to find an outage.
    fn remember(&mut self, ended: Ended<'_>, now: Instant) {
        let is_same =
            |(host, tenant, _): &(String, TenantId, Instant)| host == ended.host && tenant == ended.tenant;
        let is_recent = |at: Instant| now.saturating_duration_since(at) <= WINDOW;
        self.unreached.retain(|item| !is_same(item) && is_recent(item.2));
        let of_host = self.unreached.iter().filter(|(host, ..)| host == ended.host).count();
        let of_tenant = self.unreached.iter().filter(|(_, tenant, _)| tenant == ended.tenant).count();
        if of_host < TENANTS && of_tenant < HOSTS {
            self.unreached.push((ended.host.to_owned(), ended.tenant.clone(), now));
        }
    }

    fn is_outage(&self) -> bool {
        let hosts: BTreeSet<_> = self.unreached.iter().map(|(host, ..)| host).collect();
        let tenants: BTreeSet<_> = self.unreached.iter().map(|(_, tenant, _)| tenant).collect();
        hosts.len() >= HOSTS && tenants.len() >= TENANTS
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const FULL: usize = 512;

    /// A dispatcher of which every attempt ends at once.
    struct Scene {
        side: OwnSide,
        now: Instant,
        running: usize,
    }

    impl Scene {
        fn new() -> Self {
            Self { side: OwnSide::new(FULL), now: Instant::now(), running: FULL }
        }

        fn wait(&mut self, time: Duration) {
            self.now += time;
        }

        /// Ends an attempt that was started just now.
        fn end(&mut self, sign: Sign, host: usize, tenant: usize) -> Judged {
            self.end_of(sign, host, tenant, self.now)
        }

        fn end_of(&mut self, sign: Sign, host: usize, tenant: usize, started: Instant) -> Judged {
            let tenant = TenantId::new(format!("tenant-{tenant}")).expect("valid");
            let (host, running) = (format!("host-{host}.example"), self.running);
            let ended = Ended { sign, host: &host, tenant: &tenant, started, running };
            self.side.judge(ended, self.now)
        }

        /// Lets each of so many hosts fail to connect once, shared by so many tenants.
        fn unreached(&mut self, hosts: usize, tenants: usize) -> Judged {
            (0..hosts).map(|host| self.end(Sign::Unreached, host, host % tenants)).last().expect("some")
        }
    }

    const THEIRS: Judged = Judged { is_ours: false, news: None };
    const OURS: Judged = Judged { is_ours: true, news: None };
    const BEGAN: Judged = Judged { is_ours: true, news: Some(News::Began) };
    const ENDED: Judged = Judged { is_ours: false, news: Some(News::Ended) };

    #[test]
    fn ten_hosts_of_five_tenants_that_fail_while_none_answers_are_an_outage() {
        for (hosts, tenants, expected) in [(10, 5, BEGAN), (9, 5, THEIRS), (100, 4, THEIRS), (10, 10, BEGAN)]
        {
            let mut scene = Scene::new();
            assert_eq!(scene.unreached(hosts, tenants), expected, "{hosts} hosts of {tenants} tenants");
            assert_eq!(scene.side.narrowed_to().is_some(), expected == BEGAN);
        }
    }

    #[test]
    fn failures_count_for_receivers_while_any_answers_or_when_they_are_far_apart() {
        let mut scene = Scene::new();
        for host in 0..1_000 {
            assert_eq!(scene.unreached(9, 9), THEIRS);
            assert_eq!(scene.end(Sign::Reached, host, 1), THEIRS);
        }
        for host in 0..1_000 {
            scene.wait(WINDOW / 9 + Duration::from_millis(1));
            assert_eq!(scene.end(Sign::Unreached, host, host), THEIRS);
        }
        for _ in 0..1_000 {
            assert_eq!(scene.end(Sign::None, 1, 1), THEIRS);
        }
    }

    #[test]
    fn what_was_claimed_before_the_trouble_is_not_started_in_it() {
        let mut scene = Scene::new();
        let before = scene.now;
        assert!(scene.side.may_start(FULL, before), "the store keeps the quota");
        scene.end(Sign::Local, 1, 1);
        assert!(!scene.side.may_start(0, before));
        scene.wait(PAUSE);
        assert!(!scene.side.may_start(0, before));
        assert!(scene.side.may_start(PROBES - 1, scene.now) && !scene.side.may_start(PROBES, scene.now));
    }

    #[test]
    fn an_outage_leaves_a_few_probes_each_second_until_one_is_answered() {
        let mut scene = Scene::new();
        assert_eq!(scene.unreached(10, 5), BEGAN);
        for host in 0..100 {
            scene.wait(PAUSE);
            assert_eq!(scene.end(Sign::Unreached, host, host), OURS, "told once");
            assert_eq!(scene.end(Sign::None, host, host), THEIRS);
            assert_eq!(scene.side.narrowed_to(), Some(PROBES));
            assert_eq!(scene.side.paused_until(), Some(scene.now + PAUSE));
        }
        assert_eq!(scene.end(Sign::Reached, 1, 1), ENDED);
        assert_eq!((scene.side.narrowed_to(), scene.side.paused_until()), (None, None));
        assert_eq!(scene.end(Sign::Unreached, 1, 1), THEIRS);
    }

    #[test]
    fn descriptors_that_run_out_leave_a_few_attempts_and_then_as_many_as_go_well() {
        let mut scene = Scene::new();
        assert_eq!(scene.end(Sign::Local, 1, 1), BEGAN);
        assert_eq!(scene.side.narrowed_to(), Some(PROBES));
        for width in PROBES + 1..=64 {
            assert_eq!(scene.end(Sign::Reached, 1, 1), THEIRS);
            assert_eq!(scene.side.narrowed_to(), Some(width));
        }
        let started = scene.now;
        for _ in 0..64 {
            scene.wait(Duration::from_millis(1));
            assert_eq!(scene.end_of(Sign::Local, 1, 1, started), OURS);
        }
        assert_eq!(scene.side.narrowed_to(), Some(32), "once for what ran together");
        let answered: Vec<_> = (0..64).map(|host| scene.end(Sign::Reached, host, 1)).collect();
        assert!(answered.iter().all(|it| *it == THEIRS));
        assert_eq!(scene.side.narrowed_to(), Some(33), "and grows slowly from then on");
        for _ in 0..10 {
            scene.wait(PAUSE);
            assert_eq!(scene.end(Sign::Local, 1, 1), OURS);
        }
        assert_eq!(scene.side.narrowed_to(), Some(PROBES));
        scene.wait(CALM);
        assert_eq!(scene.end(Sign::Reached, 1, 1), ENDED);
        assert_eq!(scene.side.narrowed_to(), None);
    }

    #[test]
    fn a_dispatcher_that_is_narrower_than_its_probes_stays_so() {
        let mut scene = Scene::new();
        scene.side = OwnSide::new(2);
        scene.unreached(10, 5);
        assert_eq!(scene.side.narrowed_to(), Some(2));
    }

    fn sign() -> impl Strategy<Value = Sign> {
        prop_oneof![
            1 => Just(Sign::Local),
            2 => Just(Sign::None),
            2 => Just(Sign::Reached),
            20 => Just(Sign::Unreached),
        ]
    }

    proptest! {
        /// For any sequence of ends: the records are bounded, trouble begins and ends in turn with a notice each time,
        /// the width stays in its bounds, and failures of too few hosts or tenants are never ours.
        #[test]
        fn trouble_is_told_in_turns_and_bounded(
            steps in vec((sign(), 0usize..40, 0usize..12, 0u64..20_000), 1..300),
            few in any::<bool>(),
        ) {
            let mut scene = Scene::new();
            let mut in_trouble = false;
            for (sign, host, tenant, millis) in steps {
                scene.wait(Duration::from_millis(millis));
                let sign = if few && sign == Sign::Local { Sign::None } else { sign };
                let Judged { is_ours, news } = scene.end(sign, host, if few { tenant % 4 } else { tenant });
                prop_assert!(!few || !is_ours && news.is_none());
                prop_assert!(!is_ours || matches!(sign, Sign::Local | Sign::Unreached));
                match news {
                    Some(News::Began) => prop_assert!(!std::mem::replace(&mut in_trouble, true)),
                    Some(News::Ended) => prop_assert!(std::mem::replace(&mut in_trouble, false)),
                    None => {}
                }
                prop_assert_eq!(in_trouble, scene.side.narrowed_to().is_some());
                prop_assert!(scene.side.narrowed_to().is_none_or(|it| (PROBES..=FULL).contains(&it)));
                prop_assert!(scene.side.unreached.len() <= HOSTS * TENANTS);
            }
        }
    }
}
