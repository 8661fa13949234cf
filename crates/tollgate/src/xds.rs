//! Configurations that management servers deliver (xDS).
//!
//! A [`Session`](session::Session) follows them on a thread of its own. Resources are read and checked when they come
//! ([`shelf`]), and answered one by one. Those that work become parts of a configuration with what is in the bootstrap
//! ([`assembly`]), which is put in force as any other one. What is known of all of it can be looked at ([`status`]).

pub(crate) mod assembly;
mod servers;
pub(crate) mod session;
mod shelf;
pub(crate) mod status;
mod users;

use std::{cell::RefCell, rc::Rc, time::Instant};

use tollgate_config::Options;
use tollgate_model::{
    Snapshot,
    management::{ApiSource, Management, ResourceSource, Server},
};
use tollgate_proxy::DiscoveryType;
use tollgate_xds::{Channel, Discovery, Kind, Settings, Timeouts, proto};

use self::{
    servers::{Servers, Services, variant},
    shelf::{DeliveredReader, Shelf},
};

/// Resources, and what is asked for.
type Resources = Discovery<DeliveredReader>;

/// How a kind is called by those who count.
fn discovery_type(kind: Kind) -> DiscoveryType {
    match kind {
        Kind::Cluster => DiscoveryType::Cds,
        Kind::Endpoints => DiscoveryType::Eds,
        Kind::Secret => DiscoveryType::Sds,
        Kind::Listener => DiscoveryType::Lds,
        Kind::Routes => DiscoveryType::Rds,
    }
}

/// What is asked for of whom: resources, and the service of each channel.
struct Plan {
    resources: Resources,
    services: Services,
    servers: Rc<RefCell<Servers>>,
    shelf: Rc<RefCell<Shelf>>,
}

impl Plan {
    /// For the management servers of a configuration.
    fn new(snapshot: &Snapshot, management: &Management, options: &Options) -> Self {
        let node = &snapshot.node;
        let node = proto::node(&node.message, &node.id, &node.cluster, env!("CARGO_PKG_VERSION"));
        let (mut channels, mut services) = (Vec::new(), Vec::new());
        let mut add = |source: &ApiSource, kinds: Vec<Kind>, aggregated| {
            let settings = Settings::aggregated(variant(source), node.clone());
            let settings = Settings { kinds, aggregated, seed: fastrand::u64(..), ..settings };
            channels.push(Channel::new(settings));
            services.push(source.service.clone());
        };
        let is_aggregated = |source: &Option<ResourceSource>| {
            source.as_ref().is_some_and(|source| source.server == Server::Aggregated)
        };
        if let Some(ads) = &management.ads {
            let kinds = Kind::ALL.into_iter().filter(|kind| match kind {
                Kind::Cluster => is_aggregated(&management.clusters),
                Kind::Listener => is_aggregated(&management.listeners),
                Kind::Endpoints | Kind::Secret | Kind::Routes => true,
            });
            add(ads, kinds.collect(), true);
        }
        for (kind, source) in [(Kind::Cluster, &management.clusters), (Kind::Listener, &management.listeners)]
        {
            if let Some(ResourceSource { server: Server::Own(own), .. }) = source {
                add(own, vec![kind], false);
            }
        }
        let mut timeouts = Timeouts::default();
        if let Some(clusters) = &management.clusters {
            timeouts.clusters = clusters.initial_fetch_timeout;
        }
        if let Some(listeners) = &management.listeners {
            timeouts.listeners = listeners.initial_fetch_timeout;
        }
        let shelf = Rc::<RefCell<Shelf>>::default();
        let services = Rc::new(RefCell::new(services));
        let servers = Rc::new(RefCell::new(Servers::new(node, services.clone())));
        let reader = DeliveredReader::new(shelf.clone(), servers.clone(), options.clone());
        let resources = Discovery::with_timeouts(reader, channels, Instant::now(), timeouts);
        Self { resources, services, servers, shelf }
    }
}
