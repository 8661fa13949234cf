//! From expressions to attribute paths.

use std::sync::Arc;

use super::{AttributeError, ComputeAttribute, ComputedAttribute, path::AttributePath};

/// One configured expression.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    /// As configured; names the value in the message.
    pub(super) text: String,
    pub(super) meaning: Meaning,
}

/// What an expression means.
#[derive(Debug, Clone)]
pub(super) enum Meaning {
    Path {
        /// The attribute.
        path: AttributePath,
        /// The member of its value, step by step.
        keys: Vec<String>,
    },
    Computed(Arc<dyn ComputedAttribute>),
}

/// Equal texts mean the same.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl Expression {
    pub(super) fn parse(text: &str, compute: Option<ComputeAttribute>) -> Result<Self, AttributeError> {
        let error = |reason: String| AttributeError { expression: text.to_owned(), reason };
        let path = match (names(text), compute) {
            (Some(names), compute) if compute.is_none() || !is_constant(&names) => names,
            (_, Some(compute)) => {
                let computed = compute(text).map_err(error)?;
                return Ok(Self { text: text.to_owned(), meaning: Meaning::Computed(computed) });
            }
            (_, None) => {
                return Err(error("is not an attribute path, and other CEL is not supported".to_owned()));
            }
        };
        let mut names = path.into_iter();
        let group = names.next().unwrap_or_default();
        let path = match AttributePath::whole(&group) {
            Some(path) => path,
            None => {
                let name = names.next().ok_or_else(|| {
                    error("is not an attribute; known are members such as `request.path`".to_owned())
                })?;
                AttributePath::named(&group, &name)
                    .ok_or_else(|| error(format!("is not known: there is no attribute `{group}.{name}`")))?
            }
        };
        let mut keys: Vec<String> = names.collect();
        if !keys.is_empty() && !path.is_map() {
            return Err(error(format!("asks for a member `{}` of a value that has none", keys[0])));
        }
        let path = match header(&path, &keys) {
            Some(Ok(header)) => {
                keys.clear();
                header
            }
            Some(Err(reason)) => return Err(error(reason)),
            None => path,
        };
        Ok(Self { text: text.to_owned(), meaning: Meaning::Path { path, keys } })
    }
}

/// Whether a name is no attribute but a value of CEL.
fn is_constant(names: &[String]) -> bool {
    matches!(names, [name] if matches!(name.as_str(), "true" | "false" | "null"))
}

/// Makes a member of a header map the path of its own that it is.
fn header(path: &AttributePath, keys: &[String]) -> Option<Result<AttributePath, String>> {
    if !path.is_header_map() {
        return None;
    }
    match keys {
        [] => None,
        [name] => Some(path.header(name).ok_or_else(|| format!("has an invalid header name `{name}`"))),
        [_, key, ..] => Some(Err(format!("asks for a member `{key}` of a value that has none"))),
    }
}

/// The names of a path: `a.b["c"]['d']` gives `a`, `b`, `c` and `d`. `None` if it is not a path.
fn names(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim();
    let mut names = vec![identifier(&mut rest)?];
    rest = rest.trim_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            rest = after.trim_start();
            names.push(identifier(&mut rest)?);
        } else {
            rest = rest.strip_prefix('[')?.trim_start();
            let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            let (name, after) = rest[1..].split_once(quote)?;
            if name.contains(['\\', '\n']) {
                return None;
            }
            names.push(name.to_owned());
            rest = after.trim_start().strip_prefix(']')?;
        }
        rest = rest.trim_start();
    }
    Some(names)
}

fn identifier(rest: &mut &str) -> Option<String> {
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    *rest = after;
    let starts_well = name.chars().next().is_some_and(|first| !first.is_ascii_digit());
    starts_well.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::path::{AddressAttribute, ConnectionAttribute, RequestAttribute};

    fn parse(text: &str) -> (AttributePath, Vec<String>) {
        let expression = Expression::parse(text, None).expect(text);
        assert_eq!(expression.text, text);
        match expression.meaning {
            Meaning::Path { path, keys } => (path, keys),
            Meaning::Computed(_) => panic!("{text} is a path"),
        }
    }

    #[test]
    fn paths_have_several_spellings() {
        let path = AttributePath::Request(RequestAttribute::Path);
        for text in ["request.path", "request[\"path\"]", "request['path']", " request . path "] {
            assert_eq!(parse(text), (path.clone(), vec![]), "{text}");
        }
        let header = AttributePath::RequestHeader("x-a".to_owned());
        for text in ["request.headers[\"x-a\"]", "request.headers['X-A']", "request['headers'][ 'x-a' ]"] {
            assert_eq!(parse(text), (header.clone(), vec![]), "{text}");
        }
        assert_eq!(parse("request.headers.host").0, AttributePath::RequestHeader("host".to_owned()));
        assert_eq!(
            parse("response.headers[':status']").0,
            AttributePath::ResponseHeader(":status".to_owned())
        );
        assert_eq!(parse("source.port").0, AttributePath::Source(AddressAttribute::Port));
        assert_eq!(parse("connection.mtls").0, AttributePath::Connection(ConnectionAttribute::Mtls));
        let keys = vec!["filter_metadata".to_owned(), "a.b".to_owned(), "c".to_owned()];
        assert_eq!(parse("metadata.filter_metadata['a.b'].c"), (AttributePath::Metadata, keys));
    }

    /// What cannot be evaluated is refused by name.
    #[test]
    fn other_expressions_are_refused() {
        for text in [
            "",
            "request",
            "nosuch.path",
            "request.nosuch",
            "request.path.x",
            "request.headers['x'].y",
            "request.path == '/'",
            "size(request.headers)",
            "1",
            "'x'",
            "request..path",
            "request.",
            "request[path]",
            "request[0]",
            "request['path",
            "request['path'",
            "request.headers['a\\'b']",
            "a b",
            "request.1a",
            "response.trailers['a b']",
            "!connection.mtls",
        ] {
            let error = Expression::parse(text, None).expect_err(text);
            assert_eq!(error.expression, text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    /// Every name of the list in Envoy's documentation.
    #[test]
    fn all_attributes_are_known() {
        let certificates = "subject_local_certificate subject_peer_certificate dns_san_local_certificate \
            dns_san_peer_certificate uri_san_local_certificate uri_san_peer_certificate sha256_peer_certificate_digest \
            peer_certificate";
        for (group, names) in [
            (
                "request",
                "path url_path host scheme method headers referer useragent time id protocol query duration size total_size \
                headers_bytes",
            ),
            (
                "response",
                "code code_details flags grpc_status headers trailers size total_size backend_latency headers_bytes",
            ),
            ("source", "address port"),
            ("destination", "address port"),
            (
                "connection",
                "id mtls requested_server_name tls_version transport_failure_reason termination_details",
            ),
            ("connection", certificates),
            (
                "upstream",
                "address port tls_version local_address transport_failure_reason request_attempt_count \
                cx_pool_ready_duration locality",
            ),
            ("upstream", certificates),
            (
                "xds",
                "node cluster_name cluster_metadata listener_direction listener_metadata route_name route_metadata \
                virtual_host_name virtual_host_metadata upstream_host_metadata filter_chain_name",
            ),
        ] {
            let mut seen = std::collections::HashSet::new();
            for name in names.split_whitespace() {
                assert!(seen.insert(parse(&format!("{group}.{name}")).0), "{group}.{name}");
            }
        }
        parse("metadata");
        parse("filter_state['a']");
    }
}
