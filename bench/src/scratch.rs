//! A buffer that all connections of a thread read into, one after the other.

use std::cell::RefCell;

const SIZE: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Scratch(RefCell<Box<[u8]>>);

impl Default for Scratch {
    fn default() -> Self {
        Self(RefCell::new(vec![0; SIZE].into_boxed_slice()))
    }
}

impl Scratch {
    /// Lends the buffer. What is in it is worthless afterwards.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&mut [u8]) -> T) -> T {
        read(&mut self.0.borrow_mut())
    }
}
