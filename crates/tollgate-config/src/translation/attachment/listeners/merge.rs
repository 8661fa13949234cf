//! Which listeners can be served beside each other.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    rc::Rc,
};

use super::{ListenerReport, ListenerTls, Problem, listener_tls};
use crate::{
    gateway_api::{GatewaySpec, ListenerEntry, Protocol},
    kubernetes::{Metadata, ObjectRef},
    translation::{Gateway, Listener, Translator},
};

/// What one (address, port) is used for.
pub(super) type Ports = HashSet<(Option<IpAddr>, u16)>;

/// What is spoken at each port, and for which host names.
pub(super) type PortUses = HashMap<u16, (Protocol, HashSet<Option<String>>)>;

/// The listeners of one Gateway, put together.
pub(super) struct Merge<'m, 'a> {
    pub(super) gateway: &'m mut Gateway,
    pub(super) spec: &'m GatewaySpec,
    pub(super) translator: &'m Translator<'a>,
    /// Ports of other Gateways.
    pub(super) taken: &'m mut Ports,
    /// Ports of this Gateway, and of those that it is merged with.
    pub(super) of_others: PortUses,
    pub(super) insecure: bool,
}

/// Protocols that cannot share a port, by number; the same number can, with different host names.
fn protocol_group(protocol: &Protocol) -> u8 {
    match protocol {
        Protocol::Http => 1,
        Protocol::Https => 2,
        Protocol::Other(name) if name == "TLS" => 2,
        Protocol::Other(name) if name == "TCP" => 3,
        Protocol::Other(_) => 0,
    }
}

impl Merge<'_, '_> {
    /// Of conflicting listeners of the Gateway itself none is picked.
    pub(super) fn conflicts_of_gateway(&self, reports: &mut [ListenerReport<'_>]) {
        for index in 0..reports.len() {
            let entry = reports[index].entry;
            let group = protocol_group(&entry.protocol);
            let mut others = reports
                .iter()
                .enumerate()
                .filter(|(other, report)| *other != index && report.entry.port == entry.port && group > 0);
            let conflict = others.find_map(|(_, other)| match protocol_group(&other.entry.protocol) {
                0 => None,
                other if other != group => Some(protocol_conflict(entry.port)),
                _ => (other.entry.hostname == entry.hostname).then(|| hostname_conflict(entry)),
            });
            if let Some(problem) = conflict {
                self.translator.diagnostics.error(&entry.place, problem.message.clone(), None);
                reports[index].conflicted = Some(problem);
            }
        }
    }

    /// Of conflicting listeners of merged Gateways the older one's is served (6.9).
    pub(super) fn conflicts_with_others(&self, reports: &mut [ListenerReport<'_>]) {
        for report in reports.iter_mut().filter(|report| report.conflicted.is_none()) {
            if let Some(problem) = self.conflict_with_others(report.entry) {
                self.translator.diagnostics.error(&report.entry.place, problem.message.clone(), None);
                report.conflicted = Some(problem);
            }
        }
    }

    fn conflict_with_others(&self, entry: &ListenerEntry) -> Option<Problem> {
        match self.of_others.get(&entry.port) {
            Some((protocol, _)) if protocol_group(protocol) != protocol_group(&entry.protocol) => {
                Some(protocol_conflict(entry.port))
            }
            Some((_, hostnames)) if hostnames.contains(&entry.hostname) => Some(hostname_conflict(entry)),
            _ => None,
        }
    }

    /// Of conflicting listeners of sets the later one is refused.
    pub(super) fn conflicts_of_set(&self, reports: &mut [ListenerReport<'_>]) {
        let mut seen: HashMap<u16, (u8, HashSet<&Option<String>>)> = HashMap::new();
        for report in reports {
            let entry = report.entry;
            let group = protocol_group(&entry.protocol);
            let conflict = self.conflict_with_others(entry);
            let (first, hostnames) = seen.entry(entry.port).or_insert_with(|| (group, HashSet::new()));
            let conflict = conflict.or_else(|| {
                if *first != group {
                    Some(protocol_conflict(entry.port))
                } else {
                    (!hostnames.insert(&entry.hostname)).then(|| hostname_conflict(entry))
                }
            });
            if let Some(problem) = conflict {
                self.translator.diagnostics.error(&entry.place, problem.message.clone(), None);
                report.conflicted = Some(problem);
            }
        }
    }

    /// Takes in the listeners that can be served.
    pub(super) fn serve(
        &mut self,
        reports: &mut [ListenerReport<'_>],
        owner_meta: &Rc<Metadata>,
        owner: &ObjectRef,
        accepted: bool,
    ) {
        for report in reports {
            let entry = report.entry;
            if report.refused.is_some() || report.conflicted.is_some() {
                continue;
            }
            if let Some(problem) = accepted.then(|| self.port_of_another_gateway(entry)).flatten() {
                report.refused = Some(problem);
                continue;
            }
            let mut tls = None;
            if entry.protocol == Protocol::Https {
                let meta = Rc::clone(&self.gateway.meta);
                let found = listener_tls(self.translator, owner_meta, entry, self.spec, &meta);
                let ListenerTls { tls: loaded, unresolved, refused, insecure } = found;
                self.insecure |= insecure;
                if unresolved.is_some() {
                    report.unresolved = unresolved;
                }
                report.refused = refused;
                tls = loaded;
                if tls.is_none() {
                    continue;
                }
            }
            let (_, hostnames) =
                self.of_others.entry(entry.port).or_insert_with(|| (entry.protocol.clone(), HashSet::new()));
            hostnames.insert(entry.hostname.clone());
            if !accepted {
                continue;
            }
            report.served = Some(self.gateway.listeners.len());
            self.gateway.listeners.push(Listener {
                owner: owner.clone(),
                owner_meta: Rc::clone(owner_meta),
                name: entry.name.clone(),
                port: entry.port,
                hostname: entry.hostname.clone(),
                tls,
                routes: Vec::new(),
            });
        }
    }

    /// Remembers the listeners that are not served.
    pub(super) fn keep_idle(
        &mut self,
        reports: &[ListenerReport<'_>],
        owner_meta: &Rc<Metadata>,
        owner: &ObjectRef,
    ) {
        let idle = reports.iter().filter(|report| report.is_invalid());
        let named = idle.map(|report| (owner.clone(), Rc::clone(owner_meta), report.entry.name.clone()));
        self.gateway.idle.listeners.extend(named);
    }

    /// Gateways share no port of an address: the oldest one has it.
    fn port_of_another_gateway(&mut self, entry: &ListenerEntry) -> Option<Problem> {
        if self.of_others.contains_key(&entry.port) {
            return None;
        }
        let addresses: Vec<Option<IpAddr>> = match self.gateway.addresses.as_slice() {
            [] => vec![None],
            addresses => addresses.iter().map(|address| Some(*address)).collect(),
        };
        if addresses.iter().any(|address| self.taken.contains(&(*address, entry.port))) {
            let message = format!("port {} is used by another Gateway on the same address", entry.port);
            let help = "give each Gateway addresses of its own, in spec.addresses".to_owned();
            self.translator.diagnostics.error(&entry.place, message.clone(), Some(help));
            return Some(Problem::new("PortUnavailable", message));
        }
        self.taken.extend(addresses.into_iter().map(|address| (address, entry.port)));
        None
    }
}

fn protocol_conflict(port: u16) -> Problem {
    let message = format!("listeners of port {port} speak different protocols");
    Problem::new("ProtocolConflict", message)
}

fn hostname_conflict(entry: &ListenerEntry) -> Problem {
    let host = entry.hostname.as_deref().unwrap_or("*");
    let message = format!("listeners of port {} have the same host name {host}", entry.port);
    Problem::new("HostnameConflict", message)
}
