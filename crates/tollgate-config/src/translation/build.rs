//! From gateways with their routes to the listeners of a snapshot.

mod action;
mod chain;
mod filters;
mod rules;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use tollgate_ir::{DownstreamTlsContext, FilterChain, Listener, Resources, Sourced};
use tollgate_model::{
    listener::{
        BindAddress, ConnectionLimits, FilterChainMatch, HostTable, MisdirectedRequests, TlsFingerprints,
        TrafficDirection,
    },
    shared::Identity,
};

use self::chain::{Chain, Hosts};
use super::{
    Dialect, Gateway, IpFamily, Listener as GatewayListener, ListenerSettings, Problem, ServedListener,
    Translator,
};
use crate::{
    Explanations, RouteKey,
    kubernetes::{ObjectRef, status::ParentReference},
};

/// What building gave.
#[derive(Default)]
pub(super) struct Built {
    /// All but the clusters.
    pub(super) resources: Resources,
    pub(super) explanations: Explanations,
    pub(super) outcomes: Outcomes,
    /// What each listener is made of, by its name.
    pub(super) listeners: HashMap<String, ServedListener>,
}

/// How routes fare under their parents, as far as their rules decide it.
pub(super) type Outcomes = HashMap<ObjectRef, BTreeMap<ParentReference, RouteOutcome>>;

/// How a route fares under a parent.
#[derive(Debug, Default)]
pub(super) struct RouteOutcome {
    /// Why references are not resolved; the first one counts.
    pub(super) unresolved: Option<Problem>,
    /// Rules of which nothing is served, and why.
    pub(super) replaced: BTreeMap<usize, String>,
    /// Rules that are served in part.
    pub(super) rules: usize,
}

/// What building needs.
pub(super) struct Builder<'b, 'a> {
    pub(super) translator: &'b Translator<'a>,
    pub(super) dialects: Vec<Box<dyn Dialect + 'b>>,
    pub(super) built: Built,
    /// Of listeners so far.
    pub(super) names: HashSet<String>,
}

/// A listener of a port. Those of merged gateways are of several (6.9).
#[derive(Clone, Copy)]
struct Member<'g> {
    /// Which of the listeners of the port it is.
    number: u32,
    gateway: &'g Gateway,
    listener: &'g GatewayListener,
    settings: &'g ListenerSettings,
}

/// A listener of a gateway, and how it treats its clients.
type WithSettings<'g> = (&'g Gateway, &'g GatewayListener, ListenerSettings);

impl<'g> Member<'g> {
    /// Settings that all of them have; `None` = they do not agree.
    fn common_settings(members: &[Self]) -> Option<&'g ListenerSettings> {
        let first = members.first()?.settings;
        members.iter().all(|member| member.settings == first).then_some(first)
    }
}

impl Builder<'_, '_> {
    /// Builds the listeners of all gateways.
    pub(super) fn gateways<'g>(&mut self, gateways: impl Iterator<Item = &'g Gateway>) {
        let mut groups: Vec<Vec<&Gateway>> = Vec::new();
        let mut known = HashMap::new();
        for gateway in gateways {
            for (route, parent) in &gateway.idle.waiting {
                self.note_references(gateway, route, parent);
            }
            match gateway.port_share().and_then(|share| known.get(&share)) {
                Some(index) => {
                    let group: &mut Vec<&Gateway> = &mut groups[*index];
                    group.push(gateway);
                }
                None => {
                    known.extend(gateway.port_share().map(|share| (share, groups.len())));
                    groups.push(vec![gateway]);
                }
            }
        }
        for group in groups {
            self.gateways_of_one_address(&group);
        }
    }

    /// Builds one listener for each port.
    fn gateways_of_one_address(&mut self, gateways: &[&Gateway]) {
        let mut ports: Vec<(u16, Vec<WithSettings<'_>>)> = Vec::new();
        let mut known: HashMap<u16, usize> = HashMap::new();
        for gateway in gateways {
            for listener in &gateway.listeners {
                let settings = self.listener_settings(gateway, listener);
                let index = *known.entry(listener.port).or_insert_with(|| {
                    ports.push((listener.port, Vec::new()));
                    ports.len() - 1
                });
                ports[index].1.push((gateway, listener, settings));
            }
        }
        for (port, members) in &ports {
            let members: Vec<Member<'_>> = (0..)
                .zip(members)
                .map(|(number, (gateway, listener, settings))| Member { number, gateway, listener, settings })
                .collect();
            self.port(*port, &members);
        }
    }

    /// How a listener treats its clients.
    fn listener_settings(&self, gateway: &Gateway, listener: &GatewayListener) -> ListenerSettings {
        let mut settings = ListenerSettings::of(gateway.controller);
        for dialect in &self.dialects {
            dialect.listener(gateway, listener, &mut settings);
        }
        settings
    }

    fn port(&mut self, port: u16, members: &[Member<'_>]) {
        let Some(&Member { gateway, listener: first, settings: of_port, .. }) = members.first() else {
            return;
        };
        let bound = self.bound_port(port);
        let name = self.unique_name(format!("{}/{}", first.owner.key(), first.name), port);
        let is_tls = first.tls.is_some();
        let hosts = Hosts::of(members);
        let host_table = is_tls.then(|| host_table(members));
        let mut filter_chains = Vec::new();
        let groups = groups(members);
        let own = |member: &Member<'_>| (member.listener.owner.clone(), member.listener.name.clone());
        let served = ServedListener {
            gateways: members.iter().map(|member| member.gateway.object.clone()).collect(),
            controller: gateway.controller,
            port,
            tls: is_tls,
            chains: groups.iter().map(|group| group.iter().map(own).collect()).collect(),
        };
        self.built.listeners.insert(name.clone(), served);
        for (index, group) in groups.iter().enumerate() {
            let chain = Chain { gateway, members: group, hosts: &hosts, port: bound };
            // The name of a table need not be unique.
            let table_name = format!("{name}/{index}");
            let common = Member::common_settings(group).cloned();
            let settings = common.unwrap_or_else(|| ListenerSettings::of(gateway.controller));
            let (http, table, explained) = self.chain(&chain, table_name.clone(), settings.http);
            self.built.resources.route_tables.insert(table_name, Arc::new(table));
            for ((virtual_host, route), explanation) in explained {
                let key = RouteKey { listener: name.clone(), filter_chain: Some(index), virtual_host, route };
                self.built.explanations.insert(key, explanation);
            }
            let own = group[0].listener;
            let every_name = !is_tls || group.iter().any(|member| member.listener.hostname.is_none());
            let server_names = group.iter().filter_map(|member| member.listener.hostname.clone());
            let server_names = if every_name { Vec::new() } else { server_names.collect() };
            filter_chains.push(FilterChain {
                metadata: extproc::messages::Metadata::default(),
                name: own.name.clone(),
                filter_chain_match: FilterChainMatch { server_names, ..FilterChainMatch::default() },
                tls: own.tls.clone(),
                transport_socket_connect_timeout: settings.handshake_timeout.filter(|_| is_tls),
                http: Arc::new(http),
                tcp_proxy: None,
                misdirected_requests: match &host_table {
                    Some(names) if gateway.settings.tells_misdirected && members.len() > 1 => {
                        MisdirectedRequests::new(Arc::clone(names), group[0].number)
                    }
                    _ => MisdirectedRequests::default(),
                },
            });
        }
        let addresses = match gateway.addresses.as_slice() {
            [] => self.bind_addresses(gateway),
            addresses => addresses.to_vec(),
        };
        let bind = addresses.iter().map(|address| BindAddress::Socket(SocketAddr::new(*address, bound)));
        // Each filter chain may have as many; what is not the same for all is not served.
        let max_connections =
            of_port.max_connections.map(|most| most.saturating_mul(filter_chains.len() as u64));
        let listener = Listener {
            proxy_protocol: None,
            access_log: Vec::new(),
            name,
            addresses: bind.collect(),
            filter_chains,
            default_filter_chain: None,
            // The greatest limit of what is served at the port.
            per_connection_buffer_limit_bytes: members
                .iter()
                .map(|member| member.settings.buffer_limit)
                .max()
                .unwrap_or(0),
            listener_filters_timeout: of_port.inspection_timeout,
            tcp: of_port.tcp,
            limits: ConnectionLimits { max_connections, ..ConnectionLimits::default() },
            original_dst: false,
            tls_fingerprints: TlsFingerprints::default(),
            traffic_direction: TrafficDirection::Unspecified,
            metadata: extproc::messages::Metadata::default(),
        };
        let origin = first.owner_meta.place.origin(Some(first.owner.object_name()));
        self.built.resources.listeners.push(Arc::new(Sourced { value: listener, origin }));
    }

    /// Where listeners are bound that name no address: with addresses of one family, if that is asked for.
    fn bind_addresses(&self, gateway: &Gateway) -> Vec<IpAddr> {
        const EVERY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        const EVERY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let address = self.translator.options.bind_address;
        match gateway.settings.ip_family {
            Some(IpFamily::V4) if address.is_unspecified() => vec![EVERY_V4],
            Some(IpFamily::V6) if address.is_unspecified() => vec![EVERY_V6],
            Some(IpFamily::Both) if address.is_unspecified() => vec![EVERY_V4, EVERY_V6],
            // A socket takes connections of one family.
            None if address == EVERY_V6 => vec![EVERY_V4, EVERY_V6],
            _ => vec![address],
        }
    }

    fn bound_port(&self, port: u16) -> u16 {
        if self.translator.options.shift_privileged_ports && port < 1024 { port + 10_000 } else { port }
    }

    /// A ListenerSet may be called like its Gateway.
    fn unique_name(&mut self, name: String, port: u16) -> String {
        if self.names.insert(name.clone()) { name } else { format!("{name}-{port}") }
    }
}

/// The listeners of a port that one filter chain serves: all host names of cleartext, and those of a server with several.
#[expect(clippy::mutable_key_type, reason = "the key is which object it is, not what is in it")]
fn groups<'g>(members: &[Member<'g>]) -> Vec<Vec<Member<'g>>> {
    let mut groups: Vec<Vec<Member<'g>>> = Vec::new();
    // Host names of one server have the very same context; equal ones of others are their own.
    let mut known: HashMap<Option<Identity<DownstreamTlsContext>>, Vec<usize>> = HashMap::new();
    for member in members {
        let tls = member.listener.tls.as_ref();
        let candidates = known.entry(tls.map(Identity::of)).or_default();
        let together = |index: &&usize| tls.is_none() || groups[**index][0].settings == member.settings;
        match candidates.iter().find(together) {
            Some(index) => groups[*index].push(*member),
            None => {
                candidates.push(groups.len());
                groups.push(vec![*member]);
            }
        }
    }
    groups
}

/// Which listener of a port each host name belongs to, by their numbers (9.3).
fn host_table(members: &[Member<'_>]) -> Arc<HostTable> {
    let mut table = HostTable::new();
    for Member { number, listener, .. } in members {
        table.insert(listener.hostname.clone().unwrap_or_else(|| "*".to_owned()), *number);
    }
    Arc::new(table)
}
