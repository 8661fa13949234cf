//! A route of a VirtualService.

use std::time::Duration;

use super::{
    GROUP, HOSTNAME, SUBSET,
    http_actions::{
        read_cors, read_direct_response, read_headers, read_mirrors, read_redirect, read_retries,
        read_rewrite,
    },
    http_match::{ScopedMatch, every_request, read_match},
};
use crate::{
    kubernetes::{
        ObjectKey, ObjectRef, Place,
        values::{kubernetes_duration, port_number},
    },
    routing::{BackendReference, Filters, Rule, RuleBackend, Timeouts},
    schema::{Message, Schema, Value, read, refused},
};

/// A route, and which requests it is for.
#[derive(Debug)]
pub(crate) struct HttpRoute {
    /// Everything but its matches.
    pub(super) rule: Rule,
    pub(super) matches: Vec<ScopedMatch>,
    /// Another VirtualService has its routes.
    pub(super) is_delegated: bool,
}

static ROUTE: Schema = Schema {
    name: "istio.HTTPRoute",
    title: "",
    fields: &[
        read("name", "", "What policies call it by `sectionName`."),
        read("match", "every request", "Which requests it matches."),
        read("route", "", "Where requests go. One of `route`, `redirect` and `directResponse`."),
        read("redirect", "", "Redirect instead."),
        read("directResponse", "", "Answer instead."),
        read("rewrite", "", "Changes of path and authority."),
        read("timeout", "none", "How long a request may take, retries included."),
        read("retries", "twice, when no connection can be made or the answer is 503", "What is tried again."),
        read("mirror", "", "Copies of requests."),
        read("mirrors", "[]", "Copies of requests, to several."),
        read("mirrorPercentage", "100", "Percentage of requests that are copied to `mirror`."),
        read("corsPolicy", "", "Cross-origin resource sharing."),
        read("headers", "{}", "Changes of headers."),
        refused("mirrorPercent", "use mirrorPercentage"),
        refused("mirror_percent", "use mirrorPercentage"),
        refused("fault", "faults are not injected here"),
        read("delegate", "", "A VirtualService that has the routes: not supported."),
    ],
    unsupported: &[],
};

static DESTINATION: Schema = Schema {
    name: "istio.HTTPRouteDestination",
    title: "",
    fields: &[
        read("destination", "", "Where. Required."),
        read("weight", "0, or all where there is one", "Share of the requests."),
        read("headers", "{}", "Changes of headers, for this destination only."),
    ],
    unsupported: &[],
};

static HOST: Schema = Schema {
    name: "istio.Destination",
    title: "",
    fields: &[
        read("host", "", "A Service, the host of a ServiceEntry, or a name. Required."),
        read("port", "the only one of the Service", "Port of the Service."),
        read("subset", "", "DestinationRules are not read: requests are answered with 503."),
    ],
    unsupported: &[],
};

static PORT: Schema = Schema {
    name: "istio.PortSelector",
    title: "",
    fields: &[read("number", "", "1 to 65535. Required.")],
    unsupported: &[],
};

/// Reads a route of a VirtualService in `namespace`.
pub(super) fn read_http_route(value: &Value<'_>, namespace: &str) -> Option<HttpRoute> {
    let message = value.message(&ROUTE)?;
    let name = Some(message.string("name")).filter(|name| !name.is_empty());
    let delegate = message.get("delegate");
    if let Some(delegate) = &delegate {
        delegate.error_with_help(
            "delegate VirtualServices are not supported",
            "write the routes into this VirtualService",
        );
    }
    let mut matches: Vec<ScopedMatch> =
        message.list("match").iter().filter_map(|one| read_match(one, namespace)).collect();
    if message.get("match").is_none() {
        matches.push(every_request());
    }
    let backends = read_destinations(&message, namespace);
    let mut filters = Filters::default();
    if let Some(headers) = message.get("headers") {
        read_headers(&headers, &mut filters);
    }
    filters.redirect = message.get("redirect").and_then(|redirect| read_redirect(&redirect));
    filters.direct_response = message.get("directResponse").and_then(|direct| read_direct_response(&direct));
    if let Some(rewrite) = message.get("rewrite") {
        read_rewrite(&rewrite, &mut filters);
    }
    filters.mirrors = read_mirrors(&message, namespace);
    filters.cors = message.get("corsPolicy").and_then(|cors| read_cors(&cors));
    let actions = ["route", "redirect", "directResponse"].iter().filter(|name| message.get(name).is_some());
    match (actions.count(), delegate.is_some()) {
        (1, _) | (0, true) => {}
        _ => value.error("exactly one of route, redirect and directResponse is required"),
    }
    let timeout = message.get("timeout").and_then(|timeout| kubernetes_duration(&timeout));
    Some(HttpRoute {
        rule: Rule {
            name,
            place: Place::of(value),
            invalid: None,
            extension_refs: Vec::new(),
            backends,
            matches: Vec::new(),
            filters,
            timeouts: Timeouts {
                request: timeout.map(|timeout| Some(timeout).filter(|timeout| *timeout != Duration::ZERO)),
                backend_request: None,
            },
            retry: message.get("retries").and_then(|retries| read_retries(&retries)),
            session_persistence: None,
        },
        matches,
        is_delegated: delegate.is_some(),
    })
}

fn read_destinations(route: &Message<'_>, namespace: &str) -> Vec<RuleBackend> {
    let values = route.list("route");
    let alone = values.len() == 1;
    let backends = values.iter().filter_map(|value| {
        let message = value.message(&DESTINATION)?;
        let mut filters = Filters::default();
        if let Some(headers) = message.get("headers") {
            read_headers(&headers, &mut filters);
        }
        let weight = message.get("weight").and_then(|weight| weight.u32()).filter(|weight| *weight > 0);
        Some(RuleBackend {
            extension_refs: Vec::new(),
            reference: read_destination(&message.required("destination")?, namespace)?,
            weight: weight.unwrap_or_else(|| u32::from(alone)),
            filters,
        })
    });
    backends.collect()
}

/// Reads where requests go; which object the host means is found out later.
pub(super) fn read_destination(value: &Value<'_>, namespace: &str) -> Option<BackendReference> {
    let message = value.message(&HOST)?;
    let host = message.required_string("host").to_ascii_lowercase();
    // HT-42
    let subset = Some(message.string("subset")).filter(|subset| !subset.is_empty());
    let port = message.message("port", &PORT).and_then(|port| port_number(&port.required("number")?));
    let (kind, name) = match subset {
        None => (HOSTNAME, host),
        Some(subset) => (SUBSET, format!("{host}|{subset}")),
    };
    let object = ObjectRef::new(GROUP, kind, &ObjectKey::new(namespace, name));
    Some(BackendReference { object, port, place: Place::of(value) })
}
