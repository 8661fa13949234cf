//! Gateways and their listeners, those of ListenerSets included (9.3, 9.4).

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    rc::Rc,
};

use super::{
    Attachment, Classes, GatewayReport, ListenerSetReport, Problem,
    ownership::{Owner, merges, settings},
    tls::{ListenerTls, listener_tls, permitted},
};
use crate::{
    gateway_api::{self, AddressValue, FromNamespaces, GatewaySpec, ListenerEntry, Protocol, RouteKind},
    kubernetes::{Metadata, Object, ObjectRef},
    translation::{Gateway, Idle, Listener, Translator, hostnames::intersect},
};

/// A listener and how it fares.
pub(in crate::translation) struct ListenerReport<'a> {
    pub(in crate::translation) entry: &'a ListenerEntry,
    /// Kinds of routes that may be attached.
    pub(in crate::translation) kinds: Vec<RouteKind>,
    /// Routes that are attached.
    pub(in crate::translation) attached_routes: usize,
    pub(in crate::translation) refused: Option<Problem>,
    pub(in crate::translation) unresolved: Option<Problem>,
    pub(in crate::translation) conflicted: Option<Problem>,
    /// Its certificates are those of another listener's hosts, too: requests on the wrong connection get 421.
    pub(in crate::translation) overlapping: Option<Problem>,
    /// Its index among the listeners that are served.
    pub(in crate::translation) served: Option<usize>,
}

impl ListenerReport<'_> {
    /// Whether it is not served for reasons of its own.
    pub(in crate::translation) fn is_invalid(&self) -> bool {
        self.served.is_none()
    }
}

/// What one (address, port) is used for.
type Ports = HashSet<(Option<IpAddr>, u16)>;

/// What is spoken at each port, and for which host names.
type PortUses = HashMap<u16, (Protocol, HashSet<Option<String>>)>;

/// What all Gateways so far have taken.
#[derive(Default)]
struct Taken {
    ports: Ports,
    /// By merged gateways, by the class and the addresses of those that share them.
    merged: HashMap<(String, Vec<IpAddr>), PortUses>,
}

/// Reads all Gateways, the oldest first.
pub(super) fn attach<'a>(
    attachment: &mut Attachment<'a>,
    classes: &Classes<'a>,
    translator: &Translator<'a>,
) {
    let mut taken = Taken::default();
    let mut sets: HashMap<_, Vec<_>> = HashMap::new();
    for set in translator.resources.gateway_api.listener_sets.by_age() {
        sets.entry(set.spec.parent.clone()).or_default().push(set);
    }
    for object in translator.resources.gateway_api.gateways.by_age() {
        let Some(owner) = classes.owner(object, translator) else { continue };
        let sets = sets.remove(&object.meta.key).unwrap_or_default();
        attach_gateway(attachment, object, owner, &sets, &mut taken, translator);
    }
    for set in sets.into_values().flatten() {
        let message = format!("there is no Gateway {} of ours", set.spec.parent);
        translator.diagnostics.warning(&set.spec.parent_place, message, None);
    }
}

fn attach_gateway<'a>(
    attachment: &mut Attachment<'a>,
    object: &'a Rc<Object<GatewaySpec>>,
    owner: Owner<'a>,
    sets: &[&'a Rc<Object<gateway_api::ListenerSet>>],
    taken: &mut Taken,
    translator: &Translator<'a>,
) {
    let spec = &object.spec;
    let of_class = owner.class.and_then(|class| class.spec.parameters.as_ref());
    let settings = settings(translator, owner.controller, of_class, spec.parameters.as_ref());
    let (addresses, unsupported) = addresses(translator, spec);
    let elsewhere = object.errors.iter().find(|error| !error.starts_with("spec.listeners["));
    let refused = match (elsewhere, unsupported, &settings) {
        (Some(error), ..) => Some(Problem::new("Invalid", error.clone())),
        (_, Some(problem), _) => Some(problem),
        (.., Err(problem)) => Some(problem.clone()),
        (.., Ok(_)) => None,
    };
    let mut unresolved = None;
    let client_certificate = spec.client_certificate.as_ref().and_then(|reference| {
        let found = permitted(translator, &object.meta, reference).and_then(|key| {
            let invalid = |message| Problem::new("InvalidClientCertificateRef", message);
            if !reference.group.is_empty() || reference.kind != "Secret" {
                return Err(invalid(format!("a certificate is a Secret, not a {}", reference.kind)));
            }
            translator.identity(&key).map_err(|error| invalid(error.to_string()))?;
            Ok(key)
        });
        found
            .map_err(|problem| {
                translator.diagnostics.error(&reference.place, problem.message.clone(), None);
                unresolved = Some(problem);
            })
            .ok()
    });
    let merged = owner.class.filter(|_| merges(translator, owner.controller, of_class));
    let merged = merged.map(|class| class.meta.key.name.clone());
    if let (Ok(settings), Some(own), None) = (&settings, &spec.parameters, &merged)
        && settings.merge_gateways
    {
        let message = "mergeGateways has no effect in the parameters of one Gateway";
        let help = "refer to the EnvoyProxy from the GatewayClass".to_owned();
        translator.diagnostics.warning(&own.place, message.to_owned(), Some(help));
    }
    if let Ok(mut settings) = settings {
        settings.client_certificate.clone_from(&client_certificate);
        if spec.parameters.is_some() || of_class.is_some() || client_certificate.is_some() {
            attachment.settings.insert(object.reference(), settings);
        }
    }
    // One that is refused takes no port.
    let share = merged.clone().filter(|_| refused.is_none()).map(|class| (class, addresses.clone()));
    let of_others = share.as_ref().and_then(|share| taken.merged.remove(share)).unwrap_or_default();
    let index = attachment.gateways.len();
    let mut gateway = Gateway {
        object: object.reference(),
        meta: Rc::clone(&object.meta),
        controller: owner.controller,
        listeners: Vec::new(),
        addresses,
        client_certificate,
        merged,
        idle: Idle::default(),
    };
    let mut merge = Merge {
        gateway: &mut gateway,
        spec,
        translator,
        taken: &mut taken.ports,
        of_others,
        insecure: false,
    };
    let mut own: Vec<_> = spec.listeners.iter().map(|entry| report(entry, translator)).collect();
    merge.conflicts_of_gateway(&mut own);
    merge.conflicts_with_others(&mut own);
    merge.serve(&mut own, &object.meta, &object.reference(), refused.is_none());
    merge.keep_idle(&own, &object.meta, &object.reference());
    mark_overlaps(&mut own);
    let mut attached = 0;
    for set in sets {
        let problem = not_allowed(translator, spec, &object.meta, set, refused.is_some());
        if let Some(problem) = &problem {
            translator.diagnostics.error(&set.spec.parent_place, problem.message.clone(), None);
        }
        let mut listeners: Vec<_> =
            set.spec.listeners.iter().map(|entry| report(entry, translator)).collect();
        if problem.is_none() {
            attached += 1;
            merge.conflicts_of_set(&mut listeners);
            merge.serve(&mut listeners, &set.meta, &set.reference(), true);
            merge.keep_idle(&listeners, &set.meta, &set.reference());
        }
        let refused = problem;
        attachment.listener_sets.push(ListenerSetReport { object: set, gateway: index, refused, listeners });
    }
    let insecure_frontend = merge.insecure;
    if let Some(share) = share {
        taken.merged.insert(share, merge.of_others);
    }
    attachment.gateways.push(gateway);
    attachment.gateway_reports.push(GatewayReport {
        object,
        controller: owner.controller,
        controller_name: owner.controller_name,
        refused,
        unresolved,
        insecure_frontend,
        listeners: own,
        attached_listener_sets: attached,
    });
}

/// HTTPS listeners of a port whose host names overlap (9.3).
fn mark_overlaps(reports: &mut [ListenerReport<'_>]) {
    let served =
        |report: &ListenerReport<'_>| report.served.is_some() && report.entry.protocol == Protocol::Https;
    for index in 0..reports.len() {
        let entry = reports[index].entry;
        let own = entry.hostname.as_deref();
        let overlap = reports.iter().enumerate().find(|(other, report)| {
            *other != index
                && served(report)
                && report.entry.port == entry.port
                && intersect(own, report.entry.hostname.as_deref()).is_some()
        });
        if let Some((_, other)) = overlap.filter(|_| served(&reports[index])) {
            let message = format!("the host names overlap with those of listener {}", other.entry.name);
            reports[index].overlapping = Some(Problem::new("OverlappingHostnames", message));
        }
    }
}

/// The addresses to bind, and why some cannot be.
fn addresses(translator: &Translator<'_>, spec: &GatewaySpec) -> (Vec<IpAddr>, Option<Problem>) {
    let mut problem = None;
    let mut found = Vec::new();
    for address in &spec.addresses {
        match &address.value {
            AddressValue::Ip(address) => found.extend(*address),
            AddressValue::Unsupported(what) => {
                let message = format!("addresses of type {what} have no meaning here");
                let help = "use addresses of type IPAddress".to_owned();
                translator.diagnostics.error(&address.place, message.clone(), Some(help));
                problem = Some(Problem::new("UnsupportedAddress", message));
            }
        }
    }
    (found, problem)
}

/// Whether a namespace is meant.
pub(super) fn admits(from: &FromNamespaces, own: &str, namespace: &str, translator: &Translator<'_>) -> bool {
    match from {
        FromNamespaces::None => false,
        FromNamespaces::Same => namespace == own,
        FromNamespaces::All => true,
        FromNamespaces::Selector(selector) => selector.matches(&translator.namespace_labels(namespace)),
    }
}

fn not_allowed(
    translator: &Translator<'_>,
    gateway: &GatewaySpec,
    gateway_meta: &Metadata,
    set: &Object<gateway_api::ListenerSet>,
    gateway_refused: bool,
) -> Option<Problem> {
    let elsewhere = set.errors.iter().find(|error| !error.starts_with("spec.listeners["));
    if let Some(error) = elsewhere {
        return Some(Problem::new("Invalid", error.clone()));
    }
    if gateway_refused {
        return Some(Problem::new("ParentNotAccepted", "the Gateway is not accepted"));
    }
    let own = &gateway_meta.key.namespace;
    if admits(&gateway.allowed_listeners, own, &set.meta.key.namespace, translator) {
        return None;
    }
    let message = format!("Gateway {} does not allow ListenerSets of this namespace", gateway_meta.key);
    Some(Problem::new("NotAllowed", message))
}

/// What can be said about a listener without the others.
fn report<'a>(entry: &'a ListenerEntry, translator: &Translator<'_>) -> ListenerReport<'a> {
    let mut refused = None;
    if let Protocol::Other(name) = &entry.protocol {
        let message = format!("protocol {name} is not served");
        translator.diagnostics.error(&entry.place, message.clone(), Some("use HTTP or HTTPS".to_owned()));
        refused = Some(Problem::new("UnsupportedProtocol", message));
    }
    if let Some(invalid) = &entry.invalid {
        refused = Some(Problem::new("UnsupportedValue", invalid.clone()));
    }
    let served = |kind: &RouteKind| {
        kind.group == gateway_api::GROUP && ["HTTPRoute", "GRPCRoute"].contains(&kind.kind.as_str())
    };
    let mut unresolved = None;
    let kinds = if entry.kinds.is_empty() {
        let all = ["HTTPRoute", "GRPCRoute"];
        let group = gateway_api::GROUP;
        all.map(|kind| RouteKind { group: group.to_owned(), kind: kind.to_owned() }).to_vec()
    } else {
        for kind in entry.kinds.iter().filter(|kind| !served(kind)) {
            let message = format!("routes of kind {} are not served here", kind.kind);
            translator.diagnostics.error(&entry.place, message.clone(), None);
            unresolved = Some(Problem::new("InvalidRouteKinds", message));
        }
        entry.kinds.iter().filter(|kind| served(kind)).cloned().collect()
    };
    let kinds = if matches!(entry.protocol, Protocol::Other(_)) { Vec::new() } else { kinds };
    ListenerReport {
        entry,
        kinds,
        attached_routes: 0,
        refused,
        unresolved,
        conflicted: None,
        overlapping: None,
        served: None,
    }
}

/// The listeners of one Gateway, put together.
struct Merge<'m, 'a> {
    gateway: &'m mut Gateway,
    spec: &'m GatewaySpec,
    translator: &'m Translator<'a>,
    /// Ports of other Gateways.
    taken: &'m mut Ports,
    /// Ports of this Gateway, and of those that it is merged with.
    of_others: PortUses,
    insecure: bool,
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
    fn conflicts_of_gateway(&self, reports: &mut [ListenerReport<'_>]) {
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
    fn conflicts_with_others(&self, reports: &mut [ListenerReport<'_>]) {
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
    fn conflicts_of_set(&self, reports: &mut [ListenerReport<'_>]) {
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
    fn serve(
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
    fn keep_idle(&mut self, reports: &[ListenerReport<'_>], owner_meta: &Rc<Metadata>, owner: &ObjectRef) {
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
