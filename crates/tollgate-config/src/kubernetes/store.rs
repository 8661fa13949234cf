//! All objects, by kind.

use std::{
    any::{Any, TypeId},
    collections::{HashMap, HashSet},
};

use super::{ObjectRef, Place, Stored, core};
use crate::yaml::Node;

/// The objects of one API, in a set for each of its kinds. The store knows them by their type alone, so that it need not know
/// which APIs there are.
pub(crate) trait Family: Any + Default + Send + Sync {
    /// What there is in a configuration without such objects.
    fn empty() -> &'static Self;
}

/// Makes a type the [`Family`] of an API.
macro_rules! family {
    ($objects:ty) => {
        impl $crate::kubernetes::Family for $objects {
            fn empty() -> &'static Self {
                static EMPTY: std::sync::LazyLock<$objects> = std::sync::LazyLock::new(Default::default);
                &EMPTY
            }
        }
    };
}
pub(crate) use family;

/// All objects of a configuration.
#[derive(Default)]
pub(crate) struct ObjectStore {
    /// Every object that a document names, in their order.
    documents: Vec<Stored>,
    names: HashSet<ObjectRef>,
    pub(super) unknown: Vec<Unknown>,
    pub(crate) core: core::Objects,
    families: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

/// An object of a kind that does not exist, in a group that gateways are configured with.
#[derive(Debug)]
pub(crate) struct Unknown {
    /// Kind, namespace and name.
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl ObjectStore {
    /// The objects of an API.
    pub(crate) fn of<T: Family>(&self) -> &T {
        let family = self.families.get(&TypeId::of::<T>());
        family.and_then(|family| family.downcast_ref()).unwrap_or_else(|| T::empty())
    }

    /// The same, to add one.
    pub(crate) fn of_mut<T: Family>(&mut self) -> &mut T {
        let family = self.families.entry(TypeId::of::<T>()).or_insert_with(|| Box::<T>::default());
        // What is kept under a type is of that type.
        #[expect(clippy::expect_used, reason = "nothing else is inserted under the type")]
        family.downcast_mut().expect("a family under its own type")
    }

    /// Every object that a document names, in their order.
    pub(crate) fn documents(&self) -> &[Stored] {
        &self.documents
    }

    /// Adds an object; gives where the one is written that it replaces.
    pub(super) fn add(&mut self, object: Stored) -> Option<Place> {
        let replaced = object.put(self);
        self.names.insert(object.reference());
        self.documents.push(object);
        replaced
    }

    /// Whether there is a document for an object.
    pub(crate) fn has(&self, object: &ObjectRef) -> bool {
        self.names.contains(object)
    }

    /// Objects of kinds that do not exist.
    pub(crate) fn unknown(&self) -> &[Unknown] {
        &self.unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send_and_sync<T: Send + Sync>(_: &T) {}

    #[derive(Debug, Default)]
    struct Fruit(Vec<&'static str>);

    family!(Fruit);

    #[test]
    fn families_are_kept_apart_and_may_go_to_another_thread() {
        let mut store = ObjectStore::default();
        is_send_and_sync(&store);
        assert!(store.of::<Fruit>().0.is_empty());
        store.of_mut::<Fruit>().0.push("apple");
        assert_eq!(store.of::<Fruit>().0, ["apple"]);
    }
}
