use super::*;
use crate::stats::{Stats, WorkerStats};

const MIB: usize = 1024 * 1024;

fn worker(shared: &Arc<SharedMemory>, index: usize) -> Rc<Memory> {
    Memory::new(shared.clone(), index, WorkerStats::new(Stats::new(), index).server())
}

fn set(account: &mut Account, held: usize) -> bool {
    account.set(held, &Context::from_waker(Waker::noop()))
}

#[test]
fn the_largest_streams_are_given_up_at_the_bound_and_small_ones_go_on() {
    let memory = worker(&SharedMemory::new(100 * MIB, 1), 0);
    let mut accounts: Vec<_> = (0..10).map(|_| memory.connection(16 * MIB).account()).collect();
    let mut small = memory.connection(16 * MIB).account();
    assert!(set(&mut small, 10_000));
    for account in &mut accounts[..9] {
        assert!(set(account, 10 * MIB));
    }
    assert!(accounts[0].is_pressed());
    assert!(set(&mut accounts[9], 9 * MIB));
    // The bound is passed; an eighth of it becomes free.
    set(&mut accounts[9], 11 * MIB);
    let held = accounts.iter().map(|account| account.held).collect::<Vec<_>>();
    let gone =
        accounts.iter_mut().zip(held).filter_map(|(account, held)| (!set(account, held)).then_some(held));
    let gone: Vec<_> = gone.collect();
    assert!(gone.len() == 2 && gone.iter().sum::<usize>() > 12 * MIB, "{gone:?}");
    assert!(set(&mut small, 10_001));
    drop(accounts);
    assert_eq!((memory.used.get(), memory.leaving.get()), (10_001, 0));
    assert!(!small.is_pressed());
    drop(small);
    assert!(memory.holders.borrow().is_empty());
}

#[test]
fn a_connection_has_a_bound_of_its_own() {
    let memory = worker(&SharedMemory::new(1000 * MIB, 1), 0);
    let (greedy, other) = (memory.connection(MIB), memory.connection(MIB));
    assert_eq!(greedy.limit, LEAST_OF_CONNECTION);
    let mut streams: Vec<_> = (0..20).map(|_| greedy.account()).collect();
    let mut elsewhere = other.account();
    assert!(set(&mut elsewhere, 10 * MIB));
    let kept = streams.iter_mut().filter_map(|stream| set(stream, MIB).then_some(())).count();
    assert!(kept >= 15, "{kept}");
    let gone = streams.iter_mut().filter_map(|stream| (!set(stream, MIB)).then_some(())).count();
    assert!((4..8).contains(&gone), "{gone}");
    assert!(set(&mut elsewhere, 10 * MIB));
}

/// Before streams are given up they take in less; those that are about to end still count.
#[test]
fn streams_of_a_connection_near_its_bound_are_pressed() {
    let memory = worker(&SharedMemory::new(1000 * MIB, 1), 0);
    let (greedy, other) = (memory.connection(MIB), memory.connection(MIB));
    let (mut first, mut second, elsewhere) = (greedy.account(), greedy.account(), other.account());
    set(&mut first, 11 * MIB);
    assert!(!first.is_pressed());
    set(&mut second, 2 * MIB);
    assert!(first.is_pressed() && second.is_pressed() && !elsewhere.is_pressed());
    set(&mut second, 6 * MIB);
    assert!(!set(&mut first, 11 * MIB), "the largest is given up");
    assert!(second.is_pressed());
    drop(first);
    assert!(!second.is_pressed());
}

/// A stream alone is bounded by its own limit, which may be larger than what several may have together.
#[test]
fn one_stream_has_no_bound_of_its_connection() {
    let memory = worker(&SharedMemory::new(1000 * MIB, 1), 0);
    let connection = memory.connection(100 * MIB);
    let mut stream = connection.account();
    assert!(set(&mut stream, 100 * MIB));
}

#[tokio::test]
async fn the_worker_that_holds_more_than_its_share_gives_up() {
    let shared = SharedMemory::new(100 * MIB, 2);
    let (first, second) = (worker(&shared, 0), worker(&shared, 1));
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            tokio::task::spawn_local(first.clone().watch());
            tokio::task::yield_now().await;
            let mut greedy: Vec<_> = (0..9).map(|_| first.connection(0).account()).collect();
            assert!(greedy.iter_mut().all(|stream| set(stream, 10 * MIB)));
            let mut modest = second.connection(0).account();
            assert!(set(&mut modest, 11 * MIB));
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            assert!(set(&mut modest, 12 * MIB));
            let gone = greedy.iter_mut().filter_map(|stream| (!set(stream, 10 * MIB)).then_some(())).count();
            assert_eq!(gone, 2);
        })
        .await;
}

#[test]
fn an_overload_action_gives_up_a_share() {
    let memory = worker(&SharedMemory::new(1000 * MIB, 1), 0);
    let mut accounts: Vec<_> = (0..10).map(|_| memory.connection(16 * MIB).account()).collect();
    assert!(accounts.iter_mut().all(|account| set(account, 4 * MIB)));
    memory.give_up_share(0.5);
    let kept = |accounts: &mut Vec<Account>| {
        accounts.iter_mut().filter_map(|account| set(account, 4 * MIB).then_some(())).count()
    };
    assert_eq!(kept(&mut accounts), 5);
    memory.give_up_share(0.0);
    assert_eq!(kept(&mut accounts), 5);
    memory.give_up_share(1.0);
    assert_eq!(kept(&mut accounts), 0);
}
