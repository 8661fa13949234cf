//! The statuses of Gateway API's own objects (9.2 to 9.6).

use std::{collections::HashMap, net::IpAddr};

use super::{
    Controller, Rule, Translator,
    attachment::{
        Attachment, ClassReport, GatewayReport, ListenerReport, ListenerSetReport, ParentReport, Problem,
        RouteReport, parents_of_ours,
    },
    build::{Outcomes, RouteOutcome},
    messages::{self, Message, Validity},
};
use crate::{
    gateway_api::OtherRoute,
    kubernetes::{
        Metadata, Object, ObjectRef,
        status::{
            Address, ClassStatus, Conditions, Feature, GatewayStatus, Holds, ListenerSetStatus,
            ListenerStatus, ObjectStatus, ParentReference, ParentStatus, RouteStatus, SupportedKind,
        },
    },
};

/// Features whose tests pass, ascending (10.1).
const SUPPORTED_FEATURES: &[&str] = &[
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayPort8080",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendRequestRedirect",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetry",
    "HTTPRouteRetryBackendTimeout",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
];

/// All of them.
pub(super) fn statuses(
    translator: &Translator<'_>,
    attachment: &Attachment<'_>,
    outcomes: &Outcomes,
) -> Vec<ObjectStatus> {
    let mut all: Vec<ObjectStatus> = attachment.classes.iter().map(class).collect();
    let gateways = attachment.gateway_reports.iter().zip(&attachment.gateways);
    all.extend(gateways.map(|(report, built)| {
        let addresses = match built.addresses.as_slice() {
            [] => vec![translator.options.bind_address],
            addresses => addresses.to_vec(),
        };
        // Only what clients can connect to: a wildcard is no address, and which of the machine's own reach it from outside
        // is not known here.
        let usable = |address: &IpAddr| !address.is_unspecified() && translator.files.has_address(*address);
        let addresses: Vec<IpAddr> = addresses.into_iter().filter(usable).collect();
        gateway(report, &addresses)
    }));
    all.extend(
        attachment
            .listener_sets
            .iter()
            .map(|report| listener_set(report, attachment.gateway_reports[report.gateway].controller)),
    );
    all.extend(
        attachment
            .routes
            .iter()
            .map(|report| route(report, attachment, outcomes.get(&report.object.reference()))),
    );
    let parents = parents_of_ours(attachment);
    let gateway_api = &translator.store.of::<crate::gateway_api::Objects>();
    for routes in [&gateway_api.tls_routes, &gateway_api.tcp_routes, &gateway_api.udp_routes] {
        all.extend(routes.iter().map(|object| other_route(object, attachment, &parents)));
    }
    all.extend(translator.backend_tls_statuses());
    all
}

fn class(report: &ClassReport<'_>) -> ObjectStatus {
    let meta = &report.object.meta;
    let mut conditions = Conditions::default();
    match &report.refused {
        Some(Problem { reason, message }) => conditions.set("Accepted", false, reason, message, meta),
        None => {
            let message = messages::of(Message::ClassAccepted, report.controller);
            conditions.set("Accepted", true, "Accepted", message, meta);
        }
    }
    let supported_features = SUPPORTED_FEATURES.iter().map(|name| Feature { name }).collect();
    ObjectStatus::new(report.object.reference(), ClassStatus { conditions, supported_features })
}

fn gateway(report: &GatewayReport<'_>, addresses: &[IpAddr]) -> ObjectStatus {
    let (meta, controller) = (&report.object.meta, report.controller);
    let text = |message| messages::of(message, controller);
    let mut conditions = Conditions::default();
    let invalid = report.listeners.iter().filter(|listener| listener.is_invalid()).count();
    let programmed = report.refused.is_none() && invalid < report.listeners.len();
    let some_invalid = "some listeners are not valid, see their conditions";
    match &report.refused {
        Some(Problem { reason, message }) => conditions.set("Accepted", false, reason, message, meta),
        None if invalid == 0 => {
            conditions.set("Accepted", true, "Accepted", text(Message::GatewayAccepted), meta);
        }
        None => conditions.set("Accepted", programmed, "ListenersNotValid", some_invalid, meta),
    }
    if let Some(Problem { reason, message }) = report.unusable_address.as_ref().filter(|_| programmed) {
        conditions.set("Programmed", false, reason, message, meta);
    } else if programmed {
        let message = text(Message::GatewayProgrammed { has_address: !addresses.is_empty() });
        conditions.set("Programmed", true, "Programmed", message, meta);
    } else {
        conditions.set("Programmed", false, "Invalid", "no listener can be served", meta);
    }
    let unresolved = report.listeners.iter().any(|listener| listener.unresolved.is_some());
    match &report.unresolved {
        Some(Problem { reason, message }) => conditions.set("ResolvedRefs", false, reason, message, meta),
        None if unresolved => {
            let message = "references of some listeners are not resolved";
            conditions.set("ResolvedRefs", false, "ListenersNotResolved", message, meta);
        }
        None => conditions.set("ResolvedRefs", true, "ResolvedRefs", text(Message::GatewayResolved), meta),
    }
    if report.insecure_frontend {
        let message = "clients without a valid certificate are accepted";
        conditions.set("InsecureFrontendValidationMode", true, "ConfigurationChanged", message, meta);
    }
    let addresses = addresses.iter().filter(|_| programmed);
    let addresses =
        addresses.map(|address| Address { address_type: "IPAddress", value: address.to_string() });
    let status = GatewayStatus {
        addresses: addresses.collect(),
        attached_listener_sets: Some(report.attached_listener_sets).filter(|number| *number > 0),
        conditions,
        listeners: listeners(
            &report.listeners,
            meta,
            controller,
            report.refused.as_ref(),
            Message::ListenerNotConflicted,
        ),
    };
    ObjectStatus::new(report.object.reference(), status)
}

fn listeners(
    reports: &[ListenerReport<'_>],
    meta: &Metadata,
    controller: &Controller,
    refused: Option<&Problem>,
    not_conflicted: Message,
) -> Vec<ListenerStatus> {
    let not_conflicted = messages::of(not_conflicted, controller);
    let entries = reports.iter().map(|report| ListenerStatus {
        name: report.entry.name.clone(),
        attached_routes: report.attached_routes,
        supported_kinds: report
            .kinds
            .iter()
            .map(|kind| SupportedKind { group: kind.group.clone(), kind: kind.kind.clone() })
            .collect(),
        conditions: listener(report, meta, controller, refused, &not_conflicted),
    });
    entries.collect()
}

fn listener(
    report: &ListenerReport<'_>,
    meta: &Metadata,
    controller: &Controller,
    refused: Option<&Problem>,
    not_conflicted: &str,
) -> Conditions {
    let text = |message| messages::of(message, controller);
    let mut conditions = Conditions::default();
    // A conflict counts more than a protocol that is not served.
    match report.conflicted.as_ref().or(report.refused.as_ref()) {
        Some(Problem { reason, message }) => conditions.set("Accepted", false, reason, message, meta),
        None => {
            conditions.set("Accepted", true, "Accepted", text(Message::ListenerAccepted), meta);
        }
    }
    if report.served.is_some() {
        conditions.set("Programmed", true, "Programmed", text(Message::ListenerProgrammed), meta);
    } else if let Some(Problem { reason, message }) = &report.conflicted {
        conditions.set("Programmed", false, reason, message, meta);
    } else {
        let message = match refused {
            Some(problem) => problem.message.clone(),
            None => text(Message::ListenerInvalid),
        };
        conditions.set("Programmed", false, "Invalid", message, meta);
    }
    match &report.unresolved {
        Some(Problem { reason, message }) => conditions.set("ResolvedRefs", false, reason, message, meta),
        None => conditions.set("ResolvedRefs", true, "ResolvedRefs", text(Message::ListenerResolved), meta),
    }
    if let Some(Problem { reason, message }) = &report.overlapping {
        conditions.set("OverlappingTLSConfig", true, reason, message, meta);
    }
    match &report.conflicted {
        Some(Problem { reason, message }) => conditions.set("Conflicted", true, reason, message, meta),
        None => conditions.set("Conflicted", false, "NoConflicts", not_conflicted, meta),
    }
    conditions
}

fn listener_set(report: &ListenerSetReport<'_>, controller: &Controller) -> ObjectStatus {
    let meta = &report.object.meta;
    let mut conditions = Conditions::default();
    let valid = report.listeners.iter().filter(|listener| !listener.is_invalid()).count();
    let validity = match valid {
        _ if valid == report.listeners.len() => Validity::All,
        0 => Validity::Nothing,
        _ => Validity::Some,
    };
    let text = |message| messages::of(message, controller);
    match &report.refused {
        Some(Problem { reason, message }) => {
            conditions.set("Accepted", false, reason, message, meta);
            let message = text(Message::ListenerSetNotProgrammed(message.clone()));
            conditions.set("Programmed", false, reason, message, meta);
        }
        None => {
            let reason = if validity == Validity::All { "Accepted" } else { "ListenersNotValid" };
            let message = text(Message::ListenerSetAccepted(validity));
            conditions.set("Accepted", valid > 0, reason, message, meta);
            let reason = if valid > 0 { "Programmed" } else { "ListenersNotValid" };
            let message = text(Message::ListenerSetProgrammed(validity));
            conditions.set("Programmed", valid > 0, reason, message, meta);
        }
    }
    let listeners = match &report.refused {
        Some(_) => Vec::new(),
        None => listeners(&report.listeners, meta, controller, None, Message::SetListenerNotConflicted),
    };
    ObjectStatus::new(report.object.reference(), ListenerSetStatus { conditions, listeners })
}

type ByParent = std::collections::BTreeMap<ParentReference, RouteOutcome>;

fn route(report: &RouteReport<'_>, attachment: &Attachment<'_>, outcomes: Option<&ByParent>) -> ObjectStatus {
    let meta = &report.object.meta;
    let parents = report.parents.iter().map(|parent| {
        let controller = parent.controller(attachment);
        let outcome = outcomes.and_then(|outcomes| outcomes.get(&parent.reference));
        let conditions = route_conditions(parent, controller, meta, outcome, &report.object.spec.rules);
        parent_status(&parent.reference, &attachment.gateway_reports[parent.gateway], conditions)
    });
    ObjectStatus::new(report.object.reference(), RouteStatus { parents: parents.collect() })
}

fn parent_status(
    reference: &ParentReference,
    gateway: &GatewayReport<'_>,
    conditions: Conditions,
) -> ParentStatus {
    let controller_name = gateway.controller_name.clone();
    ParentStatus { parent_ref: reference.clone(), controller_name, conditions }
}

fn route_conditions(
    parent: &ParentReport,
    controller: &Controller,
    meta: &Metadata,
    outcome: Option<&RouteOutcome>,
    rules: &[Rule],
) -> Conditions {
    let mut conditions = Conditions::default();
    match &parent.refused {
        Some(Problem { reason, message }) => conditions.set("Accepted", false, reason, message, meta),
        None => {
            let message = messages::of(Message::RouteAccepted, controller);
            conditions.set("Accepted", true, "Accepted", message, meta);
        }
    }
    match outcome.and_then(|outcome| outcome.unresolved.as_ref()) {
        Some(Problem { reason, message }) => conditions.set("ResolvedRefs", false, reason, message, meta),
        None => {
            let message = messages::of(Message::RouteResolved, controller);
            conditions.set("ResolvedRefs", true, "ResolvedRefs", message, meta);
        }
    }
    let invalid: Vec<usize> = (0..rules.len()).filter(|rule| rules[*rule].invalid.is_some()).collect();
    let first = invalid.first().and_then(|rule| rules[*rule].invalid.as_ref());
    if let Some(first) = first.filter(|_| parent.refused.is_none()) {
        let which = invalid.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let message = format!("Dropped Rule(s) [{which}]: {}", first.message_with_path());
        conditions.set("PartiallyInvalid", true, "UnsupportedValue", message, meta);
    }
    let replaced = outcome.map(|outcome| &outcome.replaced).filter(|replaced| !replaced.is_empty());
    if let (Some(condition), Some(replaced)) = (controller.words.replaced_rules, replaced) {
        let rules = replaced.iter().map(|(rule, reason)| format!("Replaced Rule ({rule}): {reason}"));
        let message = rules.collect::<Vec<_>>().join("; ");
        let partial = format!("Dropped Rule: {message}");
        conditions.set("PartiallyInvalid", true, "UnsupportedValue", partial, meta);
        conditions.set(condition, Holds::False, "RouteRuleReplaced", message, meta);
    }
    conditions
}

/// A route of a kind that is not served, under its parents of ours.
fn other_route(
    object: &Object<OtherRoute>,
    attachment: &Attachment<'_>,
    parents: &HashMap<ObjectRef, usize>,
) -> ObjectStatus {
    let reference: ObjectRef = object.reference();
    let ours = object.spec.parents.iter();
    let ours = ours.filter_map(|parent| Some((&parent.reference, *parents.get(&parent.object())?)));
    let parents = ours.map(|(parent, gateway)| {
        let mut conditions = Conditions::default();
        // No listener that is served takes them.
        let message = format!("routes of kind {} are not served", reference.kind);
        conditions.set("Accepted", false, "NotAllowedByListeners", message, &object.meta);
        parent_status(parent, &attachment.gateway_reports[gateway], conditions)
    });
    let status = RouteStatus { parents: parents.collect() };
    ObjectStatus::new(object.reference(), status)
}
