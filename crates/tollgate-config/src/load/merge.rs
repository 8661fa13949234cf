//! One configuration of an Envoy file and Kubernetes objects (CF-30).

use std::sync::Arc;

use tollgate_model::{Snapshot, listener::BindAddress};

use crate::{
    Explanations,
    kubernetes::{Diagnostics, Document, Place},
    translation::Translated,
    yaml::{Content, Node},
};

/// Adds what came of Kubernetes objects to what an Envoy configuration says, whose document is `native`. Of two listeners at
/// one address that of the Envoy configuration is left out.
pub(super) fn merge(
    snapshot: &mut Snapshot,
    translated: Translated,
    native: Option<&Document>,
    diagnostics: &Diagnostics,
) -> Explanations {
    let Translated { listeners, clusters, explanations, concurrency, .. } = translated;
    let mut index = 0;
    snapshot.listeners.retain(|listener| {
        let taken = listeners.iter().find(|other| {
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
        index += 1;
        taken.is_none()
    });
    snapshot.listeners.extend(listeners);
    snapshot.clusters.extend(clusters);
    snapshot.concurrency = concurrency;
    explanations
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
    let listeners = ["static_resources", "staticResources"]
        .iter()
        .find_map(|name| member(&document.node, name))
        .and_then(|resources| member(resources, "listeners"));
    let node = match listeners.map(|listeners| &listeners.content) {
        Some(Content::Sequence(items)) => items.get(index),
        _ => None,
    };
    Place {
        file: Arc::clone(&document.file),
        location: node.unwrap_or(&document.node).location,
        path: Arc::from(format!("static_resources.listeners[{index}]")),
    }
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
