//! A queue that seldom holds more than one.

use std::collections::VecDeque;

/// A queue without an allocation as long as it holds one element at most, as queues do in whose both ends one task is at work.
///
/// ```
/// use extproc::Queue;
///
/// let mut queue = Queue::new();
/// queue.push_back(1);
/// queue.push_back(2);
/// assert_eq!((queue.pop_front(), queue.pop_front(), queue.pop_front()), (Some(1), Some(2), None));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue<T> {
    /// `None` only if there is nothing at all.
    first: Option<T>,
    rest: VecDeque<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Queue<T> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: None, rest: VecDeque::new() }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Appends one.
    pub fn push_back(&mut self, element: T) {
        if self.first.is_none() {
            self.first = Some(element);
        } else {
            self.rest.push_back(element);
        }
    }

    /// Puts one before all others.
    pub fn push_front(&mut self, element: T) {
        if let Some(first) = self.first.replace(element) {
            self.rest.push_front(first);
        }
    }

    /// Takes the oldest one.
    pub fn pop_front(&mut self) -> Option<T> {
        let first = self.first.take();
        if !self.rest.is_empty() {
            self.first = self.rest.pop_front();
        }
        first
    }

    /// Takes the oldest one if it is like this.
    pub fn pop_front_if(&mut self, is_wanted: impl FnOnce(&mut T) -> bool) -> Option<T> {
        if self.first.as_mut().is_some_and(is_wanted) { self.pop_front() } else { None }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.first = None;
        self.rest.clear();
    }

    /// From the oldest one to the newest.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    /// As [`iter`](Self::iter), to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// It is a queue like any other.
        #[test]
        fn it_does_what_a_queue_does(steps in proptest::collection::vec(0..7_u8, 0..60)) {
            let (mut queue, mut model) = (Queue::new(), VecDeque::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    0..3 => {
                        queue.push_back(number);
                        model.push_back(number);
                    }
                    3 => proptest::prop_assert_eq!(queue.pop_front(), model.pop_front()),
                    4 => {
                        let even = |number: &mut usize| number.is_multiple_of(2);
                        proptest::prop_assert_eq!(queue.pop_front_if(even), model.pop_front_if(even));
                    }
                    5 => {
                        queue.push_front(number);
                        model.push_front(number);
                    }
                    _ => {
                        queue.iter_mut().for_each(|number| *number += 1);
                        model.iter_mut().for_each(|number| *number += 1);
                    }
                }
                proptest::prop_assert_eq!(queue.iter().collect::<Vec<_>>(), model.iter().collect::<Vec<_>>());
                proptest::prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
            }
            queue.clear();
            proptest::prop_assert!(queue.is_empty() && queue.pop_front().is_none());
        }
    }
}
