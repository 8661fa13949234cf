//! The whole translation.

use std::{collections::HashSet, sync::Arc};

use tollgate_ir::{Resources, Sourced};

use super::{
    Dialect, Gateway, Translator,
    attachment::Attachment,
    build::{Builder, Built},
    patchable::Patchable,
    statuses::statuses,
    translator::Added,
};
use crate::{Explanations, kubernetes::status::ObjectStatus};

/// What becomes of Kubernetes objects.
#[derive(Debug, Default)]
pub(crate) struct Translated {
    pub(crate) resources: Resources,
    pub(crate) statuses: Vec<ObjectStatus>,
    pub(crate) explanations: Explanations,
}

/// Translates all resources.
pub(crate) fn translate(translator: Translator<'_>) -> Translated {
    let mut translated = everything_but_clusters(&translator);
    let (clusters, secrets) = translator.into_parts();
    let resources = &mut translated.resources;
    // What patches have changed is there already.
    let patched = std::mem::replace(&mut resources.secrets, secrets);
    resources.secrets.add_missing(patched);
    for (name, Added { cluster, endpoints, origin }) in clusters {
        if !resources.clusters.contains_key(&name) {
            resources.endpoints.insert(name.clone(), endpoints);
            resources.clusters.insert(name, Arc::new(Sourced { value: cluster, origin }));
        }
    }
    translated
}

fn everything_but_clusters(translator: &Translator<'_>) -> Translated {
    let attachment = Attachment::new(translator);
    let gateways = &attachment.gateways;
    // Statuses of equal objects come in this order.
    let dialects = translator.systems.iter().filter_map(|system| system.dialect);
    let dialects: Vec<Box<dyn Dialect + '_>> = dialects.map(|new| new(translator, gateways)).collect();
    let mut builder = Builder { translator, dialects, built: Built::default(), names: HashSet::new() };
    let others = translator.systems.iter().filter_map(|system| system.gateways);
    let others: Vec<Gateway> = others.flat_map(|read| read(translator, gateways)).collect();
    builder.gateways(gateways.iter().chain(&others));
    let Builder { mut dialects, built, .. } = builder;
    let Built { resources, explanations, outcomes, listeners: by_listener } = built;
    let mut patchable = Patchable::new(translator, resources, explanations, by_listener);
    for dialect in &mut dialects {
        dialect.patch(&mut patchable);
    }
    let (mut resources, explanations) = patchable.into_parts();
    let of_dialects: Vec<ObjectStatus> = dialects.into_iter().flat_map(Dialect::statuses).collect();
    let mut all = statuses(translator, &attachment, &outcomes);
    all.extend(of_dialects);
    // The greatest number of threads that a gateway asks for.
    resources.process.concurrency = gateways.iter().filter_map(|gateway| gateway.settings.concurrency).max();
    Translated { resources, statuses: all, explanations }
}
