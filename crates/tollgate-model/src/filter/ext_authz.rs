//! The `ext_authz` filter: it asks an authorization service about each request.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderName, StatusCode};
use serde::{Serialize, Serializer};

use crate::{
    format::Format,
    matching::{MetadataMatcher, StringMatcher},
    route::Fraction,
};

/// Settings of the filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExtAuthz {
    /// Who is asked.
    pub service: AuthService,
    /// What of the body it is sent; without this it is asked before the body has come.
    pub with_request_body: Option<AuthBody>,
    /// Let requests pass when the service fails (true), or answer `status_on_error`. Default false.
    pub failure_mode_allow: bool,
    /// Mark requests that pass in that way: `x-envoy-auth-failure-mode-allowed: true`. Default false.
    pub failure_mode_allow_header_add: bool,
    /// The answer when the service fails. Default 403.
    #[serde(serialize_with = "status")]
    pub status_on_error: StatusCode,
    /// Match the routes again after changes of the request. Default false.
    pub clear_route_cache: bool,
    /// Dynamic metadata that the service is sent, by namespace.
    pub metadata_context_namespaces: Vec<String>,
    /// Static metadata of the route that the service is sent, by namespace.
    pub route_metadata_context_namespaces: Vec<String>,
    /// For which share of the requests the filter works. Default all.
    pub filter_enabled: Fraction,
    /// It works only where dynamic metadata passes. Default everywhere.
    pub filter_enabled_metadata: Option<MetadataMatcher>,
    /// Where it does not work, requests are refused. Default false.
    pub deny_at_disable: bool,
    /// Part of the names of its counters; empty = nothing.
    pub stat_prefix: String,
    /// Headers that the service is sent. Default: all for gRPC, a few for HTTP.
    pub allowed_headers: Option<Vec<StringMatcher>>,
    /// Headers that it is not sent, whatever is allowed.
    pub disallowed_headers: Vec<StringMatcher>,
    /// Send the server name of the TLS handshake. Default false.
    pub include_tls_session: bool,
    /// Count refused requests as responses of the cluster that they would have gone to. Default true.
    pub charge_cluster_response_stats: bool,
    /// Take over dynamic metadata that the service answers. Default true.
    pub enable_dynamic_metadata_ingestion: bool,
    /// What routes tell the service.
    pub context_extensions: BTreeMap<String, String>,
}

/// What of a body the service is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AuthBody {
    /// Largest body, bytes; a larger one is refused (413) or sent in part.
    pub max_request_bytes: usize,
    /// Ask as soon as that much is there.
    pub allow_partial_message: bool,
    /// Send it as bytes, not as text.
    pub pack_as_bytes: bool,
}

/// An authorization service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum AuthService {
    /// `envoy.service.auth.v3.Authorization` over gRPC.
    Grpc(UnaryService),
    /// A server that gets the head of the request.
    Http(HttpAuthService),
}

/// A gRPC service that is asked once a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnaryService {
    /// Its cluster, by name. One that does not exist fails each request.
    pub cluster: String,
    /// `:authority` of the calls.
    pub authority: String,
    /// Metadata of the calls, in order.
    pub initial_metadata: Vec<(String, Format)>,
    /// Leave `x-forwarded-for` and `x-envoy-internal` out of the calls. Default false.
    pub skip_envoy_headers: bool,
    /// How long an answer may take. Default 200 ms.
    pub timeout: Duration,
}

/// An authorization service over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HttpAuthService {
    /// Its cluster, by name. One that does not exist fails each request.
    pub cluster: String,
    /// `server_uri.uri`, as written; nothing of it counts.
    pub uri: String,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Before the path of the request.
    pub path_prefix: String,
    /// Headers that are added to what it is sent.
    #[serde(serialize_with = "fields")]
    pub headers_to_add: Vec<(HeaderName, Format)>,
    /// Headers of its answer that replace those of the request.
    pub allowed_upstream_headers: Vec<StringMatcher>,
    /// Headers of its answer that are added to those of the request.
    pub allowed_upstream_headers_to_append: Vec<StringMatcher>,
    /// Headers of a refusal that the client gets; some always are among them. Default all.
    pub allowed_client_headers: Option<Vec<StringMatcher>>,
    /// Headers of its answer that are added to the response.
    pub allowed_client_headers_on_success: Vec<StringMatcher>,
    /// Headers of its answer that become dynamic metadata.
    pub dynamic_metadata_from_headers: Vec<StringMatcher>,
}

/// What a route says about the filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CheckSettings {
    /// Told to the service, with those of less specific levels.
    pub context_extensions: BTreeMap<String, String>,
    /// Ask before the body has come.
    pub disable_request_body_buffering: bool,
    /// Another way to send the body.
    pub with_request_body: Option<AuthBody>,
    /// Another service.
    pub service: Option<AuthService>,
}

impl ExtAuthz {
    /// The settings below a level that says this.
    #[must_use]
    pub fn with(&self, level: &CheckSettings) -> Self {
        let mut changed = self.clone();
        let own = level.context_extensions.iter().map(|(key, value)| (key.clone(), value.clone()));
        changed.context_extensions.extend(own);
        if level.with_request_body.is_some() {
            changed.with_request_body = level.with_request_body;
        }
        if level.disable_request_body_buffering {
            changed.with_request_body = None;
        }
        if let Some(service) = &level.service {
            changed.service = service.clone();
        }
        changed
    }
}

fn status<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

fn fields<S: Serializer>(fields: &[(HeaderName, Format)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(fields.iter().map(|(name, value)| (name.as_str(), value)))
}
