//! From gateways with their routes to the listeners of a snapshot.

mod action;
mod chain;
mod defaults;
mod filters;
mod rules;

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use tollgate_ir::{FilterChain, Listener, Resources, Sourced};
use tollgate_model::{
    listener::{
        BindAddress, ConnectionLimits, FilterChainMatch, MisdirectedRequests, ServedBy, TrafficDirection,
    },
    socket::TcpOptions,
};

use self::chain::Chain;
pub(crate) use self::defaults::retries_of_istio;
use super::{ClientSettings, Dialect, Gateway, Listener as GatewayListener, Translator, attachment::Problem};
use crate::{
    Explanations, RouteKey,
    envoy_gateway::{GatewaySettings, IpFamily},
    istio,
    kubernetes::{ObjectRef, status::ParentReference},
};

/// What building gave.
#[derive(Default)]
pub(super) struct Built {
    /// All but the clusters.
    pub(super) resources: Resources,
    pub(super) explanations: Explanations,
    pub(super) outcomes: Outcomes,
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
    pub(super) settings: &'b HashMap<ObjectRef, GatewaySettings>,
    pub(super) dialects: Vec<Box<dyn Dialect + 'b>>,
    pub(super) built: Built,
}

/// A listener of a port. Those of merged gateways are of several (6.9).
#[derive(Clone, Copy)]
struct Member<'g> {
    gateway: &'g Gateway,
    listener: &'g GatewayListener,
}

impl Builder<'_, '_> {
    /// Builds the listeners of all gateways.
    pub(super) fn gateways<'g>(&mut self, gateways: impl Iterator<Item = &'g Gateway>) {
        let mut groups: Vec<Vec<&Gateway>> = Vec::new();
        for gateway in gateways {
            for (route, parent) in &gateway.idle.waiting {
                self.note_references(gateway, route, parent);
            }
            let together = |group: &&mut Vec<&Gateway>| gateway.shares_ports_with(group[0]);
            match groups.iter_mut().find(together) {
                Some(group) => group.push(gateway),
                None => groups.push(vec![gateway]),
            }
        }
        for group in groups {
            self.gateways_of_one_address(&group);
        }
    }

    /// Builds one listener for each port.
    fn gateways_of_one_address(&mut self, gateways: &[&Gateway]) {
        let mut ports: Vec<(u16, Vec<Member<'_>>)> = Vec::new();
        for gateway in gateways {
            for listener in &gateway.listeners {
                let member = Member { gateway, listener };
                match ports.iter_mut().find(|(port, _)| *port == listener.port) {
                    Some((_, members)) => members.push(member),
                    None => ports.push((listener.port, vec![member])),
                }
            }
        }
        for (port, members) in ports {
            self.port(port, &members);
        }
    }

    fn port(&mut self, port: u16, members: &[Member<'_>]) {
        let Some(&Member { gateway, listener: first }) = members.first() else { return };
        let bound = self.bound_port(port);
        let name = self.unique_name(format!("{}/{}", first.owner.key(), first.name), port);
        let is_tls = first.tls.is_some();
        // One chain serves all host names of cleartext, and those of a server with several.
        let mut groups: Vec<Vec<Member<'_>>> = Vec::new();
        for member in members {
            let together = |group: &&mut Vec<Member<'_>>| match (&group[0].listener.tls, &member.listener.tls)
            {
                (Some(one), Some(other)) => {
                    let settings = |member: &Member<'_>| self.client_settings(member);
                    Arc::ptr_eq(one, other) && settings(&group[0]) == settings(member)
                }
                (one, other) => one.is_none() && other.is_none(),
            };
            match groups.iter_mut().find(together) {
                Some(group) => group.push(*member),
                None => groups.push(vec![*member]),
            }
        }
        let mut filter_chains = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let chain = Chain { gateway, members: group, all: members, port: bound };
            // The name of a table need not be unique.
            let table_name = format!("{name}/{index}");
            let (mut http, table, explained) = self.chain(&chain, table_name.clone());
            let settings = self.common_settings(group).cloned();
            if let Some(settings) = &settings {
                settings.http.apply(&mut http);
            }
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
                transport_socket_connect_timeout: settings
                    .and_then(|settings| settings.handshake_timeout)
                    .unwrap_or(Some(defaults::HANDSHAKE_TIMEOUT))
                    .filter(|_| is_tls),
                http: Arc::new(http),
                misdirected_requests: if is_tls && gateway.object.group != istio::GROUP {
                    misdirected(own, members)
                } else {
                    MisdirectedRequests::default()
                },
            });
        }
        let addresses = match gateway.addresses.as_slice() {
            [] => self.bind_addresses(gateway),
            addresses => addresses.to_vec(),
        };
        let bind = addresses.iter().map(|address| BindAddress::Socket(SocketAddr::new(*address, bound)));
        let of_port = self.client_settings(&members[0]).cloned().unwrap_or_default();
        let mut tcp = TcpOptions::DOWNSTREAM;
        tcp.keepalive = of_port.tcp_keepalive.or(tcp.keepalive);
        // Each filter chain may have as many; what is not the same for all is not served.
        let max_connections =
            of_port.max_connections.map(|most| most.saturating_mul(filter_chains.len() as u64));
        let listener = Listener {
            access_log: Vec::new(),
            name,
            addresses: bind.collect(),
            filter_chains,
            default_filter_chain: None,
            per_connection_buffer_limit_bytes: self.buffer_limit(members),
            listener_filters_timeout: of_port.inspection_timeout.unwrap_or(Some(defaults::HANDSHAKE_TIMEOUT)),
            tcp,
            limits: ConnectionLimits { max_connections, ..ConnectionLimits::default() },
            traffic_direction: TrafficDirection::Unspecified,
            metadata: extproc::messages::Metadata::default(),
        };
        let origin = first.owner_meta.place.origin(Some(&first.owner));
        self.built.resources.listeners.push(Arc::new(Sourced { value: listener, origin }));
    }

    /// How clients of a listener are treated, if it is said.
    fn client_settings(&self, member: &Member<'_>) -> Option<&ClientSettings> {
        self.dialects.iter().find_map(|dialect| dialect.client_settings(member.gateway, member.listener))
    }

    /// The same of a filter chain; nothing where its listeners do not agree.
    fn common_settings(&self, members: &[Member<'_>]) -> Option<&ClientSettings> {
        let first = self.client_settings(members.first()?)?;
        members.iter().all(|member| self.client_settings(member) == Some(first)).then_some(first)
    }

    /// The greatest limit of what is served at the port.
    fn buffer_limit(&self, members: &[Member<'_>]) -> usize {
        let limits = members.iter().map(|member| {
            let of_dialect = self.client_settings(member).and_then(|settings| settings.buffer_limit);
            of_dialect.unwrap_or_else(|| defaults::buffer_limit(member.gateway.controller))
        });
        limits.max().unwrap_or(0)
    }

    /// Where listeners are bound that name no address: with addresses of one family, if that is asked for.
    fn bind_addresses(&self, gateway: &Gateway) -> Vec<IpAddr> {
        const EVERY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        const EVERY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let address = self.translator.options.bind_address;
        let family = self.settings.get(&gateway.object).and_then(|settings| settings.ip_family);
        match family {
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
    fn unique_name(&self, name: String, port: u16) -> String {
        if self.built.resources.listeners.iter().any(|listener| listener.name == name) {
            format!("{name}-{port}")
        } else {
            name
        }
    }
}

/// Requests whose authority belongs to another listener of the port (9.3).
fn misdirected(own: &GatewayListener, all: &[Member<'_>]) -> MisdirectedRequests {
    if all.len() < 2 {
        return MisdirectedRequests::default();
    }
    let names = all.iter().map(|Member { listener, .. }| {
        let name = listener.hostname.clone().unwrap_or_else(|| "*".to_owned());
        let here = std::ptr::eq(*listener, own);
        (name, if here { ServedBy::ThisChain } else { ServedBy::AnotherChain })
    });
    MisdirectedRequests { server_names: names.collect() }
}
