//! Which fields were read, so that a test can prove that every documented one is.

use std::{cell::RefCell, collections::HashSet};

use super::Schema;

thread_local! {
    static READ: RefCell<HashSet<(*const Schema, &'static str)>> = RefCell::default();
}

pub(super) fn record(schema: &'static Schema, field: &'static str) {
    READ.with_borrow_mut(|read| read.insert((std::ptr::from_ref(schema), field)));
}

/// Whether this thread has read a field that was present.
pub(crate) fn is_read(schema: &'static Schema, field: &'static str) -> bool {
    READ.with_borrow(|read| read.contains(&(std::ptr::from_ref(schema), field)))
}
