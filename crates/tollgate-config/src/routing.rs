//! Routes whatever API they were written in: rules, what they match, do and refer to.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use tollgate_model::{
    cors::CorsPolicy,
    header::FieldName,
    matching::{HeaderMatcher, HeaderValueMatch, QueryParameterMatcher, StringMatcher},
    route::{Fraction, PathMatch, PathRewrite, RedirectPath, RetryPolicy, SessionPersistence},
};

use crate::kubernetes::{ObjectRef, Place};

/// A rule of a route.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// What policies call it by `sectionName`.
    pub(crate) name: Option<String>,
    pub(crate) place: Place,
    /// Why nothing of it is served although the rest of the route is.
    pub(crate) invalid: Option<InvalidRule>,
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

/// Why nothing of a rule is served although the rest of the route is.
#[derive(Debug, Clone)]
pub(crate) struct InvalidRule {
    pub(crate) message: String,
    pub(crate) place: Place,
}

impl InvalidRule {
    /// The message for a status, where there are no lines.
    pub(crate) fn message_with_path(&self) -> String {
        format!("{}: {}", self.place.path, self.message)
    }
}

/// A filter of type `ExtensionRef`: an object of the route's namespace.
#[derive(Debug, Clone)]
pub(crate) struct ExtensionRef {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) place: Place,
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
    /// What decides which of several matches that hold comes first.
    pub(crate) precedence: Precedence,
}

/// What a match says, as far as it decides which of several that hold comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Precedence {
    kind: PathKind,
    /// Characters of the path, or of the service.
    length: usize,
    /// Characters of the method of a gRPC service.
    second_length: usize,
    has_method: bool,
    headers: Conditions,
    query_parameters: Conditions,
}

/// How many conditions there are, and how many of them ask for an exact value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Conditions {
    all: usize,
    exact: usize,
}

/// Which conditions of matches count how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ranking {
    /// The path, a method, then the number of headers and of query parameters.
    MethodFirst,
    /// A method is a header like the others, and of as many conditions exact ones count more.
    ExactFirst,
}

/// Which of several matches that hold comes first: the smallest one (9.6, 9.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(Reverse<(PathKind, usize, usize, bool, Conditions, Conditions)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PathKind {
    Prefix,
    Regex,
    Exact,
}

impl Precedence {
    /// Of an HTTP match; the method is not among the headers.
    pub(crate) fn http(
        path: &PathMatch,
        has_method: bool,
        headers: &[HeaderMatcher],
        query_parameters: &[QueryParameterMatcher],
    ) -> Self {
        let (kind, length) = match path {
            PathMatch::Path { path, .. } => (PathKind::Exact, path.len()),
            PathMatch::Prefix { prefix, .. } | PathMatch::PathSeparatedPrefix { prefix, .. } => {
                (PathKind::Prefix, prefix.len())
            }
            PathMatch::SafeRegex(regex) => (PathKind::Regex, regex.pattern().len()),
            PathMatch::Template(template) => (PathKind::Regex, template.written().len()),
        };
        let exact = |value: &Option<StringMatcher>| matches!(value, Some(StringMatcher::Exact(_)));
        let query_parameters = Conditions {
            all: query_parameters.len(),
            exact: query_parameters.iter().filter(|parameter| exact(&parameter.value)).count(),
        };
        Self { kind, length, second_length: 0, has_method, headers: conditions(headers), query_parameters }
    }

    /// Of a gRPC match.
    pub(crate) fn grpc(service: usize, method: usize, headers: &[HeaderMatcher]) -> Self {
        Self {
            kind: PathKind::Prefix,
            length: service,
            second_length: method,
            has_method: false,
            headers: conditions(headers),
            query_parameters: Conditions::default(),
        }
    }

    /// The place among others.
    pub(crate) fn rank(self, ranking: Ranking) -> Rank {
        let Self { kind, length, second_length, has_method, headers, query_parameters } = self;
        let (has_method, headers, query_parameters) = match ranking {
            Ranking::ExactFirst => {
                let method = usize::from(has_method);
                let headers = Conditions { all: headers.all + method, exact: headers.exact + method };
                (false, headers, query_parameters)
            }
            Ranking::MethodFirst => {
                let number = |conditions: Conditions| Conditions { exact: 0, ..conditions };
                (has_method, number(headers), number(query_parameters))
            }
        };
        Rank(Reverse((kind, length, second_length, has_method, headers, query_parameters)))
    }
}

fn conditions(headers: &[HeaderMatcher]) -> Conditions {
    let exact =
        |header: &&HeaderMatcher| matches!(header.value, HeaderValueMatch::String(StringMatcher::Exact(_)));
    Conditions { all: headers.len(), exact: headers.iter().filter(exact).count() }
}

impl Match {
    /// The preflight requests for requests that this is for, as Envoy Gateway makes it where a rule has CORS: browsers ask
    /// with a method that the match does not have. `None` where it would find them itself.
    pub(crate) fn preflight(&self) -> Option<Self> {
        let method = |header: &HeaderMatcher| header.name == FieldName::Method;
        let options = |header: &HeaderMatcher| matches!(&header.value, HeaderValueMatch::String(StringMatcher::Exact(text)) if text == "OPTIONS");
        let own = self.headers.iter().find(|header| method(header))?;
        if options(own) {
            return None;
        }
        let mut headers: Vec<_> = self.headers.iter().filter(|header| !method(header)).cloned().collect();
        for name in ["origin", "access-control-request-method"] {
            headers.push(HeaderMatcher {
                name: FieldName::parse(name)?,
                value: HeaderValueMatch::Present(true),
                invert_match: false,
                treat_missing_header_as_empty: false,
            });
        }
        let precedence = Precedence::http(&self.path, true, &headers, &self.query_parameters);
        let value = HeaderValueMatch::String(StringMatcher::Exact("OPTIONS".to_owned()));
        headers.push(HeaderMatcher { value, ..own.clone() });
        Some(Self {
            path: self.path.clone(),
            headers,
            query_parameters: self.query_parameters.clone(),
            precedence,
        })
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
        /// Tries after the first; `None` = as many as the controller has where nothing is said.
        attempts: Option<u32>,
        /// Shortest time between tries.
        backoff: Option<Duration>,
    },
    /// As Envoy has it.
    Policy(Arc<RetryPolicy>),
}

/// A reference to an object that has certificates of authorities, in the namespace of the referrer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateRef {
    /// API group; empty = core.
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) name: String,
}
