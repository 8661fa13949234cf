//! The types of resources.

use std::fmt;

/// A type of resource, in the order in which a gateway has to know them: clusters before the routes that name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Clusters (CDS).
    Cluster,
    /// The endpoints of a cluster (EDS).
    Endpoints,
    /// Certificates, keys and what certificates are verified with (SDS).
    Secret,
    /// Listeners (LDS).
    Listener,
    /// Route tables (RDS).
    Routes,
}

/// The method of the aggregated service for the state of the world.
pub const AGGREGATED_SOTW: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
/// The method of the aggregated service for changes.
pub const AGGREGATED_DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

impl Kind {
    /// All kinds, in their order.
    pub const ALL: [Self; 5] = [Self::Cluster, Self::Endpoints, Self::Secret, Self::Listener, Self::Routes];

    /// The full name of the message.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Cluster => "envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secret => "envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "envoy.config.listener.v3.Listener",
            Self::Routes => "envoy.config.route.v3.RouteConfiguration",
        }
    }

    /// The type as requests and responses name it.
    #[must_use]
    pub fn type_url(self) -> String {
        format!("type.googleapis.com/{}", self.message())
    }

    /// The kind that a type names.
    #[must_use]
    pub fn of_type_url(url: &str) -> Option<Self> {
        Self::of_message(url.strip_prefix("type.googleapis.com/")?)
    }

    /// The kind whose message has this full name.
    #[must_use]
    pub fn of_message(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.message() == name)
    }

    /// Whether a gateway asks for all there are, and a state of the world is complete: what it lacks is gone. Resources of the
    /// other kinds are asked for by name.
    #[must_use]
    pub fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }

    /// The method of the kind's own service for the state of the world.
    #[must_use]
    pub fn sotw_method(self) -> &'static str {
        match self {
            Self::Cluster => "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters",
            Self::Endpoints => "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints",
            Self::Secret => "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
            Self::Listener => "/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners",
            Self::Routes => "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes",
        }
    }

    /// The method of the kind's own service for changes.
    #[must_use]
    pub fn delta_method(self) -> &'static str {
        match self {
            Self::Cluster => "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters",
            Self::Endpoints => "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints",
            Self::Secret => "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
            Self::Listener => "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners",
            Self::Routes => "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes",
        }
    }
}

impl fmt::Display for Kind {
    /// `Cluster`: the last part of the message's name.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message().rsplit('.').next().unwrap_or_default())
    }
}
