//! Where the resources come from that a configuration does not hold itself.

use std::time::Duration;

use serde::Serialize;

use crate::{cluster::Cluster, processor::GrpcService};

/// The management servers that a gateway asks for resources. `C` is a cluster, ready for connections or as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Management<C = Cluster> {
    /// The aggregated stream, for every kind of resource that says so.
    pub ads: Option<ApiSource<C>>,
    /// Where clusters come from. `None` = there are none but those of the configuration.
    pub clusters: Option<ResourceSource<C>>,
    /// Where listeners come from. `None` = there are none but those of the configuration.
    pub listeners: Option<ResourceSource<C>>,
    /// What the configuration's own listeners and clusters need.
    pub needs: Vec<Needed<C>>,
    /// The configuration's own clusters: only in these there can be servers that delivered resources name.
    pub clusters_in_place: Vec<String>,
}

/// A resource that a listener or a cluster needs and that is not in the configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Needed<C = Cluster> {
    /// Full name of the type of its message.
    pub message: String,
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub source: ResourceSource<C>,
}

impl<C> Management<C> {
    /// The services of all streams.
    pub fn services(&self) -> impl Iterator<Item = &GrpcService<C>> {
        let of_needs = self.needs.iter().map(|needed| &needed.source);
        let own = [&self.clusters, &self.listeners].into_iter().flatten().chain(of_needs);
        let own = own.filter_map(|source| match &source.server {
            Server::Aggregated => None,
            Server::Own(source) => Some(&**source),
        });
        self.ads.iter().chain(own).map(|source| &source.service)
    }
}

/// Where resources of a kind come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourceSource<C = Cluster> {
    /// The server.
    pub server: Server<C>,
    /// How long the first answer is waited for. `None` = as long as it takes. Default 15 s.
    pub initial_fetch_timeout: Option<Duration>,
}

/// Which server has resources of a kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Server<C = Cluster> {
    /// That of the aggregated stream.
    Aggregated,
    /// One with a stream for this kind alone.
    Own(Box<ApiSource<C>>),
}

/// A stream to a management server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApiSource<C = Cluster> {
    /// The form of the protocol.
    pub variant: Variant,
    /// Who is asked.
    pub service: GrpcService<C>,
}

/// The form of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Variant {
    /// Every response has everything.
    StateOfTheWorld,
    /// A response has what changed.
    Delta,
}
