//! Gateways and their listeners, those of ListenerSets included (9.3, 9.4).

mod merge;

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use tollgate_ir::DownstreamTlsContext;

use self::merge::{Merge, PortUses, Ports};
use super::{
    Attachment, Classes, GatewayReport, ListenerSetReport, Problem,
    ownership::{Owner, merges, settings},
    tls::{ListenerTls, listener_tls, permitted},
};
use crate::{
    gateway_api::{self, AddressValue, FromNamespaces, GatewaySpec, ListenerEntry, Protocol, RouteKind},
    kubernetes::{Object, ObjectKey},
    translation::{
        Controller, Gateway, Idle, Translator,
        hostnames::intersect,
        messages::{self, Message},
    },
};

/// A listener and how it fares.
pub(in crate::translation) struct ListenerReport<'a> {
    pub(in crate::translation) entry: &'a ListenerEntry,
    /// The object that it is written in.
    owner: &'a ObjectKey,
    /// Kinds of routes that may be attached.
    pub(in crate::translation) kinds: Vec<RouteKind>,
    /// Routes that are attached.
    pub(in crate::translation) attached_routes: usize,
    pub(in crate::translation) refused: Option<Problem>,
    pub(in crate::translation) unresolved: Option<Problem>,
    pub(in crate::translation) conflicted: Option<Problem>,
    /// Its certificates are those of another listener's hosts, too: requests on the wrong connection get 421.
    pub(in crate::translation) overlapping: Option<Problem>,
    /// Its certificates, until it is served.
    tls: Option<Arc<DownstreamTlsContext>>,
    /// Its index among the listeners that are served.
    pub(in crate::translation) served: Option<usize>,
}

impl ListenerReport<'_> {
    /// Whether it is not served for reasons of its own.
    pub(in crate::translation) fn is_invalid(&self) -> bool {
        self.served.is_none()
    }

    /// What messages call it.
    fn name(&self) -> String {
        format!("{}/{}", self.owner, self.entry.name)
    }

    /// Whether it can be in the way of another one: what cannot be served for reasons of its own cannot. Other protocols of
    /// TCP ports conflict although they are not served.
    fn may_conflict(&self) -> bool {
        let fits = match &self.entry.protocol {
            Protocol::Http => true,
            Protocol::Https => self.tls.is_some(),
            Protocol::Other(name) => name == "TLS" || name == "TCP",
        };
        fits && self.entry.invalid.is_none()
    }

    /// Whether it can be served.
    fn is_sound(&self, has_tls: bool, controller: &Controller) -> bool {
        let kinds = self.unresolved.as_ref().is_some_and(|problem| problem.reason == "InvalidRouteKinds");
        let certificates = has_tls || self.entry.protocol != Protocol::Https;
        certificates && !(kinds && controller.defaults.refuses_unknown_route_kinds)
    }
}

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
    for set in translator.store.of::<gateway_api::Objects>().listener_sets.by_age() {
        sets.entry(set.spec.parent.clone()).or_default().push(set);
    }
    for object in translator.store.of::<gateway_api::Objects>().gateways.by_age() {
        let Some(owner) = classes.owner(object, translator) else { continue };
        let sets = sets.remove(&object.meta.key).unwrap_or_default();
        attach_gateway(attachment, object, owner, &sets, &mut taken, translator);
    }
    for set in sets.into_values().flatten() {
        let message =
            format!("the Gateway {} does not exist, or another controller serves it", set.spec.parent);
        translator.diagnostics.warning(&set.spec.parent_place, message, None);
    }
}

fn attach_gateway<'a>(
    attachment: &mut Attachment<'a>,
    object: &'a Arc<Object<GatewaySpec>>,
    owner: Owner<'a>,
    sets: &[&'a Arc<Object<gateway_api::ListenerSet>>],
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
            translator.certificate(&key).map_err(|error| invalid(error.to_string()))?;
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
    // One that is refused takes no port.
    let share = merged.clone().filter(|_| refused.is_none()).map(|class| (class, addresses.clone()));
    let of_others = share.as_ref().and_then(|share| taken.merged.remove(share)).unwrap_or_default();
    let index = attachment.gateways.len();
    let mut gateway = Gateway {
        object: object.reference(),
        meta: Arc::clone(&object.meta),
        controller: owner.controller,
        settings: settings.unwrap_or_default(),
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
    let key = &object.meta.key;
    let mut own: Vec<_> = spec.listeners.iter().map(|entry| report(entry, key, translator)).collect();
    merge.load_certificates(&mut own, &object.meta);
    merge.conflicts_of_gateway(&mut own);
    merge.conflicts_with_others(&mut own);
    merge.serve(&mut own, &object.meta, &object.reference(), refused.is_none());
    merge.keep_idle(&own, &object.meta, &object.reference());
    mark_overlaps(&mut own);
    let mut attached = 0;
    for set in sets {
        let problem = not_allowed(translator, object, owner.controller, set, refused.is_some());
        if let Some(problem) = &problem {
            translator.diagnostics.error(&set.spec.parent_place, problem.message.clone(), None);
        }
        let mut listeners: Vec<_> =
            set.spec.listeners.iter().map(|entry| report(entry, &set.meta.key, translator)).collect();
        if problem.is_none() {
            merge.load_certificates(&mut listeners, &set.meta);
            merge.conflicts_of_set(&mut listeners);
            merge.serve(&mut listeners, &set.meta, &set.reference(), true);
            merge.keep_idle(&listeners, &set.meta, &set.reference());
        }
        // A set of which nothing is served is not attached.
        attached += usize::from(listeners.iter().any(|listener| listener.served.is_some()));
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
        unusable_address: unusable(translator, spec),
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
                let message = format!("addresses of type {what} are not supported");
                let help = "use addresses of type IPAddress".to_owned();
                translator.diagnostics.error(&address.place, message.clone(), Some(help));
                problem = Some(Problem::new("UnsupportedAddress", message));
            }
        }
    }
    (found, problem)
}

/// Why addresses that are asked for cannot be listened on: the Gateway is served at the others.
fn unusable(translator: &Translator<'_>, spec: &GatewaySpec) -> Option<Problem> {
    let mut unusable: Vec<String> = Vec::new();
    for address in &spec.addresses {
        if let AddressValue::Ip(Some(ip)) = address.value
            && !translator.files.has_address(ip)
        {
            let message = format!("this machine has no address {ip}: nothing is served there");
            let help = "name an address of this machine, or none".to_owned();
            translator.diagnostics.warning(&address.place, message, Some(help));
            unusable.push(ip.to_string());
        }
    }
    let message = format!("this machine does not have {}", unusable.join(", "));
    (!unusable.is_empty()).then(|| Problem::new("AddressNotUsable", message))
}

/// Whether a namespace is meant.
pub(super) fn admits(from: &FromNamespaces, own: &str, namespace: &str, translator: &Translator<'_>) -> bool {
    match from {
        FromNamespaces::None => false,
        FromNamespaces::Same => namespace == own,
        FromNamespaces::All => true,
        FromNamespaces::Selector(selector) => translator.is_namespace_selected(selector, namespace),
    }
}

fn not_allowed(
    translator: &Translator<'_>,
    gateway: &Object<GatewaySpec>,
    controller: &Controller,
    set: &Object<gateway_api::ListenerSet>,
    gateway_refused: bool,
) -> Option<Problem> {
    let elsewhere = set.errors.iter().find(|error| !error.starts_with("spec.listeners["));
    if let Some(error) = elsewhere {
        return Some(Problem::new("Invalid", error.clone()));
    }
    let own = &gateway.meta.key;
    if gateway_refused {
        let message = messages::of(Message::ListenerSetParent { gateway: own.to_string() }, controller);
        return Some(Problem::new("ParentNotAccepted", message));
    }
    let namespace = &set.meta.key.namespace;
    if admits(&gateway.spec.allowed_listeners, &own.namespace, namespace, translator) {
        return None;
    }
    let message =
        Message::ListenerSetNotAllowed { gateway: own.to_string(), namespace: namespace.to_string() };
    Some(Problem::new("NotAllowed", messages::of(message, controller)))
}

/// What can be said about a listener without the others.
fn report<'a>(
    entry: &'a ListenerEntry,
    owner: &'a ObjectKey,
    translator: &Translator<'_>,
) -> ListenerReport<'a> {
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
        owner,
        kinds,
        attached_routes: 0,
        refused,
        unresolved,
        conflicted: None,
        overlapping: None,
        tls: None,
        served: None,
    }
}
