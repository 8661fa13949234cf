//! Requests that wait for a connection, in the order they came.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::upstream::exchange::failure::UpstreamFailure;

/// Requests that wait for a connection of one host.
#[derive(Debug, Default)]
pub(in crate::upstream) struct WaitQueue {
    waiting: RefCell<VecDeque<Rc<Waiter>>>,
    /// The number of the next one.
    next: Cell<u64>,
}

#[derive(Debug, Default)]
struct Waiter {
    number: u64,
    waker: RefCell<Option<Waker>>,
    notified: Cell<bool>,
    failure: RefCell<Option<UpstreamFailure>>,
}

impl Waiter {
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl WaitQueue {
    /// How many wait.
    pub(in crate::upstream) fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Takes a place at the end.
    pub(in crate::upstream) fn join(self: &Rc<Self>) -> Ticket {
        let number = self.next.get();
        self.next.set(number + 1);
        let waiter = Rc::new(Waiter { number, ..Waiter::default() });
        self.waiting.borrow_mut().push_back(waiter.clone());
        Ticket { queue: self.clone(), waiter }
    }

    /// Tells the first so many, who were not told yet, to try.
    pub(in crate::upstream) fn notify(&self, count: usize) {
        let waiting = self.waiting.borrow();
        for waiter in waiting.iter().filter(|waiter| !waiter.notified.get()).take(count) {
            waiter.notified.set(true);
            waiter.wake();
        }
    }

    /// Ends the wait of all with a failure.
    pub(in crate::upstream) fn fail_all(&self, failure: &UpstreamFailure) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        for waiter in waiting {
            *waiter.failure.borrow_mut() = Some(failure.clone());
            waiter.wake();
        }
    }
}

/// A place in the queue, given up when dropped.
#[derive(Debug)]
pub(in crate::upstream) struct Ticket {
    queue: Rc<WaitQueue>,
    waiter: Rc<Waiter>,
}

impl Ticket {
    /// Ready when it is time to try. Whoever does not succeed keeps the place and polls again.
    pub(in crate::upstream) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFailure>> {
        if let Some(failure) = self.waiter.failure.borrow_mut().take() {
            return Poll::Ready(Err(failure));
        }
        if self.waiter.notified.take() {
            return Poll::Ready(Ok(()));
        }
        *self.waiter.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.waiting.borrow_mut().retain(|waiter| waiter.number != self.waiter.number);
        if self.waiter.notified.get() {
            self.queue.notify(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(ticket: &Ticket) -> Poll<Result<(), UpstreamFailure>> {
        ticket.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn first_come_first_served() {
        let queue = Rc::new(WaitQueue::default());
        let (first, second) = (queue.join(), queue.join());
        queue.notify(1);
        assert_eq!(poll(&second), Poll::Pending);
        assert_eq!(poll(&first), Poll::Ready(Ok(())));
        assert_eq!(queue.len(), 2);
        drop(first);
        assert_eq!(queue.len(), 1);
        assert_eq!(poll(&second), Poll::Pending);
    }

    #[test]
    fn a_chance_not_taken_is_passed_on() {
        let queue = Rc::new(WaitQueue::default());
        let (first, second) = (queue.join(), queue.join());
        queue.notify(1);
        drop(first);
        assert_eq!(poll(&second), Poll::Ready(Ok(())));
    }

    #[test]
    fn failure_ends_every_wait() {
        let queue = Rc::new(WaitQueue::default());
        let (first, second) = (queue.join(), queue.join());
        queue.fail_all(&UpstreamFailure::ConnectTimeout);
        assert_eq!(poll(&first), Poll::Ready(Err(UpstreamFailure::ConnectTimeout)));
        assert_eq!(poll(&second), Poll::Ready(Err(UpstreamFailure::ConnectTimeout)));
        assert_eq!(queue.len(), 0);
    }
}
