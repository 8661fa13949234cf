//! One configuration of an Envoy file and Kubernetes objects (CF-30).

use std::sync::Arc;

use tollgate_ir::Resources;
use tollgate_model::listener::BindAddress;

use crate::{
    Explanations,
    kubernetes::{Diagnostics, Document, Place},
    translation::Translated,
    yaml::{Content, Node},
};

/// Adds what came of Kubernetes objects to what an Envoy configuration says, whose document is `native`. Of two listeners at
/// one address that of the Envoy configuration is left out.
pub(super) fn merge(
    resources: &mut Resources,
    translated: Translated,
    native: Option<&Document>,
    diagnostics: &Diagnostics,
) -> Merged {
    let mut conflict = false;
    let Translated { resources: translated, explanations, .. } = translated;
    let before = std::mem::take(&mut resources.listeners);
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for (index, listener) in before.into_iter().enumerate() {
        let taken = translated.listeners.iter().find(|other| {
            let pairs =
                other.addresses.iter().flat_map(|one| listener.addresses.iter().map(move |two| (one, two)));
            pairs.into_iter().any(|(one, two)| overlap(one, two))
        });
        if let (Some(taken), Some(native)) = (taken, native) {
            let message = format!(
                "the listener \"{}\" is left out: the listener {} of a Gateway has the same port",
                listener.name, taken.name
            );
            let help = "give it another port or address".to_owned();
            diagnostics.error(&listener_place(native, index), message, Some(help));
        }
        if taken.is_some() { &mut left_out } else { &mut kept }.push(listener);
    }
    for listener in &left_out {
        for chain in listener.filter_chains.iter().chain(&listener.default_filter_chain) {
            resources.route_tables.remove(&chain.http.route_config);
        }
    }
    resources.listeners = kept;
    if let Some(native) = native {
        let names = translated.clusters.keys().filter(|name| {
            resources.clusters.contains_key(*name) && !resources.has_same_cluster(&translated, name)
        });
        let twins: Vec<&str> = names.map(String::as_str).collect();
        for name in &twins {
            let message =
                format!("the cluster \"{name}\" has the name of a cluster of the Kubernetes objects");
            let help = "give it another name".to_owned();
            diagnostics.error(&cluster_place(native, name), message, Some(help));
        }
        conflict = !twins.is_empty();
    }
    resources.listeners.extend(translated.listeners);
    resources.route_tables.extend(translated.route_tables);
    resources.clusters.extend(translated.clusters);
    resources.endpoints.extend(translated.endpoints);
    // Those of the Envoy configuration are among them.
    resources.secrets = translated.secrets;
    resources.process.concurrency = translated.process.concurrency;
    Merged { explanations, conflict }
}

/// What merging gave.
pub(super) struct Merged {
    pub(super) explanations: Explanations,
    /// Routes of the one would lead to clusters of the other: the whole cannot be served.
    pub(super) conflict: bool,
}

/// Where a cluster of an Envoy configuration is written.
fn cluster_place(document: &Document, name: &str) -> Place {
    let clusters = resources_of(document, "clusters");
    let named = |node: &&Node| match member(node, "name").map(|node| &node.content) {
        Some(Content::Plain(text) | Content::Quoted(text)) => text == name,
        _ => false,
    };
    let node = clusters.iter().find(named).unwrap_or(&document.node);
    Place::in_file(Arc::clone(&document.file), node.location, "static_resources.clusters")
}

/// The elements of a list of static resources.
fn resources_of<'n>(document: &'n Document, list: &str) -> &'n [Node] {
    let resources =
        ["static_resources", "staticResources"].iter().find_map(|name| member(&document.node, name));
    match resources.and_then(|resources| member(resources, list)).map(|list| &list.content) {
        Some(Content::Sequence(items)) => items,
        _ => &[],
    }
}

/// Whether two listeners cannot have these addresses at the same time: an unspecified address is all of them.
fn overlap(one: &BindAddress, two: &BindAddress) -> bool {
    match (one, two) {
        (BindAddress::Socket(one), BindAddress::Socket(two)) => {
            let anywhere = one.ip().is_unspecified() || two.ip().is_unspecified();
            one.port() != 0 && one.port() == two.port() && (anywhere || one.ip() == two.ip())
        }
        (BindAddress::Pipe { path: one, .. }, BindAddress::Pipe { path: two, .. }) => one == two,
        _ => false,
    }
}

/// Where a listener of an Envoy configuration is written.
fn listener_place(document: &Document, index: usize) -> Place {
    let node = resources_of(document, "listeners").get(index).unwrap_or(&document.node);
    let path = format!("static_resources.listeners[{index}]");
    Place::in_file(Arc::clone(&document.file), node.location, path)
}

fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Content::Mapping(entries) = &node.content else { return None };
    entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap() {
        let socket = |text: &str| BindAddress::Socket(text.parse().unwrap());
        let pipe = |path: &str| BindAddress::Pipe { path: path.into(), mode: None };
        assert!(overlap(&socket("127.0.0.1:80"), &socket("127.0.0.1:80")));
        assert!(overlap(&socket("[::]:80"), &socket("127.0.0.1:80")));
        assert!(overlap(&socket("127.0.0.1:80"), &socket("0.0.0.0:80")));
        assert!(!overlap(&socket("127.0.0.1:80"), &socket("127.0.0.2:80")));
        assert!(!overlap(&socket("[::]:80"), &socket("[::]:81")));
        assert!(!overlap(&socket("[::]:0"), &socket("[::]:0")));
        assert!(overlap(&pipe("/a"), &pipe("/a")));
        assert!(!overlap(&pipe("/a"), &socket("[::]:80")));
    }
}
