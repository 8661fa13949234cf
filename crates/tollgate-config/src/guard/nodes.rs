//! Looking into documents of which nothing else is known.

use crate::yaml::{Content, Location, Node};

/// Where something is written in a document.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) location: Location,
    pub(super) path: String,
}

/// The labels of a mapping.
pub(crate) fn labels(node: Option<&Node>) -> Vec<(&str, &str)> {
    match node.map(|node| &node.content) {
        Some(Content::Mapping(entries)) => {
            entries.iter().filter_map(|entry| Some((&*entry.key, entry.value.text()?))).collect()
        }
        _ => Vec::new(),
    }
}

/// The names of what policies call sections of an object.
pub(super) fn sections<'n>(kind: &str, node: &'n Node) -> Vec<&'n str> {
    let list = match kind {
        "Gateway" | "ListenerSet" | "XListenerSet" => ["listeners", "servers"],
        "VirtualService" => ["http", ""],
        _ => ["rules", "ports"],
    };
    let spec = node.member("spec");
    let lists = list.iter().filter_map(|list| spec?.member(list));
    lists.flat_map(Node::items).filter_map(|entry| entry.member("name")?.text()).collect()
}

/// Which sections there are, for people.
pub(super) fn known_sections(sections: &[&str]) -> String {
    match sections {
        [] => "it has no sections with a name".to_owned(),
        sections => format!("it has {}", sections.join(", ")),
    }
}

/// What a patch of Envoy's configuration names when it is about HTTP filters.
const HTTP_FILTERS: [&str; 7] = [
    "ext_proc",
    "http_filters",
    "httpFilters",
    "HTTP_FILTER",
    "envoy.filters.http.",
    "typed_per_filter_config",
    "typedPerFilterConfig",
];

/// Whether a document names HTTP filters anywhere.
pub(crate) fn changes_http_filters(node: &Node) -> bool {
    let names = |text: &str| HTTP_FILTERS.iter().any(|name| text.contains(name));
    match &node.content {
        Content::Null => false,
        Content::Plain(text) | Content::Quoted(text) => names(text),
        Content::Sequence(items) => items.iter().any(changes_http_filters),
        Content::Mapping(entries) => {
            entries.iter().any(|entry| names(&entry.key) || changes_http_filters(&entry.value))
        }
    }
}
