//! What a rule says about requests, whatever API it was written in.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use tollgate_model::{
    cors::CorsPolicy,
    matching::{HeaderMatcher, QueryParameterMatcher},
    route::{Fraction, PathMatch, PathRewrite, RedirectPath, RetryPolicy, SessionPersistence},
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
    /// Which requests it is for: those that any of these is for.
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
    pub(crate) path: PathMatch,
    /// The method of a request is one of the headers, `:method`.
    pub(crate) headers: Vec<HeaderMatcher>,
    pub(crate) query_parameters: Vec<QueryParameterMatcher>,
    /// Which of several matches that hold comes first.
    pub(crate) precedence: Precedence,
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
    pub(crate) fn http(path: &PathMatch, has_method: bool, headers: usize, query_parameters: usize) -> Self {
        let (kind, length) = match path {
            PathMatch::Path { path, .. } => (PathKind::Exact, path.len()),
            PathMatch::Prefix { prefix, .. } | PathMatch::PathSeparatedPrefix { prefix, .. } => {
                (PathKind::Prefix, prefix.len())
            }
            PathMatch::SafeRegex(regex) => (PathKind::Regex, regex.pattern().len()),
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
    pub(crate) rewrite_path: Option<PathRewrite>,
    /// Answered instead of forwarding.
    pub(crate) direct_response: Option<(StatusCode, Bytes)>,
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
    pub(crate) path: Option<RedirectPath>,
    pub(crate) port: PortOfRedirect,
    pub(crate) status: StatusCode,
}

/// The port that a redirect names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortOfRedirect {
    /// This one, else that of the scheme, else that of the listener; not named where it is the usual one (9.6).
    UnlessUsual(Option<u16>),
    /// This one, always.
    Always(u16),
    /// That of the listener, always.
    OfListener,
    /// That of the request.
    OfRequest,
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
pub(crate) enum Retry {
    /// Connections that fail, streams that are refused or reset, and some statuses (9.6).
    Statuses {
        codes: Vec<StatusCode>,
        /// Tries after the first.
        attempts: u32,
        /// Shortest time between tries.
        backoff: Option<Duration>,
    },
    /// As Envoy has it.
    Policy(Arc<RetryPolicy>),
}
