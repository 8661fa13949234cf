//! The whole translation.

use tollgate_ir::Resources;

use super::{
    Dialect, Translator,
    attachment::Attachment,
    build::{Builder, Built},
    statuses::statuses,
};
use crate::{
    Explanations,
    envoy_gateway::{Configuration, EnvoyGateway},
    guard::Guard,
    htnn::Htnn,
    istio,
    kgateway::Kgateway,
    kubernetes::status::ObjectStatus,
};

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
    for (cluster, origin) in translator.into_clusters().into_values() {
        translated.resources.insert_cluster(cluster, origin);
    }
    translated
}

fn everything_but_clusters(translator: &Translator<'_>) -> Translated {
    let Translator { resources, files, options, diagnostics, .. } = translator;
    let configuration = Configuration::in_force(resources, *files, options, diagnostics);
    let attachment = Attachment::new(translator, &configuration);
    let Attachment { gateways, settings, .. } = &attachment;
    // Statuses of equal objects come in this order.
    let dialects: Vec<Box<dyn Dialect + '_>> = vec![
        Box::new(Htnn::new(translator)),
        Box::new(Kgateway::new(translator)),
        Box::new(EnvoyGateway::new(translator, configuration, gateways)),
        Box::new(Guard::new(translator)),
    ];
    let mut builder = Builder { translator, settings, dialects, built: Built::default() };
    let of_istio = istio::gateways(translator, gateways);
    builder.gateways(gateways.iter().chain(&of_istio));
    let Builder { dialects, built, .. } = builder;
    let of_dialects: Vec<ObjectStatus> = dialects.into_iter().flat_map(Dialect::statuses).collect();
    let mut all = statuses(translator, &attachment, &built.outcomes);
    all.extend(of_dialects);
    let Built { mut resources, explanations, .. } = built;
    // The greatest number of threads that a gateway asks for.
    resources.process.concurrency = settings.values().filter_map(|settings| settings.concurrency).max();
    Translated { resources, statuses: all, explanations }
}
