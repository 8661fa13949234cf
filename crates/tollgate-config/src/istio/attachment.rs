//! From Gateways and VirtualServices to gateways with listeners and routes.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use http::StatusCode;

use super::{
    CONTROLLER, Gateway as GatewaySpec, Objects, VirtualService,
    gateway::Namespaces,
    listener::{Bind, PortUse, listeners},
};
use crate::{
    kubernetes::{Object, ObjectKey, ObjectRef, status::ParentReference},
    routing::Rule,
    suggestion::did_you_mean,
    translation::{
        AttachedHostname, AttachedRoute, Gateway, GatewaySettings, Idle, Route, RouteApi, Translator,
    },
};

/// Whose VirtualServices a listener may have; by its address and its index there.
type Scopes<'a> = HashMap<(Option<IpAddr>, usize), Vec<&'a Namespaces>>;

/// VirtualServices: a cluster that is not there is answered with 503, and hosts may be anywhere (HT-44).
pub(super) static ROUTES: RouteApi = RouteApi {
    unusable_backend: StatusCode::SERVICE_UNAVAILABLE,
    named_by_rules: true,
    refers_anywhere: true,
};

/// All of Istio's Gateways with what is attached to them. As they share one proxy there, they share ports here: those with the
/// same address are one gateway. `others` have their ports already.
pub(crate) fn gateways(translator: &Translator<'_>, others: &[Gateway]) -> Vec<Gateway> {
    let mut found: BTreeMap<Option<IpAddr>, Gateway> = BTreeMap::new();
    let mut ports: HashMap<Bind, PortUse> = HashMap::new();
    let mut scopes = Scopes::new();
    for object in translator.store.of::<Objects>().gateways.by_age() {
        if !object.errors.is_empty() {
            continue;
        }
        for server in &object.spec.servers {
            if is_taken(others, server.bind, server.port) {
                let message = format!("port {} is used by a Gateway of Gateway API", server.port);
                translator.diagnostics.error(&server.place, message, Some("give it another port".to_owned()));
                continue;
            }
            let port = ports.entry((server.bind, server.port)).or_default();
            let own = listeners(translator, object, server, port);
            let gateway = found.entry(server.bind).or_insert_with(|| Gateway {
                object: object.reference(),
                meta: Arc::clone(&object.meta),
                controller: &CONTROLLER,
                // The first route that matches counts.
                settings: GatewaySettings {
                    preserve_route_order: true,
                    tells_misdirected: false,
                    ..GatewaySettings::default()
                },
                listeners: Vec::new(),
                addresses: server.bind.into_iter().collect(),
                client_certificate: None,
                merged: None,
                idle: Idle::default(),
            });
            for listener in own {
                let hosts = server.hosts.iter().filter(|host| host.host == listener.hostname);
                let namespaces = hosts.map(|host| &host.namespaces).collect();
                scopes.insert((server.bind, gateway.listeners.len()), namespaces);
                gateway.listeners.push(listener);
            }
        }
    }
    let mut of_gateway: HashMap<ObjectRef, Vec<(Option<IpAddr>, usize)>> = HashMap::new();
    for (bind, gateway) in &found {
        for (index, listener) in gateway.listeners.iter().enumerate() {
            of_gateway.entry(listener.owner.clone()).or_default().push((*bind, index));
        }
    }
    for object in translator.store.of::<Objects>().virtual_services.by_age() {
        attach(translator, object, &mut found, &of_gateway, &scopes);
    }
    found.into_values().collect()
}

/// Whether a gateway has the port already, at this address or at every one.
fn is_taken(others: &[Gateway], bind: Option<IpAddr>, port: u16) -> bool {
    others.iter().any(|gateway| {
        let same_address =
            bind.is_none_or(|bind| gateway.addresses.contains(&bind)) || gateway.addresses.is_empty();
        same_address && gateway.listeners.iter().any(|listener| listener.port == port)
    })
}

fn attach(
    translator: &Translator<'_>,
    object: &Arc<Object<VirtualService>>,
    gateways: &mut BTreeMap<Option<IpAddr>, Gateway>,
    of_gateway: &HashMap<ObjectRef, Vec<(Option<IpAddr>, usize)>>,
    scopes: &Scopes<'_>,
) {
    let service = &object.spec;
    let namespace = &object.meta.key.namespace;
    let mut attached = false;
    for (key, place) in &service.gateways {
        let Some(gateway) = translator.store.of::<Objects>().gateways.get(key) else {
            let others = translator.store.of::<Objects>().gateways.iter().map(|other| &other.meta.key);
            let others = others.filter(|other| other.namespace == key.namespace);
            let near = translator.diagnostics.nearest(&key.name, others.map(|other| &*other.name));
            translator.diagnostics.error(place, format!("Gateway {key} not found"), near.map(did_you_mean));
            continue;
        };
        if !service.is_exported_to(&key.namespace, namespace) {
            let message =
                format!("exportTo hides {} from the namespace {}", object.reference(), key.namespace);
            translator.diagnostics.warning(place, message, None);
            continue;
        }
        let mut found = false;
        let reference = gateway.reference();
        // Listeners of one port have the same rules.
        let mut by_port: HashMap<u16, Arc<Route>> = HashMap::new();
        for (bind, index) in of_gateway.get(&reference).into_iter().flatten() {
            if !admits(&scopes[&(*bind, *index)], namespace, gateway) {
                continue;
            }
            let Some(served) = gateways.get_mut(bind) else { continue };
            let listener = &mut served.listeners[*index];
            let hostnames = common(&service.hosts, listener.hostname.as_deref());
            if hostnames.is_empty() {
                continue;
            }
            found = true;
            // Servers that redirect to TLS do nothing else.
            if listener.routes.first().is_some_and(|attached| attached.route.object == reference) {
                continue;
            }
            let route = by_port.entry(listener.port).or_insert_with(|| {
                Arc::new(Route {
                    object: object.reference(),
                    meta: Arc::clone(&object.meta),
                    api: &ROUTES,
                    parents: Vec::new(),
                    rules: rules(service, key, listener.port),
                    broken: object.errors.first().cloned(),
                })
            });
            listener.routes.push(AttachedRoute {
                route: Arc::clone(route),
                parent: ParentReference::to(&reference),
                hostnames,
            });
        }
        if !found && gateway.errors.is_empty() && object.errors.is_empty() {
            let message =
                format!("{} has no server for a host of {}", gateway.reference(), object.reference());
            translator.diagnostics.error(place, message, None);
        }
        attached |= found;
    }
    if !attached && service.gateways.is_empty() {
        let message = format!("{} applies to the mesh only and has no effect here", object.reference());
        let help = "name a Gateway in `gateways`".to_owned();
        translator.diagnostics.warning(&object.meta.place, message, Some(help));
    }
}

fn admits(namespaces: &[&Namespaces], namespace: &str, gateway: &Object<GatewaySpec>) -> bool {
    namespaces.iter().any(|namespaces| match namespaces {
        Namespaces::Every => true,
        Namespaces::OfGateway => *namespace == gateway.meta.key.namespace,
        Namespaces::Named(named) => named == namespace,
    })
}

/// The host names that a VirtualService and a listener both have.
fn common(of_service: &[Option<String>], of_listener: Option<&str>) -> Vec<AttachedHostname> {
    let mut names: Vec<AttachedHostname> = Vec::new();
    for common in of_service.iter().filter_map(|host| AttachedHostname::common(host.as_deref(), of_listener))
    {
        if !names.iter().any(|known| known.name == common.name) {
            names.push(common);
        }
    }
    names
}

/// The routes with those of their matches that count on a port of a gateway.
fn rules(service: &VirtualService, gateway: &ObjectKey, port: u16) -> Vec<Rule> {
    let rules = service.http.iter().map(|route| {
        let matches = route.matches.iter().filter(|one| {
            one.port.is_none_or(|only| only == port)
                && (one.gateways.is_empty() || one.gateways.contains(gateway))
        });
        Rule { matches: matches.map(|one| one.requests.clone()).collect(), ..route.rule.clone() }
    });
    rules.collect()
}
