//! Objects that several configurations have in common.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

/// Whether both are equal. What did not change is most often one object, which spares the comparison.
pub fn same<T: PartialEq + ?Sized>(one: &Arc<T>, other: &Arc<T>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// An object that is compared by which one it is, not by what it is like. As long as it is kept, no other object is equal to
/// it.
#[derive(Debug)]
pub struct Identity<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Identity<T> {
    /// That of an object.
    #[must_use]
    pub fn of(object: &Arc<T>) -> Self {
        Self(Arc::clone(object))
    }
}

impl<T: ?Sized> Clone for Identity<T> {
    fn clone(&self) -> Self {
        Self::of(&self.0)
    }
}

impl<T: ?Sized> PartialEq for Identity<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: ?Sized> Eq for Identity<T> {}

impl<T: ?Sized> Hash for Identity<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).cast::<()>().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn equal_objects_are_the_same_and_have_different_identities() {
        let (one, other) = (Arc::new(1), Arc::new(1));
        assert!(same(&one, &other) && same(&one, &one) && !same(&one, &Arc::new(2)));
        assert!(Identity::of(&one) == Identity::of(&one) && Identity::of(&one) != Identity::of(&other));
        let mut known = HashMap::from([(Identity::of(&one), "one")]);
        known.insert(Identity::of(&other), "other");
        assert_eq!((known.get(&Identity::of(&one)), known.len()), (Some(&"one"), 2));
    }
}
