//! The two plugins (3.2): `outerExtProc` and `innerExtProc`. Their configuration is Envoy's `ExtProcOverrides`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tollgate_ir::ExtProc;
use tollgate_model::processor::GrpcTarget;

use super::{cluster_name::ClusterName, policy::Plugin};
use crate::{
    Severity,
    diagnostic::Report,
    envoy::{ClusterFacts, read_standalone_overrides},
    kubernetes::{ObjectRef, Place},
    schema::{Context, Notation, Value},
    translation::Translator,
    yaml::{Content, Entry, Node},
};

/// One of the two plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum PluginName {
    /// First on requests, last on responses.
    Outer,
    /// Last on requests, first on responses.
    Inner,
}

impl PluginName {
    pub(super) const ALL: [Self; 2] = [Self::Outer, Self::Inner];

    /// The name in a policy.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Outer => "outerExtProc",
            Self::Inner => "innerExtProc",
        }
    }

    /// The name of the filter (3.6).
    pub(super) fn filter_name(self) -> &'static str {
        match self {
            Self::Outer => "htnn.filters.http.outerExtProc",
            Self::Inner => "htnn.filters.http.innerExtProc",
        }
    }

    pub(super) fn from_str(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plugin| plugin.as_str() == name)
    }
}

/// What a plugin does to requests.
#[derive(Debug, Clone)]
pub(super) struct Configured {
    pub(super) settings: Arc<ExtProc>,
    /// Where each setting is written.
    pub(super) sources: BTreeMap<&'static str, Place>,
    pub(super) place: Place,
}

/// Where settings are written in `ExtProcOverrides`, and which setting of the filter each is.
const SETTINGS: [&str; 8] = [
    "processing_mode",
    "request_attributes",
    "response_attributes",
    "grpc_service",
    "metadata_options",
    "grpc_initial_metadata",
    "failure_mode_allow",
    "processing_request_modifier",
];

/// Reads the configuration of a plugin.
///
/// # Errors
/// The text of the policy's status (HT-18, HT-19, HT-47).
pub(super) fn configure(
    name: PluginName,
    plugin: &Plugin,
    policy: &ObjectRef,
    translator: &Translator<'_>,
) -> Result<Configured, String> {
    let report = Report::of(plugin.place.whole());
    let context = Context {
        report: &report,
        files: translator.files,
        options: translator.options,
        notation: Notation::EmbeddedProtobuf,
    };
    let value = Value::embedded(context, &plugin.config, &plugin.place.path);
    let mut invalid = Vec::new();
    let Known { clusters, name: cluster_name } =
        known_clusters(&plugin.config, policy, &plugin.place, translator, &mut invalid);
    let settings = read_standalone_overrides(&value, clusters, name.filter_name());
    let unreadable = report.is_malformed();
    let said = report.finish();
    let errors: Vec<String> = said
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| diagnostic.message_with_path(&plugin.place.path))
        .collect();
    translator.diagnostics.extend(said);
    if !errors.is_empty() {
        // HT-18: it cannot be parsed; HT-19: it can be, and is not allowed.
        let what = if unreadable { "failed to unmarshal" } else { "invalid config" };
        return Err(format!("{what} for filter {}: {}", name.as_str(), errors.join("; ")));
    }
    let refuse = |detail: &str| {
        let message = format!("invalid config for filter {}: {detail}", name.as_str());
        translator.diagnostics.error(&plugin.place, message.clone(), None);
        Err(message)
    };
    if let Some(detail) = invalid.first() {
        return refuse(detail);
    }
    let Some(mut settings) = settings else {
        // HT-47
        return refuse("grpcService is required");
    };
    if let (GrpcTarget::EnvoyGrpc(name), Some(own)) = (&mut settings.grpc_service.target, cluster_name) {
        *name = own;
    }
    Ok(Configured {
        settings: Arc::new(settings),
        sources: sources(&plugin.config, &plugin.place),
        place: plugin.place.clone(),
    })
}

/// The cluster that a configuration names.
#[derive(Default)]
struct Known {
    /// What is known of it, by the name that is written.
    clusters: HashMap<String, ClusterFacts>,
    /// Its name in the snapshot, where that is another one.
    name: Option<String>,
}

/// The cluster that the configuration names, if it can be known: it is added to the snapshot on the way.
fn known_clusters(
    config: &Node,
    policy: &ObjectRef,
    place: &Place,
    translator: &Translator<'_>,
    invalid: &mut Vec<String>,
) -> Known {
    let mut known = Known::default();
    let clusters = &mut known.clusters;
    let service = member(config, "grpc_service");
    let name = service
        .and_then(|entry| member(&entry.value, "envoy_grpc"))
        .and_then(|entry| member(&entry.value, "cluster_name"));
    let Some(entry) = name else { return known };
    let (Content::Plain(name) | Content::Quoted(name)) = &entry.value.content else { return known };
    let place = place.elsewhere(entry.value.location, Arc::clone(&place.path));
    match ClusterName::parse(name) {
        Err(problem) => {
            invalid.push(problem);
            // The name is reported already: no second message that there is no such cluster.
            clusters.insert(
                name.clone(),
                ClusterFacts { http2: true, first_endpoint: None, http_filters: false },
            );
        }
        Ok(Some(parsed)) => {
            known.name = Some(parsed.add_cluster(policy, &place, translator));
            let authority = parsed.authority(&policy.namespace, translator);
            clusters.insert(
                name.clone(),
                ClusterFacts { http2: true, first_endpoint: Some(authority), http_filters: false },
            );
        }
        Ok(None) => {
            if let Some(cluster) = translator.native.clusters.get(name) {
                let facts = ClusterFacts::of(&cluster.protocol, translator.native.endpoints_of(name));
                clusters.insert(name.clone(), facts);
            }
        }
    }
    known
}

/// A member by its name in snake_case, written in either spelling.
fn member<'a>(node: &'a Node, name: &str) -> Option<&'a Entry> {
    let Content::Mapping(entries) = &node.content else { return None };
    let folded = |text: &str| text.replace('_', "").to_ascii_lowercase();
    entries.iter().find(|entry| folded(&entry.key) == folded(name))
}

fn sources(config: &Node, place: &Place) -> BTreeMap<&'static str, Place> {
    let written = SETTINGS.iter().filter_map(|name| {
        let entry = member(config, name)?;
        let path = format!("{}.{}", place.path, entry.key);
        Some((*name, place.elsewhere(entry.key_location, path)))
    });
    written.collect()
}
