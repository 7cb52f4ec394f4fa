//! Dialling the addresses of a name: two at a time, the first connection wins (RFC 8305, "Happy Eyeballs").

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::select;
use tokio::time::{Instant, sleep};

/// The time for dialling all addresses of a name.
pub(super) const DIAL: Duration = Duration::from_secs(10);

/// The maximum number of addresses of a name that are dialled.
pub(super) const MAX_DIALLED: usize = 16;

/// The maximum number of sockets that one call opens at the same time.
const AT_ONCE: usize = 2;

/// The time after which the next address is dialled beside one that has not answered. RFC 8305 recommends it.
const STAGGER: Duration = Duration::from_millis(250);

/// Dials the addresses in this order and returns the first connection that opens. The other one is closed.
///
/// The next address is dialled when one fails, or beside one that has not answered for 250 ms. `open` gets the
/// time that it may take, which is its share of what is left of [`DIAL`], so that dead addresses leave time for the
/// next.
///
/// # Errors
///
/// Returns the error of every address, in the order in which they came, if no connection opens.
pub(super) async fn dial<A, S, E, F>(addresses: Vec<A>, open: impl Fn(A, Duration) -> F) -> Result<S, Vec<E>>
where
    F: Future<Output = Result<S, E>>,
{
    let end = Instant::now() + DIAL;
    let mut waiting = VecDeque::from(addresses);
    let mut dialled = Vec::with_capacity(AT_ONCE);
    let mut failures = Vec::new();
    loop {
        let rounds = waiting.len().div_ceil(AT_ONCE) as u32;
        if dialled.len() < AT_ONCE
            && let Some(address) = waiting.pop_front()
        {
            let share = end.saturating_duration_since(Instant::now()) / rounds;
            dialled.push(Box::pin(open(address, share)));
        }
        if dialled.is_empty() {
            return Err(failures);
        }
        let may_start = dialled.len() < AT_ONCE && !waiting.is_empty();
        select! {
            ended = first_of(&mut dialled) => match ended {
                Ok(connection) => return Ok(connection),
                Err(error) => failures.push(error),
            },
            () = sleep(STAGGER), if may_start => {}
        }
    }
}

/// Waits for the first of the futures that ends, and takes it out.
async fn first_of<F: Future>(futures: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|cx| {
        for index in 0..futures.len() {
            if let Poll::Ready(output) = futures[index].as_mut().poll(cx) {
                drop(futures.remove(index));
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    })
    .await
}

/// Orders addresses so that families alternate, beginning with that of the first: if one family does not work,
/// the second address is of the other.
pub(super) fn interleaved<A>(addresses: Vec<A>, is_ipv6: impl Fn(&A) -> bool) -> Vec<A> {
    let first = addresses.first().is_some_and(&is_ipv6);
    let (same, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|it| is_ipv6(it) == first);
    let (mut same, mut other) = (VecDeque::from(same), VecDeque::from(other));
    let mut ordered = Vec::with_capacity(same.len() + other.len());
    while !same.is_empty() || !other.is_empty() {
        ordered.extend(same.pop_front());
        ordered.extend(other.pop_front());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use proptest::prelude::*;
    use tokio::time::timeout;

    use super::*;

    /// What an address does when it is dialled.
    #[derive(Clone, Copy, Debug)]
    enum Does {
        /// It is open after this time.
        Open(u64),
        /// It refuses after this time.
        Refuse(u64),
        /// It never answers.
        Hang,
    }

    use Does::{Hang, Open, Refuse};

    /// How the dialling of some addresses went; all times are in milliseconds.
    #[derive(Debug)]
    struct Dialled {
        /// The address that won, or how many failed.
        result: Result<usize, usize>,
        took: u64,
        /// When each address was dialled.
        starts: Vec<u64>,
        /// The most that were dialled at the same time.
        most: usize,
    }

    /// Dials these addresses on the paused clock.
    #[expect(clippy::future_not_send, reason = "it stays on the thread of its test")]
    async fn dialling(addresses: &[Does]) -> Dialled {
        let begun = Instant::now();
        let (starts, now, most) = (RefCell::default(), Cell::new(0), Cell::new(0));
        let open = |(index, does): (usize, Does), share: Duration| {
            let (starts, now, most): (&RefCell<Vec<u64>>, _, _) = (&starts, &now, &most);
            async move {
                starts.borrow_mut().push(begun.elapsed().as_millis() as u64);
                let _open = Counted::one_more(now);
                most.set(now.get().max(most.get()));
                timeout(share, act(does)).await.unwrap_or(Err(())).map(|()| index)
            }
        };
        let result = dial(addresses.iter().copied().enumerate().collect(), open).await;
        assert_eq!(now.get(), 0, "the loser is closed when the winner is given");
        let result = result.map_err(|failures| failures.len());
        let took = begun.elapsed().as_millis() as u64;
        Dialled { result, took, starts: starts.into_inner(), most: most.get() }
    }

    async fn act(does: Does) -> Result<(), ()> {
        let (after, result) = match does {
            Open(after) => (after, Ok(())),
            Refuse(after) => (after, Err(())),
            Hang => (u64::MAX / 1_000_000, Ok(())),
        };
        sleep(Duration::from_millis(after)).await;
        result
    }

    struct Counted<'a>(&'a Cell<usize>);

    impl<'a> Counted<'a> {
        fn one_more(count: &'a Cell<usize>) -> Self {
            count.set(count.get() + 1);
            Self(count)
        }
    }

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_dialled_at_once_when_one_refuses() {
        let dialled = dialling(&[Refuse(0), Refuse(0), Refuse(0), Refuse(0), Open(5)]).await;
        assert_eq!(dialled.result, Ok(4));
        assert!(dialled.took < 20, "{dialled:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_dialled_250_ms_after_one_that_does_not_answer() {
        let dialled = dialling(&[Hang, Open(5)]).await;
        assert_eq!((dialled.result, &dialled.starts[..]), (Ok(1), &[0, 250][..]));
        let dialled = dialling(&[Open(300), Open(100)]).await;
        assert_eq!((dialled.result, dialled.took), (Ok(0), 300), "the first that opens wins");
    }

    #[tokio::test(start_paused = true)]
    async fn beside_one_that_hangs_the_others_are_dialled_in_turn() {
        let dialled = dialling(&[Hang, Refuse(100), Refuse(100), Open(5)]).await;
        assert_eq!((dialled.result, dialled.most), (Ok(3), 2));
        assert_eq!(dialled.starts, [0, 250, 350, 450]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_of_sixteen_addresses_is_reached_though_the_others_hang() {
        let mut addresses = [Hang; MAX_DIALLED];
        addresses[MAX_DIALLED - 1] = Open(50);
        let dialled = dialling(&addresses).await;
        assert_eq!(dialled.result, Ok(MAX_DIALLED - 1));
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_has_the_whole_time() {
        let dialled = dialling(&[Open(9_900)]).await;
        assert_eq!(dialled.result, Ok(0));
        assert_eq!(dialling(&[]).await.result, Err(0));
    }

    fn does() -> impl Strategy<Value = Does> {
        let after = || prop_oneof![Just(0), 0..12_000_u64];
        prop_oneof![after().prop_map(Open), after().prop_map(Refuse), Just(Hang)]
    }

    proptest! {
        #[test]
        fn whatever_the_addresses_do_dialling_ends_in_time_with_two_sockets_at_most(
            addresses in prop::collection::vec(does(), 1..MAX_DIALLED),
        ) {
            let mut paused = tokio::runtime::Builder::new_current_thread();
            let runtime = paused.enable_time().start_paused(true).build().expect("a runtime");
            let dialled = runtime.block_on(dialling(&addresses));
            prop_assert!(dialled.took <= DIAL.as_millis() as u64 + 20, "{dialled:?}");
            prop_assert!(dialled.most <= AT_ONCE, "{dialled:?}");
            match dialled.result {
                Ok(index) => prop_assert!(matches!(addresses[index], Open(_))),
                Err(failures) => prop_assert_eq!((failures, dialled.starts.len()), (addresses.len(), addresses.len())),
            }
            // One that opens at once wins if it is dialled at all, and it always is.
            let quick = addresses.iter().any(|does| matches!(does, Open(0)));
            prop_assert!(!quick || dialled.result.is_ok(), "{dialled:?}");
        }
    }

    #[test]
    fn families_alternate_and_each_keeps_its_order() {
        let order = |text: &str| {
            let addresses: Vec<_> = text.split(' ').map(str::to_owned).collect();
            interleaved(addresses, |it| it.starts_with('6')).join(" ")
        };
        assert_eq!(order("6a 6b 6c 4a 4b"), "6a 4a 6b 4b 6c");
        assert_eq!(order("4a 4b 6a"), "4a 6a 4b");
        assert_eq!(order("4a 4b 4c"), "4a 4b 4c");
        assert!(interleaved(Vec::<u8>::new(), |_| true).is_empty());
    }
}
