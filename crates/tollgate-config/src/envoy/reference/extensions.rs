//! Which of Envoy's extensions work here: the table at the beginning of the reference.
//!
//! It is made of Envoy's own descriptors and of what the reader knows, so that no extension is forgotten.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    envoy::{http_filters::is_harmless, ignored::is_ignored_package},
    schema::descriptors::Descriptor,
};

/// A kind of extension: how people call it, and where the packages of its extensions are.
struct Kind {
    title: &'static str,
    /// What their packages have in common, behind `envoy.extensions.`.
    below: &'static str,
}

const fn kind(title: &'static str, below: &'static str) -> Kind {
    Kind { title, below }
}

const KINDS: [Kind; 24] = [
    kind("HTTP filters", "filters.http."),
    kind("Network filters", "filters.network."),
    kind("Listener filters", "filters.listener."),
    kind("Transport sockets", "transport_sockets."),
    kind("Clusters", "clusters."),
    kind("Load balancing policies", "load_balancing_policies."),
    kind("Upstream protocols", "upstreams."),
    kind("Retry", "retry."),
    kind("Health checkers", "health_checkers."),
    kind("Access loggers", "access_loggers."),
    kind("Formatters", "formatter."),
    kind("Modifiers of requests to processors", "http.ext_proc."),
    kind("Early header mutation", "http.early_header_mutation."),
    kind("Injected credentials", "http.injected_credentials."),
    kind("Session states", "http.stateful_session."),
    kind("Detection of the client's address", "http.original_ip_detection."),
    kind("Header formatters", "http.header_formatters."),
    kind("Request ids", "request_id."),
    kind("Path matching and rewriting", "path."),
    kind("Internal redirects", "internal_redirect."),
    kind("Cluster specifiers", "router."),
    kind("Compression", "compression."),
    kind("Resource monitors", "resource_monitors."),
    kind("Matchers", "matching.input_matchers."),
];

const EXTENSIONS: &str = "envoy.extensions.";

/// What becomes of extensions of a kind.
#[derive(Default)]
struct Classes {
    implemented: BTreeSet<String>,
    /// They are accepted and change nothing.
    ignored: BTreeSet<String>,
    /// They may be left out where the configuration says that they are optional.
    optional: BTreeSet<String>,
    refused: BTreeSet<String>,
}

/// The table. `read` are the messages that the reader knows.
pub(super) fn extensions(read: &[&'static str]) -> String {
    let known: BTreeSet<&str> = read.iter().filter_map(|name| package(name)).collect();
    let mut text = "\n## Extensions\n\n\
        Envoy's extensions by their kind. What is refused is refused with its line; a filter in the third column is accepted and does nothing ([why](xds.md)); one \
        in the fourth is left out, with a warning, where the file says `is_optional: true`.\n\n\
        | Kind | Implemented | Accepted without effect | Left out where optional | Refused |\n|---|---|---|---|---|\n"
        .to_owned();
    for kind in &KINDS {
        let mut classes = Classes::default();
        for package in Descriptor::all().filter_map(|message| package(message.name)) {
            let Some(name) = package.strip_prefix(EXTENSIONS).and_then(|rest| rest.strip_prefix(kind.below))
            else {
                continue;
            };
            let of_filter = format!("{package}.v3.");
            let class = if known.contains(package) {
                &mut classes.implemented
            } else if is_ignored_package(package) {
                &mut classes.ignored
            } else if is_harmless(&of_filter) {
                &mut classes.optional
            } else {
                &mut classes.refused
            };
            class.insert(name.to_owned());
        }
        write_row(&mut text, kind.title, &classes);
    }
    write_row(&mut text, "Inputs of matchers", &inputs(read));
    text
}

/// The inputs of unified matchers are messages, not packages.
fn inputs(read: &[&str]) -> Classes {
    let mut classes = Classes::default();
    for message in Descriptor::all().filter(|message| message.name.ends_with("Input")) {
        let class = match read.contains(&message.name) {
            true => &mut classes.implemented,
            false => &mut classes.refused,
        };
        class.insert(short(message.name).to_owned());
    }
    classes
}

fn write_row(text: &mut String, title: &str, classes: &Classes) {
    let list = |names: &BTreeSet<String>| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let [implemented, ignored, optional, refused] =
        [&classes.implemented, &classes.ignored, &classes.optional, &classes.refused].map(list);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| {title} | {implemented} | {ignored} | {optional} | {refused} |");
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The package of an extension's message, without its version.
fn package(message: &'static str) -> Option<&'static str> {
    let (package, _) = message.split_once(".v3.").or_else(|| message.split_once(".v3alpha."))?;
    package.starts_with(EXTENSIONS).then_some(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_has_its_place_in_the_table() {
        let table = extensions(&["envoy.extensions.filters.http.router.v3.Router"]);
        let row = |title: &str| {
            let row = table.lines().find(|line| line.starts_with(&format!("| {title} |")));
            row.unwrap().split(" | ").map(str::to_owned).collect::<Vec<_>>()
        };
        let filters = row("HTTP filters");
        assert_eq!(filters[1], "`router`");
        assert!(filters[2].contains("`grpc_stats`"), "{filters:?}");
        assert!(filters[3].contains("`tap`"), "{filters:?}");
        assert!(filters[4].contains("`jwt_authn`"), "{filters:?}");
        assert!(row("Inputs of matchers")[4].contains("`HttpRequestHeaderMatchInput`"));
    }

    #[test]
    fn no_kind_is_empty() {
        for line in extensions(&[]).lines().filter(|line| line.starts_with("| ")) {
            assert!(line.contains('`') || line.starts_with("| Kind"), "{line}");
        }
    }
}
