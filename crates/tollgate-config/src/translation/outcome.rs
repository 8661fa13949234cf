//! The whole translation.

use std::{collections::HashMap, sync::Arc};

use tollgate_model::{cluster::Cluster, listener::Listener};

use super::Translator;
use crate::{Explanations, kubernetes::status::ObjectStatus};

/// What becomes of Kubernetes objects.
#[derive(Debug, Default)]
pub(crate) struct Translated {
    pub(crate) listeners: Vec<Arc<Listener>>,
    pub(crate) clusters: HashMap<String, Arc<Cluster>>,
    pub(crate) statuses: Vec<ObjectStatus>,
    pub(crate) explanations: Explanations,
}

/// Translates all resources.
pub(crate) fn translate(translator: Translator<'_>) -> Translated {
    Translated { clusters: translator.into_clusters(), ..Translated::default() }
}
