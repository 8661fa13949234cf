//! Header changes that the configuration asks for.

use tollgate_model::header::{AppendAction, HeaderAddition, HeaderMutations};

/// The changes in words, in the order in which they are made.
pub(super) fn describe(headers: &HeaderMutations) -> Vec<String> {
    let mut told = Vec::new();
    for (of, removed, added) in [
        ("request", &headers.request_remove, &headers.request_add),
        ("response", &headers.response_remove, &headers.response_add),
    ] {
        told.extend(removed.iter().map(|name| format!("{of}: {name} is removed")));
        told.extend(added.iter().map(|addition| format!("{of}: {}", add(addition))));
    }
    told
}

fn add(addition: &HeaderAddition) -> String {
    let HeaderAddition { name, value, append_action, .. } = addition;
    let value = value.source();
    match append_action {
        AppendAction::AppendIfExistsOrAdd => format!("{name} \"{value}\" is added"),
        AppendAction::AddIfAbsent => format!("{name} is \"{value}\" if there is none"),
        AppendAction::OverwriteIfExistsOrAdd => format!("{name} is set to \"{value}\""),
        AppendAction::OverwriteIfExists => format!("{name} is set to \"{value}\" if there is one"),
    }
}
