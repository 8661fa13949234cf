//! One object as it was read: kept, it need not be read again.

use std::{fmt, sync::Arc};

use super::{Metadata, ObjectRef, ObjectStore, Place};
use crate::{Diagnostic, yaml::Node};

/// One object as it was read, with what was said about it. It can be put into any number of stores.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) meta: Arc<Metadata>,
    /// The document, as it was written.
    pub(crate) node: Arc<Node>,
    said: Arc<[Diagnostic]>,
    /// `None` = nothing of it could be read.
    put: Option<Put>,
}

/// Adds an object to the set of its kind; gives where the one is written that it replaces.
type Put = Arc<dyn Fn(&mut ObjectStore) -> Option<Place> + Send + Sync>;

impl Stored {
    pub(super) fn new(
        meta: Arc<Metadata>,
        node: Arc<Node>,
        said: Vec<Diagnostic>,
        put: impl Fn(&mut ObjectStore) -> Option<Place> + Send + Sync + 'static,
    ) -> Self {
        Self { meta, node, said: said.into(), put: Some(Arc::new(put)) }
    }

    /// An object of which nothing could be read but what it is.
    pub(super) fn unreadable(meta: Arc<Metadata>, node: Arc<Node>, said: Vec<Diagnostic>) -> Self {
        Self { meta, node, said: said.into(), put: None }
    }

    pub(crate) fn reference(&self) -> ObjectRef {
        ObjectRef::new(&self.meta.group, &self.meta.kind, &self.meta.key)
    }

    /// What was said about it when it was read.
    pub(super) fn said(&self) -> &[Diagnostic] {
        &self.said
    }

    /// Puts it into a store; gives where the object is written that it replaces.
    pub(super) fn put(&self, store: &mut ObjectStore) -> Option<Place> {
        self.put.as_ref().and_then(|put| put(store))
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {}", self.reference(), self.meta.place)
    }
}
