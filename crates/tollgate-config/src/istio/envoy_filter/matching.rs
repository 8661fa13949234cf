//! Which objects a patch is for, as it is written.

use crate::{
    patching::{
        ApplyTo, ClusterMatch, FilterChainMatch, FilterMatch, ListenerMatch, ObjectMatch, RouteMatch,
        RoutesMatch, VirtualHostMatch,
    },
    schema::{Enumeration, Message, Schema, Value, harmless, read},
};

pub(super) static MATCH: Schema = Schema {
    name: "istio.EnvoyFilter.EnvoyConfigObjectMatch",
    title: "",
    fields: &[
        read("context", "ANY", "GATEWAY or ANY; what is for sidecars and waypoints has no effect here."),
        read("proxy", "every proxy", "Conditions on the proxy."),
        read("listener", "every listener", "Conditions on listeners and what is in them."),
        read("routeConfiguration", "every route table", "Conditions on route tables and what is in them."),
        read("cluster", "every cluster", "Conditions on clusters."),
    ],
    unsupported: &["waypoint"],
};

static LISTENER: Schema = Schema {
    name: "istio.EnvoyFilter.ListenerMatch",
    title: "",
    fields: &[
        read("portNumber", "every port", "Its port, or 8080 for 80 and 8443 for 443."),
        read("filterChain", "", "Conditions on filter chains."),
        read("listenerFilter", "", "Name of a listener filter."),
        read("name", "", "`0.0.0.0_<port>`, or its name here."),
        harmless("portName", "Istio does not look at it"),
    ],
    unsupported: &[],
};

static FILTER_CHAIN: Schema = Schema {
    name: "istio.EnvoyFilter.FilterChainMatch",
    title: "",
    fields: &[
        read("name", "", "Its name."),
        read("sni", "", "One of its server names."),
        read("transportProtocol", "", "`tls` or `raw_buffer`."),
        read("applicationProtocols", "", "Protocols of ALPN, separated by commas."),
        read("filter", "", "A network filter."),
        read("destinationPort", "", "Its destination port."),
    ],
    unsupported: &[],
};

static FILTER: Schema = Schema {
    name: "istio.EnvoyFilter.FilterMatch",
    title: "",
    fields: &[
        read("name", "", "Name of the network filter. Required."),
        read("subFilter", "", "An HTTP filter in it."),
    ],
    unsupported: &[],
};

static SUB_FILTER: Schema = Schema {
    name: "istio.EnvoyFilter.SubFilterMatch",
    title: "",
    fields: &[read("name", "", "Name of the HTTP filter. Required.")],
    unsupported: &[],
};

static ROUTES: Schema = Schema {
    name: "istio.EnvoyFilter.RouteConfigurationMatch",
    title: "",
    fields: &[
        read("portNumber", "every port", "The port of its listener."),
        read("portName", "", "Name of the port of an HTTPS server."),
        read("gateway", "", "`namespace/name` of the Gateway of an HTTPS server."),
        read("vhost", "", "Conditions on virtual hosts."),
        read("name", "", "`http.<port>` or `https.<port>.<port name>.<gateway>.<namespace>`."),
    ],
    unsupported: &[],
};

static VHOST: Schema = Schema {
    name: "istio.EnvoyFilter.VirtualHostMatch",
    title: "",
    fields: &[
        read("name", "", "`<host>:<port>`."),
        read("domainName", "", "One of its domains."),
        read("route", "", "Conditions on routes."),
    ],
    unsupported: &[],
};

static ROUTE: Schema = Schema {
    name: "istio.EnvoyFilter.RouteMatch",
    title: "",
    fields: &[
        read("name", "", "Its name, as the VirtualService says it."),
        read("action", "ANY", "ROUTE, REDIRECT or DIRECT_RESPONSE."),
    ],
    unsupported: &[],
};

static ACTION: Enumeration<Option<&'static str>> = Enumeration {
    values: &[
        ("ANY", 0, Some(None)),
        ("ROUTE", 1, Some(Some("route"))),
        ("REDIRECT", 2, Some(Some("redirect"))),
        ("DIRECT_RESPONSE", 3, Some(Some("direct_response"))),
    ],
};

static CLUSTER: Schema = Schema {
    name: "istio.EnvoyFilter.ClusterMatch",
    title: "",
    fields: &[
        read("portNumber", "every port", "Port of the service."),
        read("service", "", "Its host, in full."),
        read("subset", "", "Its subset."),
        read("name", "", "Name of the cluster; if it is said nothing else counts."),
    ],
    unsupported: &[],
};

/// Reads conditions, which have to be of the kind of what is changed.
pub(super) fn read_match(found: &Message<'_>, apply_to: ApplyTo) -> Option<ObjectMatch> {
    let written = found.one_of(&["listener", "routeConfiguration", "cluster"]);
    let Some((name, value)) = written else { return Some(ObjectMatch::Everything) };
    let (wanted, matching) = match apply_to {
        ApplyTo::Listener
        | ApplyTo::ListenerFilter
        | ApplyTo::FilterChain
        | ApplyTo::NetworkFilter
        | ApplyTo::HttpFilter => ("listener", read_listener(&value, name, apply_to)?),
        ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute => {
            ("routeConfiguration", read_routes(&value, name)?)
        }
        ApplyTo::Cluster => ("cluster", read_cluster(&value, name)?),
        ApplyTo::ExtensionConfig => (name, ObjectMatch::Everything),
    };
    if name != wanted {
        value.error(format!("what applyTo says is matched by {wanted}, not by {name}"));
        return None;
    }
    Some(matching)
}

fn text(message: &Message<'_>, name: &'static str) -> Option<String> {
    Some(message.string(name)).filter(|text| !text.is_empty())
}

fn number(message: &Message<'_>, name: &'static str) -> Option<u32> {
    message.u32(name).filter(|number| *number != 0)
}

fn read_listener(value: &Value<'_>, name: &str, apply_to: ApplyTo) -> Option<ObjectMatch> {
    if name != "listener" {
        return Some(ObjectMatch::Everything);
    }
    let message = value.message(&LISTENER)?;
    let filter_chain = match message.message("filterChain", &FILTER_CHAIN) {
        Some(chain) => Some(read_filter_chain(&chain, apply_to)?),
        None => None,
    };
    Some(ObjectMatch::Listener(ListenerMatch {
        name: text(&message, "name"),
        port: number(&message, "portNumber"),
        listener_filter: text(&message, "listenerFilter"),
        filter_chain,
    }))
}

fn read_filter_chain(chain: &Message<'_>, apply_to: ApplyTo) -> Option<FilterChainMatch> {
    let filter = match chain.message("filter", &FILTER) {
        None => None,
        Some(filter) => {
            let sub_filter = filter.message("subFilter", &SUB_FILTER);
            if let Some(sub_filter) = &sub_filter
                && apply_to != ApplyTo::HttpFilter
            {
                sub_filter.value().error("subFilter is for HTTP_FILTER only");
                return None;
            }
            let sub_filter = match sub_filter {
                Some(message) => Some(message.required("name")?.non_empty_string()?),
                None => None,
            };
            Some(FilterMatch { name: filter.required("name")?.non_empty_string()?, sub_filter })
        }
    };
    Some(FilterChainMatch {
        name: text(chain, "name"),
        sni: text(chain, "sni"),
        transport_protocol: text(chain, "transportProtocol"),
        application_protocols: text(chain, "applicationProtocols"),
        destination_port: number(chain, "destinationPort"),
        filter,
    })
}

fn read_routes(value: &Value<'_>, name: &str) -> Option<ObjectMatch> {
    if name != "routeConfiguration" {
        return Some(ObjectMatch::Everything);
    }
    let message = value.message(&ROUTES)?;
    let virtual_host = message.message("vhost", &VHOST).map(|host| VirtualHostMatch {
        name: text(&host, "name"),
        domain: text(&host, "domainName"),
        route: host.message("route", &ROUTE).map(|route| RouteMatch {
            name: text(&route, "name"),
            action: route.enumeration("action", &ACTION, None),
        }),
    });
    Some(ObjectMatch::Routes(RoutesMatch {
        name: text(&message, "name"),
        port: number(&message, "portNumber"),
        port_name: text(&message, "portName"),
        gateway: text(&message, "gateway"),
        virtual_host,
    }))
}

fn read_cluster(value: &Value<'_>, name: &str) -> Option<ObjectMatch> {
    if name != "cluster" {
        return Some(ObjectMatch::Everything);
    }
    let message = value.message(&CLUSTER)?;
    Some(ObjectMatch::Cluster(ClusterMatch {
        name: text(&message, "name"),
        service: text(&message, "service"),
        subset: text(&message, "subset"),
        port: number(&message, "portNumber"),
    }))
}
