//! What a rule says about requests, whatever API it was written in.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use http::{HeaderName, StatusCode};
use tollgate_model::{
    cors::CorsPolicy,
    matching::{FullRegex, HeaderMatcher, QueryParameterMatcher},
    route::{Fraction, SessionPersistence},
};

use super::ExtensionRef;
use crate::kubernetes::{ObjectRef, Place};

/// A rule of a route.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// What policies call it by `sectionName`.
    pub(crate) name: Option<String>,
    pub(crate) place: Place,
    /// Filters that a dialect has to provide.
    pub(crate) extension_refs: Vec<ExtensionRef>,
    pub(crate) backends: Vec<RuleBackend>,
    /// Which requests it is for: those that any of these is for. Never empty.
    pub(crate) matches: Vec<Match>,
    pub(crate) filters: Filters,
    pub(crate) timeouts: Timeouts,
    pub(crate) retry: Option<Retry>,
    pub(crate) session_persistence: Option<SessionPersistence>,
}

/// A backend of a rule.
#[derive(Debug, Clone)]
pub(crate) struct RuleBackend {
    /// Filters that a dialect has to provide, for requests to this backend only.
    pub(crate) extension_refs: Vec<ExtensionRef>,
    pub(crate) reference: BackendReference,
    /// Its share among the backends of the rule.
    pub(crate) weight: u32,
    pub(crate) filters: Filters,
}

/// A reference to something that serves requests.
#[derive(Debug, Clone)]
pub(crate) struct BackendReference {
    pub(crate) object: ObjectRef,
    pub(crate) port: Option<u16>,
    pub(crate) place: Place,
}

/// Which requests a rule is for: all parts have to hold.
#[derive(Debug, Clone)]
pub(crate) struct Match {
    pub(crate) path: Path,
    /// The method of a request is one of the headers, `:method`.
    pub(crate) headers: Vec<HeaderMatcher>,
    pub(crate) query_parameters: Vec<QueryParameterMatcher>,
    /// Which of several matches that hold comes first.
    pub(crate) precedence: Precedence,
}

/// A condition on the path.
#[derive(Debug, Clone)]
pub(crate) enum Path {
    Exact(String),
    /// Whole path elements.
    Prefix(String),
    Regex(FullRegex),
}

/// Which of several matches that hold comes first: the smallest one (9.6, 9.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Precedence {
    kind: Reverse<PathKind>,
    /// Characters of the path, or of the service.
    length: Reverse<usize>,
    /// Characters of the method of a gRPC service.
    second_length: Reverse<usize>,
    has_method: Reverse<bool>,
    headers: Reverse<usize>,
    query_parameters: Reverse<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PathKind {
    Prefix,
    Regex,
    Exact,
}

impl Precedence {
    /// Of an HTTP match.
    pub(crate) fn http(path: &Path, has_method: bool, headers: usize, query_parameters: usize) -> Self {
        let (kind, length) = match path {
            Path::Exact(path) => (PathKind::Exact, path.len()),
            Path::Prefix(path) => (PathKind::Prefix, path.len()),
            Path::Regex(regex) => (PathKind::Regex, regex.pattern().len()),
        };
        Self {
            kind: Reverse(kind),
            length: Reverse(length),
            second_length: Reverse(0),
            has_method: Reverse(has_method),
            headers: Reverse(headers),
            query_parameters: Reverse(query_parameters),
        }
    }

    /// Of a gRPC match.
    pub(crate) fn grpc(service: usize, method: usize, headers: usize) -> Self {
        Self {
            kind: Reverse(PathKind::Prefix),
            length: Reverse(service),
            second_length: Reverse(method),
            has_method: Reverse(false),
            headers: Reverse(headers),
            query_parameters: Reverse(0),
        }
    }
}

/// What is changed about requests and responses, and what is done instead of forwarding.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters {
    pub(crate) request_headers: HeaderChanges,
    pub(crate) response_headers: HeaderChanges,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) rewrite_host: Option<String>,
    pub(crate) rewrite_path: Option<PathChange>,
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) cors: Option<Arc<CorsPolicy>>,
}

/// Changes of headers.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderChanges {
    /// Replaced, or added.
    pub(crate) set: Vec<(HeaderName, String)>,
    /// Added to what there is.
    pub(crate) add: Vec<(HeaderName, String)>,
    pub(crate) remove: Vec<HeaderName>,
}

/// A redirect. What is not given stays as it is.
#[derive(Debug, Clone)]
pub(crate) struct Redirect {
    pub(crate) scheme: Option<&'static str>,
    pub(crate) hostname: Option<String>,
    pub(crate) path: Option<PathChange>,
    pub(crate) port: Option<u16>,
    pub(crate) status: StatusCode,
}

/// A change of the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathChange {
    Full(String),
    Prefix(String),
}

/// A copy of requests.
#[derive(Debug, Clone)]
pub(crate) struct Mirror {
    pub(crate) reference: BackendReference,
    pub(crate) fraction: Fraction,
}

/// How long things may take. The outer option is what was said at all, the inner one the limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timeouts {
    /// The whole transaction.
    pub(crate) request: Option<Option<Duration>>,
    /// One attempt.
    pub(crate) backend_request: Option<Option<Duration>>,
}

/// What is tried again.
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    pub(crate) codes: Vec<StatusCode>,
    /// Tries after the first.
    pub(crate) attempts: u32,
    /// Shortest time between tries.
    pub(crate) backoff: Option<Duration>,
}
