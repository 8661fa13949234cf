//! Which listeners can be served beside each other.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{ListenerReport, ListenerTls, Problem, listener_tls};
use crate::{
    gateway_api::{GatewaySpec, ListenerEntry, Protocol},
    kubernetes::{Metadata, ObjectRef},
    translation::{
        Gateway, Listener, Translator,
        messages::{self, Message},
    },
};

/// What one (address, port) is used for.
pub(super) type Ports = HashSet<(Option<IpAddr>, u16)>;

/// What is spoken at each port, and by which listener for each host name.
pub(super) type PortUses = HashMap<u16, (Protocol, HashMap<Option<String>, String>)>;

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
        Protocol::Other(_) => 3,
    }
}

impl Merge<'_, '_> {
    /// Reads the certificates of listeners: those that have none conflict with nobody.
    pub(super) fn load_certificates(&mut self, reports: &mut [ListenerReport<'_>], owner: &Metadata) {
        let meta = Arc::clone(&self.gateway.meta);
        for report in reports {
            if report.refused.is_some() || report.entry.protocol != Protocol::Https {
                continue;
            }
            let found = listener_tls(self.translator, owner, report.entry, self.spec, &meta);
            let ListenerTls { tls, unresolved, refused, insecure } = found;
            self.insecure |= insecure;
            report.unresolved = unresolved.or_else(|| report.unresolved.take());
            report.refused = refused;
            report.tls = tls;
        }
    }

    /// Of conflicting listeners of the Gateway itself none is picked.
    pub(super) fn conflicts_of_gateway(&self, reports: &mut [ListenerReport<'_>]) {
        let mut conflicts = Vec::new();
        for (index, report) in reports.iter().enumerate().filter(|(_, report)| report.may_conflict()) {
            let entry = report.entry;
            let group = protocol_group(&entry.protocol);
            let of_port =
                |other: &&ListenerReport<'_>| other.may_conflict() && other.entry.port == entry.port;
            let of_port: Vec<_> = reports.iter().filter(of_port).collect();
            let name = |other: &&ListenerReport<'_>| other.name();
            let speaks_otherwise =
                |other: &&ListenerReport<'_>| protocol_group(&other.entry.protocol) != group;
            let problem = if of_port.iter().any(speaks_otherwise) {
                self.protocol_conflict(entry.port, of_port.iter().map(name).collect())
            } else {
                let same = of_port.iter().filter(|other| other.entry.hostname == entry.hostname);
                let names: Vec<String> = same.map(name).collect();
                if names.len() < 2 {
                    continue;
                }
                self.hostname_conflict(entry, names)
            };
            conflicts.push((index, problem));
        }
        for (index, problem) in conflicts {
            self.report_conflict(&mut reports[index], problem);
        }
    }

    /// Of conflicting listeners of merged Gateways the older one's is served (6.9).
    pub(super) fn conflicts_with_others(&self, reports: &mut [ListenerReport<'_>]) {
        let unharmed =
            |report: &&mut ListenerReport<'_>| report.conflicted.is_none() && report.may_conflict();
        for report in reports.iter_mut().filter(unharmed) {
            if let Some(problem) = self.conflict_with_others(report) {
                self.report_conflict(report, problem);
            }
        }
    }

    fn conflict_with_others(&self, report: &ListenerReport<'_>) -> Option<Problem> {
        let (entry, own) = (report.entry, report.name());
        let (protocol, hostnames) = self.of_others.get(&entry.port)?;
        if protocol_group(protocol) != protocol_group(&entry.protocol) {
            let names = hostnames.values().cloned().chain([own]).collect();
            return Some(self.protocol_conflict(entry.port, names));
        }
        let other = hostnames.get(&entry.hostname)?;
        Some(self.hostname_conflict(entry, vec![other.clone(), own]))
    }

    /// Of conflicting listeners of sets the later one is refused.
    pub(super) fn conflicts_of_set(&self, reports: &mut [ListenerReport<'_>]) {
        let mut seen: HashMap<u16, (u8, HashMap<Option<String>, String>)> = HashMap::new();
        for report in reports.iter_mut().filter(|report| report.may_conflict()) {
            let entry = report.entry;
            let group = protocol_group(&entry.protocol);
            let conflict = self.conflict_with_others(report).or_else(|| {
                let (first, hostnames) = seen.get(&entry.port)?;
                if *first != group {
                    let names = hostnames.values().cloned().chain([report.name()]).collect();
                    return Some(self.protocol_conflict(entry.port, names));
                }
                let other = hostnames.get(&entry.hostname)?;
                Some(self.hostname_conflict(entry, vec![other.clone(), report.name()]))
            });
            match conflict {
                Some(problem) => self.report_conflict(report, problem),
                None => {
                    let name = report.name();
                    let (_, hostnames) = seen.entry(entry.port).or_insert_with(|| (group, HashMap::new()));
                    hostnames.insert(entry.hostname.clone(), name);
                }
            }
        }
    }

    fn report_conflict(&self, report: &mut ListenerReport<'_>, problem: Problem) {
        self.translator.diagnostics.error(&report.entry.place, problem.message.clone(), None);
        report.conflicted = Some(problem);
    }

    /// Takes in the listeners that can be served. What is not served takes no port and no host name: a certificate that
    /// is not there yet must not keep the others from being served.
    pub(super) fn serve(
        &mut self,
        reports: &mut [ListenerReport<'_>],
        owner_meta: &Arc<Metadata>,
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
            let tls = report.tls.take();
            if !report.is_sound(tls.is_some(), self.gateway.controller) {
                continue;
            }
            let name = report.name();
            let (_, hostnames) =
                self.of_others.entry(entry.port).or_insert_with(|| (entry.protocol.clone(), HashMap::new()));
            hostnames.insert(entry.hostname.clone(), name);
            if !accepted {
                continue;
            }
            self.taken.extend(self.addresses().map(|address| (address, entry.port)));
            report.served = Some(self.gateway.listeners.len());
            self.gateway.listeners.push(Listener {
                owner: owner.clone(),
                owner_meta: Arc::clone(owner_meta),
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
        owner_meta: &Arc<Metadata>,
        owner: &ObjectRef,
    ) {
        let idle = reports.iter().filter(|report| report.is_invalid());
        let named = idle.map(|report| (owner.clone(), Arc::clone(owner_meta), report.entry.name.clone()));
        self.gateway.idle.listeners.extend(named);
    }

    /// Gateways share no port of an address: the oldest one has it.
    fn port_of_another_gateway(&self, entry: &ListenerEntry) -> Option<Problem> {
        if self.of_others.contains_key(&entry.port)
            || !self.addresses().any(|address| self.taken.contains(&(address, entry.port)))
        {
            return None;
        }
        let message = format!("port {} is used by another Gateway on the same address", entry.port);
        let help = "give each Gateway addresses of its own, in spec.addresses".to_owned();
        self.translator.diagnostics.error(&entry.place, message.clone(), Some(help));
        Some(Problem::new("PortUnavailable", message))
    }

    /// The addresses of the Gateway; `None` = that of the process.
    fn addresses(&self) -> impl Iterator<Item = Option<IpAddr>> + use<> {
        let addresses = self.gateway.addresses.clone();
        let none = addresses.is_empty().then_some(None);
        none.into_iter().chain(addresses.into_iter().map(Some))
    }

    fn protocol_conflict(&self, port: u16, mut listeners: Vec<String>) -> Problem {
        listeners.sort_unstable();
        let message = Message::ProtocolConflict { port, listeners: listeners.join(", ") };
        Problem::new("ProtocolConflict", messages::of(message, self.gateway.controller))
    }

    fn hostname_conflict(&self, entry: &ListenerEntry, mut listeners: Vec<String>) -> Problem {
        listeners.sort_unstable();
        let message = Message::HostnameConflict {
            port: entry.port,
            host: entry.hostname.clone().unwrap_or_else(|| "*".to_owned()),
            listeners: listeners.join(", "),
        };
        Problem::new("HostnameConflict", messages::of(message, self.gateway.controller))
    }
}
