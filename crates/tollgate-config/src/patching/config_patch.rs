//! Patches that say by conditions what they change, and the places that they change, as Istio's control plane applies them.

mod clusters;
mod listeners;
mod lists;
mod routes;
mod sets;

pub(crate) use self::{
    clusters::{ClusterKey, cluster_names},
    sets::{Outcome, PatchSet},
};
use super::message::Lists;
use crate::{kubernetes::Place, yaml::Node};

/// A change to whatever its conditions match.
#[derive(Debug, Clone)]
pub(crate) struct ConfigPatch {
    pub(crate) apply_to: ApplyTo,
    pub(crate) operation: PatchOperation,
    /// Of every operation but REMOVE.
    pub(crate) value: Option<Node>,
    pub(crate) matching: ObjectMatch,
    /// Where it is written.
    pub(crate) place: Place,
}

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApplyTo {
    Listener,
    ListenerFilter,
    FilterChain,
    NetworkFilter,
    HttpFilter,
    RouteConfiguration,
    VirtualHost,
    HttpRoute,
    Cluster,
    ExtensionConfig,
}

/// How it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchOperation {
    Merge,
    /// The same, but lists are replaced.
    MergeAndReplaceList,
    Add,
    Remove,
    InsertBefore,
    InsertAfter,
    InsertFirst,
    Replace,
}

impl PatchOperation {
    /// What a merge does with lists; `None` = it is no merge.
    fn merges(self) -> Option<Lists> {
        match self {
            Self::Merge => Some(Lists::Grow),
            Self::MergeAndReplaceList => Some(Lists::Replace),
            _ => None,
        }
    }
}

/// Which objects are meant.
#[derive(Debug, Clone, Default)]
pub(crate) enum ObjectMatch {
    #[default]
    Everything,
    Listener(ListenerMatch),
    Routes(RoutesMatch),
    Cluster(ClusterMatch),
}

/// Conditions on listeners and what is in them; `None` holds always.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListenerMatch {
    pub(crate) name: Option<String>,
    pub(crate) port: Option<u32>,
    pub(crate) listener_filter: Option<String>,
    pub(crate) filter_chain: Option<FilterChainMatch>,
}

/// Conditions on filter chains.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilterChainMatch {
    pub(crate) name: Option<String>,
    pub(crate) sni: Option<String>,
    pub(crate) transport_protocol: Option<String>,
    /// Separated by commas; all of them.
    pub(crate) application_protocols: Option<String>,
    pub(crate) destination_port: Option<u32>,
    pub(crate) filter: Option<FilterMatch>,
}

/// A network filter, and an HTTP filter in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilterMatch {
    pub(crate) name: String,
    pub(crate) sub_filter: Option<String>,
}

/// Conditions on route tables and what is in them.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoutesMatch {
    pub(crate) name: Option<String>,
    pub(crate) port: Option<u32>,
    pub(crate) port_name: Option<String>,
    /// `namespace/name` of a Gateway.
    pub(crate) gateway: Option<String>,
    pub(crate) virtual_host: Option<VirtualHostMatch>,
}

/// Conditions on virtual hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct VirtualHostMatch {
    pub(crate) name: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) route: Option<RouteMatch>,
}

/// Conditions on routes.
#[derive(Debug, Clone, Default)]
pub(crate) struct RouteMatch {
    pub(crate) name: Option<String>,
    /// The field of the action: `route`, `redirect` or `direct_response`.
    pub(crate) action: Option<&'static str>,
}

/// Conditions on clusters.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterMatch {
    /// If it is said, nothing else counts.
    pub(crate) name: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) subset: Option<String>,
    pub(crate) port: Option<u32>,
}

/// What a listener and the things in it are called where the patches come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Called {
    /// Names of the listener.
    pub(crate) names: Vec<String>,
    /// Its port, and the one that it usually is behind its Service.
    pub(crate) ports: Vec<u32>,
    /// The port that hosts are named with.
    pub(crate) port: u16,
    /// For each filter chain.
    pub(crate) chains: Vec<CalledChain>,
}

/// What the route table of a filter chain is called.
#[derive(Debug, Clone, Default)]
pub(crate) struct CalledChain {
    pub(crate) route_tables: Vec<String>,
    pub(crate) port_names: Vec<String>,
    /// `namespace/name` of Gateways.
    pub(crate) gateways: Vec<String>,
}

impl ConfigPatch {
    /// The conditions on listeners, if there are any.
    fn listener(&self) -> Option<&ListenerMatch> {
        match &self.matching {
            ObjectMatch::Listener(found) => Some(found),
            _ => None,
        }
    }

    fn filter_chain(&self) -> Option<&FilterChainMatch> {
        self.listener()?.filter_chain.as_ref()
    }

    fn filter(&self) -> Option<&FilterMatch> {
        self.filter_chain()?.filter.as_ref()
    }

    fn routes(&self) -> Option<&RoutesMatch> {
        match &self.matching {
            ObjectMatch::Routes(found) => Some(found),
            _ => None,
        }
    }

    fn virtual_host(&self) -> Option<&VirtualHostMatch> {
        self.routes()?.virtual_host.as_ref()
    }

    fn cluster(&self) -> Option<&ClusterMatch> {
        match &self.matching {
            ObjectMatch::Cluster(found) => Some(found),
            _ => None,
        }
    }

    /// Whether it puts a filter in front of requests, so that they must not pass where it cannot be done.
    fn puts_http_filter(&self) -> bool {
        self.apply_to == ApplyTo::HttpFilter
            && !matches!(
                self.operation,
                PatchOperation::Remove | PatchOperation::Merge | PatchOperation::MergeAndReplaceList
            )
    }
}
