//! Which fields were read, so that a test can prove that every documented one is.

use std::{cell::RefCell, collections::HashSet};

use super::Schema;

thread_local! {
    static OPENED: RefCell<Vec<&'static Schema>> = RefCell::default();
    static READ: RefCell<HashSet<(*const Schema, &'static str)>> = RefCell::default();
}

pub(super) fn record(schema: &'static Schema, field: &'static str) {
    READ.with_borrow_mut(|read| read.insert((std::ptr::from_ref(schema), field)));
}

/// Whether this thread has read a field that was present.
pub(crate) fn is_read(schema: &'static Schema, field: &'static str) -> bool {
    READ.with_borrow(|read| read.contains(&(std::ptr::from_ref(schema), field)))
}

pub(super) fn open(schema: &'static Schema) {
    OPENED.with_borrow_mut(|opened| opened.push(schema));
}

/// Fields that this thread has not read although it has opened a message that has them, as `Message.field`.
pub(crate) fn unread() -> Vec<String> {
    let opened = OPENED.with_borrow(Clone::clone);
    let fields = opened.into_iter().flat_map(|schema| schema.read_names().map(move |name| (schema, name)));
    let unread = fields.filter(|(schema, name)| !is_read(schema, name));
    let mut unread: Vec<String> = unread.map(|(schema, name)| format!("{}.{name}", schema.name)).collect();
    unread.sort();
    unread.dedup();
    unread
}
