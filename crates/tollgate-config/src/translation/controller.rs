//! What the controllers of gateways do each in their own way: defaults, names and words.
//!
//! The values that are called `PLAIN` are what Envoy does, and the words of Gateway API; a system says what it does otherwise.

use std::{fmt, time::Duration};

use http::StatusCode;
use tollgate_ir::{BareCluster, HttpConnectionManager};
use tollgate_model::route::{RetryOn, RetryPolicy};

use super::{BackendError, Gateway, GatewaySettings, Problem, Referring, Translator, messages::Message};
use crate::{
    gateway_api::ParametersRef,
    kubernetes::{ObjectRef, core::ServicePort, status::ParentReference},
    routing::Ranking,
};

/// Whose rules apply to gateways where the systems differ (CF-17).
pub(crate) struct Controller {
    /// The name that stands in `controllerName`.
    pub(crate) name: &'static str,
    /// What its classes are usually called: for Gateways whose class is not in the input.
    pub(crate) classes: &'static [&'static str],
    /// The name that it was told to claim instead of its own (CF-19).
    pub(crate) claims: Option<fn(&Translator<'_>) -> String>,
    /// What the parameters of a class or of a Gateway mean. What is wrong with them is reported.
    pub(crate) parameters: fn(&Translator<'_>, &ParametersRef) -> Result<GatewaySettings, Problem>,
    pub(crate) defaults: Defaults,
    pub(crate) names: Names,
    pub(crate) words: Words,
}

impl Controller {
    /// The name that it claims classes by.
    pub(crate) fn claimed_name(&self, translator: &Translator<'_>) -> String {
        self.claims.map_or_else(|| self.name.to_owned(), |claims| claims(translator))
    }

    /// Whether it is that one: no two have the same name.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// What applies where nothing is said (2.2, EG-32, EG-37, 4.9).
pub(crate) struct Defaults {
    /// Limit of buffered bodies, bytes.
    pub(crate) buffer_limit: usize,
    /// How long a request may take, of a route of gRPC or of another one.
    pub(crate) request_timeout: fn(grpc: bool) -> Option<Duration>,
    /// Changes a connection manager that has Envoy's defaults and lets WebSockets pass.
    pub(crate) connection_manager: fn(&mut HttpConnectionManager),
    /// Changes a cluster that has Envoy's defaults.
    pub(crate) cluster: fn(&mut BareCluster),
    /// What is tried again by a rule that asks for retries and names these statuses, or none.
    pub(crate) retries: fn(&[StatusCode]) -> RetryPolicy,
    /// What is tried again by a rule that does not ask for it, and limits each try or does not.
    pub(crate) unasked_retries: fn(per_try_timeout: Option<Duration>) -> Option<RetryPolicy>,
    /// Where nothing is tried again, the limit of the one try is that of the request.
    pub(crate) limits_requests_by_tries: bool,
    /// No stream ends for standing still before its request may, nor before this time.
    pub(crate) least_idle_timeout: Option<Duration>,
    /// `x-forwarded-host` is added where the authority is rewritten.
    pub(crate) append_x_forwarded_host: bool,
    /// Values of headers are given to Envoy, which expands `%DYNAMIC_METADATA(…)%` and the like.
    pub(crate) expands_header_values: bool,
    /// What decides which of several matches that hold comes first.
    pub(crate) ranking: Ranking,
    /// Of routes that meet in a host name the one with the more specific name comes first.
    pub(crate) specific_hosts_first: bool,
    /// A rule with CORS takes the preflight requests that its matches leave out.
    pub(crate) preflight_routes: bool,
    /// A listener that names a kind of routes which is not known is not served.
    pub(crate) refuses_unknown_route_kinds: bool,
    /// What is spoken with a port of a Service, as its `appProtocol` would say it.
    pub(crate) app_protocol: fn(&ServicePort) -> Option<String>,
}

impl Defaults {
    pub(crate) const PLAIN: Self = Self {
        buffer_limit: 1024 * 1024,
        request_timeout: |_| Some(Duration::from_secs(15)),
        connection_manager: |_| {},
        cluster: |_| {},
        retries: |codes| {
            let of_statuses =
                if codes.is_empty() { RetryOn::default() } else { RetryOn::RETRIABLE_STATUS_CODES };
            RetryPolicy {
                retry_on: RetryOn::CONNECT_FAILURE
                    .or(RetryOn::REFUSED_STREAM)
                    .or(RetryOn::RESET)
                    .or(of_statuses),
                retriable_status_codes: codes.to_vec(),
                ..RetryPolicy::default()
            }
        },
        unasked_retries: |per_try_timeout| {
            Some(RetryPolicy { per_try_timeout: Some(per_try_timeout?), ..RetryPolicy::default() })
        },
        limits_requests_by_tries: false,
        least_idle_timeout: None,
        append_x_forwarded_host: false,
        expands_header_values: true,
        ranking: Ranking::MethodFirst,
        specific_hosts_first: true,
        preflight_routes: false,
        refuses_unknown_route_kinds: false,
        app_protocol: |port| port.app_protocol.clone(),
    };
}

/// No connection, streams that were refused unseen, and gRPC's UNAVAILABLE and CANCELLED: nothing that an upstream may have done
/// already.
pub(crate) const UNSEEN_OR_REFUSED: RetryOn =
    RetryOn::CONNECT_FAILURE.or(RetryOn::REFUSED_STREAM).or(RetryOn::UNAVAILABLE).or(RetryOn::CANCELLED);

/// What operators see in statistics and logs.
pub(crate) struct Names {
    /// The cluster of a backend.
    pub(crate) cluster: fn(&ClusterSite<'_>) -> String,
    /// A route.
    pub(crate) route: fn(&RouteSite<'_>) -> String,
}

/// A cluster that is about to be named.
pub(crate) struct ClusterSite<'a> {
    pub(crate) site: Referring<'a>,
    pub(crate) backend: &'a ObjectRef,
    /// Its port, if it has one.
    pub(crate) port: String,
    /// It is for a route of gRPC.
    pub(crate) grpc: bool,
    pub(crate) cluster_domain: &'a str,
}

impl ClusterSite<'_> {
    /// Whether it is a Service.
    pub(crate) fn is_service(&self) -> bool {
        self.backend.group.is_empty()
    }

    /// A name of a backend that routes of gRPC reach otherwise than others.
    pub(crate) fn by_protocol(&self, name: String) -> String {
        if self.grpc { name + "/grpc" } else { name }
    }
}

/// A route that is about to be named.
pub(crate) struct RouteSite<'a> {
    pub(crate) object: &'a ObjectRef,
    pub(crate) rule_index: usize,
    pub(crate) match_index: usize,
    /// For preflight requests of the match.
    pub(crate) preflight: bool,
    pub(crate) domain: &'a str,
}

impl Names {
    pub(crate) const PLAIN: Self = Self {
        cluster: |cluster| {
            let ClusterSite { backend, port, .. } = cluster;
            let key = backend.key();
            cluster.by_protocol(match cluster.is_service() {
                true => format!("{key}:{port}"),
                false => format!("{}/{key}:{port}", backend.kind.to_ascii_lowercase()),
            })
        },
        // EG-36
        route: |route| {
            format!(
                "{}/{}/{}/rule/{}/match/{}/{}{}",
                route.object.kind.to_ascii_lowercase(),
                route.object.namespace,
                route.object.name,
                route.rule_index,
                route.match_index,
                if route.preflight { "cors-preflight/" } else { "" },
                route.domain.replace('.', "_")
            )
        },
    };
}

/// What statuses say.
pub(crate) struct Words {
    /// The message of a condition; `None` = the plain one.
    pub(crate) message: fn(&Message) -> Option<String>,
    /// The reason why a backend cannot be used; `None` = that of Gateway API.
    pub(crate) backend_reason: fn(&BackendError) -> Option<&'static str>,
    /// The same for people.
    pub(crate) backend_message: fn(&BackendError, Referring<'_>) -> String,
    /// The condition of a route with rules that are not served because of a policy (4.8). `None` = there is none.
    pub(crate) replaced_rules: Option<&'static str>,
    /// What the status of a BackendTLSPolicy is about that is used for a route: its parent or its Gateway.
    pub(crate) tls_ancestor: fn(&ParentReference, &Gateway) -> ParentReference,
}

impl Words {
    pub(crate) const PLAIN: Self = Self {
        message: |_| None,
        backend_reason: |_| None,
        backend_message: |error, _| error.to_string(),
        replaced_rules: None,
        tls_ancestor: |_, gateway| ParentReference::to(&gateway.object),
    };
}

/// Parameters that have no effect on a gateway, as those of systems whose parameters are about the deployment.
pub(crate) fn parameters_without_effect(
    translator: &Translator<'_>,
    chosen: &ParametersRef,
) -> Result<GatewaySettings, Problem> {
    let message = format!("{} is not read: its settings have no effect", chosen.object);
    translator.diagnostics.warning(&chosen.place, message, None);
    Ok(GatewaySettings::default())
}
