//! Changes of query parameters.

use std::collections::BTreeMap;

use extproc::RequestHeaders;
use http::HeaderValue;
use tollgate_model::{filter::QueryParameterMutation, header::AppendAction, route::split_path};

use crate::{
    format::{FormatContext, decode_parameter, evaluate_header},
    transaction::core::Core,
};

/// The values of each parameter, decoded.
type Parameters = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// Makes changes of the request's query. As in Envoy the parameters stand in the order of their names then, and are not
/// encoded again; but what cannot stand in a path is.
pub(super) fn change(mutations: &[QueryParameterMutation], core: &mut Core) {
    if mutations.is_empty() {
        return;
    }
    let Core { messages, info, .. } = &mut *core;
    let path = messages.request.path.clone();
    let (before_query, query) = split_path(path.as_bytes());
    let mut parameters = parse(query);
    for mutation in mutations {
        match mutation {
            QueryParameterMutation::Remove(key) => {
                parameters.remove(key.as_bytes());
            }
            QueryParameterMutation::Add { key, value, action } => {
                let value = evaluate_header(value, &FormatContext { info, messages, logs: &[] });
                add(&mut parameters, key.as_bytes(), value, *action);
            }
        }
    }
    if let Ok(path) = HeaderValue::from_bytes(&written(before_query, &parameters)) {
        messages.request.path = path;
    }
}

/// Removes a parameter; what follows for the others is the same.
pub(in crate::transaction::filter) fn remove(key: &str, request: &mut RequestHeaders) {
    let (before_query, query) = split_path(request.path.as_bytes());
    let mut parameters = parse(query);
    parameters.remove(key.as_bytes());
    if let Ok(path) = HeaderValue::from_bytes(&written(before_query, &parameters)) {
        request.path = path;
    }
}

fn add(parameters: &mut Parameters, key: &[u8], value: Vec<u8>, action: AppendAction) {
    let exists = parameters.contains_key(key);
    let values = match action {
        AppendAction::AddIfAbsent if exists => return,
        AppendAction::OverwriteIfExists if !exists => return,
        _ => parameters.entry(key.to_vec()).or_default(),
    };
    if matches!(action, AppendAction::OverwriteIfExists | AppendAction::OverwriteIfExistsOrAdd) {
        values.clear();
    }
    values.push(value);
}

fn parse(query: &[u8]) -> Parameters {
    let mut parameters = Parameters::new();
    if query.is_empty() {
        return parameters;
    }
    for parameter in query.split(|byte| *byte == b'&') {
        let (key, value) = match parameter.iter().position(|byte| *byte == b'=') {
            Some(end) => (decode_parameter(&parameter[..end]), decode_parameter(&parameter[end + 1..])),
            None => (parameter.to_vec(), Vec::new()),
        };
        parameters.entry(key).or_default().push(value);
    }
    parameters
}

fn written(before_query: &[u8], parameters: &Parameters) -> Vec<u8> {
    let mut path = before_query.to_vec();
    let mut separator = b'?';
    for (key, values) in parameters {
        for value in values {
            path.push(separator);
            separator = b'&';
            write(key, &mut path);
            path.push(b'=');
            write(value, &mut path);
        }
    }
    path
}

/// Writes a text as it is, but for what no path may hold.
fn write(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            0..=b' ' | 0x7f | b'#' => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(query: &str, change: impl FnOnce(&mut Parameters)) -> String {
        let mut parameters = parse(query.as_bytes());
        change(&mut parameters);
        String::from_utf8(written(b"/p", &parameters)).unwrap()
    }

    #[test]
    fn parameters_are_sorted_and_decoded() {
        assert_eq!(rewritten("z=1&b=%2Fx&a&c=", |_| ()), "/p?a=&b=/x&c=&z=1");
        assert_eq!(rewritten("", |_| ()), "/p");
        assert_eq!(rewritten("a=1&&a=2", |_| ()), "/p?=&a=1&a=2");
    }

    #[test]
    fn what_no_path_may_hold_is_encoded() {
        assert_eq!(rewritten("a=%20%0d%0ax%23", |_| ()), "/p?a=%20%0D%0Ax%23");
    }

    #[test]
    fn actions() {
        let with = |action| rewritten("k=1&k=2", |all| add(all, b"k", b"3".to_vec(), action));
        assert_eq!(with(AppendAction::AppendIfExistsOrAdd), "/p?k=1&k=2&k=3");
        assert_eq!(with(AppendAction::AddIfAbsent), "/p?k=1&k=2");
        assert_eq!(with(AppendAction::OverwriteIfExistsOrAdd), "/p?k=3");
        assert_eq!(with(AppendAction::OverwriteIfExists), "/p?k=3");
        let without = |action| rewritten("", |all| add(all, b"k", b"3".to_vec(), action));
        assert_eq!(without(AppendAction::AppendIfExistsOrAdd), "/p?k=3");
        assert_eq!(without(AppendAction::OverwriteIfExists), "/p");
    }
}
