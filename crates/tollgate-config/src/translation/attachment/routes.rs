//! Which routes are attached to which listeners (9.5).

use std::{collections::HashMap, sync::Arc};

use super::{Attachment, ListenerReport, Problem, listeners::admits};
use crate::{
    gateway_api::{self, Parent, RouteSpec},
    kubernetes::{Object, ObjectRef, status::ParentReference},
    translation::{
        AttachedHostname, AttachedRoute, Controller, GATEWAY_API, InvalidRule, Route, Translator,
        messages::{self, Message},
    },
};

/// A route and how it fares under each parent of ours.
pub(in crate::translation) struct RouteReport<'a> {
    pub(in crate::translation) object: &'a Arc<Object<RouteSpec>>,
    pub(in crate::translation) parents: Vec<ParentReport>,
}

/// How a route fares under a parent.
pub(in crate::translation) struct ParentReport {
    pub(in crate::translation) reference: ParentReference,
    pub(in crate::translation) gateway: usize,
    /// Why it is not accepted.
    pub(in crate::translation) refused: Option<Problem>,
}

/// Where listeners of an object are reported.
#[derive(Clone, Copy)]
enum Listeners {
    OfGateway(usize),
    OfSet(usize),
}

/// Host names of a listener that routes of a kind have taken: by the listener, then the host name.
type Hosts = HashMap<(usize, usize), HashMap<String, &'static str>>;

/// Attaches all routes, the oldest first.
pub(super) fn attach<'a>(attachment: &mut Attachment<'a>, translator: &Translator<'a>) {
    let mut parents: HashMap<ObjectRef, Listeners> = HashMap::new();
    for (index, gateway) in attachment.gateways.iter().enumerate() {
        parents.insert(gateway.object.clone(), Listeners::OfGateway(index));
    }
    for (index, set) in attachment.listener_sets.iter().enumerate() {
        parents.insert(set.object.reference(), Listeners::OfSet(index));
    }
    let gateway_api = translator.store.of::<gateway_api::Objects>();
    let mut routes = gateway_api.http_routes.by_age();
    routes.extend(gateway_api.grpc_routes.by_age());
    routes.sort_by_cached_key(|route| route.meta.age());
    let mut hosts = Hosts::new();
    for object in routes {
        for (index, rule) in object.spec.rules.iter().enumerate() {
            if let Some(InvalidRule { message, place }) = &rule.invalid {
                let help = format!("rules[{index}] is left out until it can be read");
                translator.diagnostics.error(place, message.clone(), Some(help));
            }
        }
        let mut reports = Vec::new();
        let mut shared: Option<Arc<Route>> = None;
        for parent in &object.spec.parents {
            let reference = parent.object();
            let Some(listeners) = parents.get(&reference) else {
                report_unknown(translator, parent, &reference);
                continue;
            };
            let gateway = match *listeners {
                Listeners::OfGateway(index) => index,
                Listeners::OfSet(set) => attachment.listener_sets[set].gateway,
            };
            let (refused, is_served) = attach_to(
                attachment,
                *listeners,
                gateway,
                object,
                parent,
                translator,
                &mut hosts,
                &mut shared,
            );
            let built = &mut attachment.gateways[gateway];
            if !is_served && object.errors.is_empty() {
                let route = shared.get_or_insert_with(|| route_of(object));
                let entry = (Arc::clone(route), parent.reference.clone());
                if refused.is_none() {
                    built.idle.waiting.push(entry.clone());
                }
                built.idle.routes.push(entry);
            }
            // What is wrong with the route itself was said where it is.
            let own =
                !object.errors.is_empty() || object.spec.rules.iter().any(|rule| rule.invalid.is_some());
            if let Some(problem) = refused.as_ref().filter(|_| !own) {
                let message = format!("{} is not attached: {}", object.reference(), problem.message);
                translator.diagnostics.error(&parent.place, message, None);
            }
            reports.push(ParentReport { reference: parent.reference.clone(), gateway, refused });
        }
        if object.spec.parents.is_empty() {
            let message = format!("{} has no parentRefs and no effect", object.reference());
            translator.diagnostics.warning(&object.meta.place, message, None);
        }
        attachment.routes.push(RouteReport { object, parents: reports });
    }
}

fn route_of(object: &Object<RouteSpec>) -> Arc<Route> {
    let (meta, rules) = (Arc::clone(&object.meta), object.spec.rules.clone());
    let parents = object.spec.parents.iter().map(|parent| parent.reference.clone()).collect();
    Arc::new(Route {
        object: object.reference(),
        meta,
        api: &GATEWAY_API,
        parents,
        rules,
        broken: object.errors.first().cloned(),
    })
}

fn report_unknown(translator: &Translator<'_>, parent: &Parent, reference: &ObjectRef) {
    let gateway_api = translator.store.of::<gateway_api::Objects>();
    let known_kind = match (&*reference.group, &*reference.kind) {
        (gateway_api::GROUP, "Gateway") => {
            // One that is there belongs to somebody else, which was said where it is.
            if gateway_api.gateways.get(&reference.key()).is_some() {
                return;
            }
            true
        }
        (_, "ListenerSet" | "XListenerSet") => true,
        _ => false,
    };
    let message = match known_kind {
        true => format!("{reference} not found"),
        false => format!("routes cannot be attached to a {} of {}", reference.kind, reference.group),
    };
    translator.diagnostics.error(&parent.place, message, None);
}

/// Gives why it is refused, and whether a listener that is served takes it.
#[expect(clippy::too_many_arguments, reason = "the state of one loop")]
fn attach_to<'a>(
    attachment: &mut Attachment<'a>,
    listeners: Listeners,
    gateway: usize,
    object: &'a Arc<Object<RouteSpec>>,
    parent: &Parent,
    translator: &Translator<'a>,
    hosts: &mut Hosts,
    shared: &mut Option<Arc<Route>>,
) -> (Option<Problem>, bool) {
    let Attachment { gateways, gateway_reports, listener_sets, .. } = attachment;
    let controller = gateway_reports[gateway].controller;
    let invalid = invalid(object);
    if invalid.is_some() && object.spec.hostnames_lost {
        return (invalid, false);
    }
    if let Listeners::OfSet(set) = listeners
        && let Some(refused) = &listener_sets[set].refused
    {
        let message = format!("the ListenerSet is not accepted: {}", refused.message);
        return (invalid.or_else(|| Some(Problem::new("NoMatchingParent", message))), false);
    }
    let (reports, namespace) = match listeners {
        Listeners::OfGateway(index) => {
            let report = &mut gateway_reports[index];
            (&mut report.listeners, &report.object.meta.key.namespace)
        }
        Listeners::OfSet(index) => {
            let report = &mut listener_sets[index];
            (&mut report.listeners, &report.object.meta.key.namespace)
        }
    };
    let problem = |reason, message| {
        invalid.clone().or_else(|| Some(Problem::new(reason, messages::of(message, controller))))
    };
    let reference = &parent.reference;
    let mut matching: Vec<&mut ListenerReport<'a>> = reports
        .iter_mut()
        .filter(|report| reference.section_name.as_ref().is_none_or(|name| *name == report.entry.name))
        .filter(|report| reference.port.is_none_or(|port| port == report.entry.port))
        .collect();
    if matching.is_empty() {
        return (problem("NoMatchingParent", Message::NoMatchingParent), false);
    }
    let meta = &object.meta;
    matching.retain(|report| {
        report.kinds.iter().any(|kind| kind.group == meta.group && kind.kind == meta.kind)
            && admits(&report.entry.namespaces, namespace, &meta.key.namespace, translator)
    });
    if matching.is_empty() {
        return (problem("NotAllowedByListeners", Message::NotAllowedByListeners), false);
    }
    let (mut found, mut is_served) = (false, false);
    let mut conflict = None;
    for report in matching {
        let hostnames = common_hostnames(&object.spec.hostnames, report.entry.hostname.as_deref());
        if hostnames.is_empty() {
            continue;
        }
        if let Some(served) = report.served
            && let Some(host) = taken(hosts, (gateway, served), &hostnames, meta.kind == "GRPCRoute")
        {
            let message = format!("the host name {host} is used by routes of another kind");
            conflict = Some(Problem::new("UnsupportedValue", message));
            continue;
        }
        found = true;
        report.attached_routes += usize::from(invalid.is_none());
        let Some(served) = report.served else { continue };
        is_served = true;
        let route = shared.get_or_insert_with(|| route_of(object));
        gateways[gateway].listeners[served].routes.push(AttachedRoute {
            route: Arc::clone(route),
            parent: reference.clone(),
            hostnames,
        });
    }
    let refused = match (found, conflict) {
        _ if invalid.is_some() => invalid,
        (true, _) => None,
        (false, Some(conflict)) => Some(conflict),
        (false, None) => {
            problem("NoMatchingListenerHostname", Message::NoMatchingListenerHostname(meta.kind.clone()))
        }
    };
    (refused, is_served)
}

/// Why a route is not accepted by anything (CF-13).
fn invalid(object: &Object<RouteSpec>) -> Option<Problem> {
    let Some(error) = object.errors.first() else {
        // One rule that is sound is enough.
        let invalid: Vec<_> = object.spec.rules.iter().map(|rule| rule.invalid.as_ref()).collect();
        let all = invalid.iter().all(Option::is_some);
        let first = invalid.first().copied().flatten().filter(|_| all)?;
        return Some(Problem::new("UnsupportedValue", first.message_with_path()));
    };
    Some(match &object.spec.incompatible_filters {
        Some(message) => Problem::new("IncompatibleFilters", message.clone()),
        None => Problem::new("UnsupportedValue", error.clone()),
    })
}

/// The host names that a route and a listener both accept.
fn common_hostnames(of_route: &[String], of_listener: Option<&str>) -> Vec<AttachedHostname> {
    let mut found: Vec<AttachedHostname> = Vec::new();
    let of_route: Vec<Option<&str>> =
        if of_route.is_empty() { vec![None] } else { of_route.iter().map(|name| Some(&**name)).collect() };
    for common in of_route.into_iter().filter_map(|name| AttachedHostname::common(name, of_listener)) {
        match found.iter_mut().find(|known| known.name == common.name) {
            Some(known) => known.specificity = known.specificity.max(common.specificity),
            None => found.push(common),
        }
    }
    found
}

/// A host name that an older route of the other kind has; otherwise they are taken (9.6).
fn taken(
    hosts: &mut Hosts,
    listener: (usize, usize),
    hostnames: &[AttachedHostname],
    grpc: bool,
) -> Option<String> {
    let kind = if grpc { "GRPCRoute" } else { "HTTPRoute" };
    let taken = hosts.entry(listener).or_default();
    let mut names = hostnames.iter().map(|hostname| &hostname.name);
    if let Some(name) = names.find(|name| taken.get(*name).is_some_and(|other| *other != kind)) {
        return Some(name.clone());
    }
    taken.extend(hostnames.iter().map(|hostname| (hostname.name.clone(), kind)));
    None
}

/// The controller of a parent, and its place; for statuses.
impl ParentReport {
    pub(in crate::translation) fn controller(&self, attachment: &Attachment<'_>) -> &'static Controller {
        attachment.gateway_reports[self.gateway].controller
    }
}

/// Everything of ours that routes can be attached to, with the index of its gateway.
pub(in crate::translation) fn parents_of_ours(attachment: &Attachment<'_>) -> HashMap<ObjectRef, usize> {
    let sets = attachment.listener_sets.iter().map(|set| (set.object.reference(), set.gateway));
    let gateways = attachment.gateways.iter().enumerate();
    sets.chain(gateways.map(|(index, gateway)| (gateway.object.clone(), index))).collect()
}
