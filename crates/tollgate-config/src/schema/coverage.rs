//! Which fields were read, so that a test can prove that every documented one is.

use std::{cell::RefCell, collections::HashSet};

use super::Schema;

/// A message of an object that this thread has opened.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    /// API group of the object.
    pub(crate) group: String,
    /// Kind of the object.
    pub(crate) kind: String,
    /// Path in the object.
    pub(crate) path: String,
    pub(crate) schema: &'static Schema,
}

thread_local! {
    static OBJECT: RefCell<Option<(String, String)>> = RefCell::default();
    static OPENED_IN_OBJECTS: RefCell<Vec<Opened>> = RefCell::default();
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

/// The messages that are opened from now on belong to an object of that kind.
pub(crate) fn begin_object(group: &str, kind: &str) {
    OBJECT.set(Some((group.to_owned(), kind.to_owned())));
}

pub(super) fn open(schema: &'static Schema, path: &str) {
    OPENED.with_borrow_mut(|opened| opened.push(schema));
    if let Some((group, kind)) = OBJECT.with_borrow(Clone::clone) {
        let opened = Opened { group, kind, path: path.to_owned(), schema };
        OPENED_IN_OBJECTS.with_borrow_mut(|all| all.push(opened));
    }
}

/// The messages of objects that this thread has opened.
pub(crate) fn opened_in_objects() -> Vec<Opened> {
    OPENED_IN_OBJECTS.with_borrow(Clone::clone)
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
