//! Expected values are what Envoy 1.39.3 did with the same configuration and request.

mod clusters;
mod redirects;
mod rewrites;
mod routes;
mod virtual_hosts;

use std::sync::Arc;

use extproc::RequestHeaders;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;
use crate::matching::FullRegex;

fn request(authority: &str, path: &str) -> RequestHeaders {
    RequestHeaders {
        method: Method::GET,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_str(authority).unwrap(),
        path: HeaderValue::from_str(path).unwrap(),
        fields: HeaderMap::new(),
    }
}

fn with(mut request: RequestHeaders, fields: &[(&str, &str)]) -> RequestHeaders {
    for (name, value) in fields {
        let name = HeaderName::try_from(*name).unwrap();
        request.fields.append(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

fn route(name: &str, route_match: RouteMatch) -> Arc<Route> {
    Arc::new(Route { name: name.to_owned(), ..Route::new(route_match, Action::NonForwarding) })
}

fn on_path(path: PathMatch) -> RouteMatch {
    RouteMatch::of_path(path)
}

fn prefix(prefix: &str) -> PathMatch {
    PathMatch::Prefix { prefix: prefix.to_owned(), case_sensitive: true }
}

fn virtual_host(name: &str, domains: &[&str], routes: Vec<Arc<Route>>) -> Arc<VirtualHost> {
    let domains = domains.iter().map(|&domain| domain.to_owned()).collect();
    Arc::new(VirtualHost::new(name.to_owned(), domains, routes))
}

fn table(virtual_hosts: Vec<Arc<VirtualHost>>, ignore_port_in_host_matching: bool) -> RouteConfiguration {
    RouteConfiguration {
        name: String::new(),
        virtual_hosts: VirtualHosts::new(virtual_hosts).unwrap(),
        ignore_port_in_host_matching,
        path_parameters: PathParameters::Kept,
        headers: HeaderMutations::default(),
        most_specific_header_mutations_wins: false,
    }
}

fn regex(pattern: &str) -> PathMatch {
    PathMatch::SafeRegex(FullRegex::new(pattern).unwrap())
}
