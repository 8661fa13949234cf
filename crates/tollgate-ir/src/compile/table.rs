//! Route tables.

use std::sync::Arc;

use tollgate_model::route::{Route, RouteConfiguration, VirtualHost};

use super::{
    CompileError,
    filters::{Filters, Folded},
};
use crate::RouteTable;

/// A route table for the filters of a connection manager.
pub(super) fn compile_table(
    table: &RouteTable,
    filters: &mut Filters<'_>,
) -> Result<RouteConfiguration, CompileError> {
    let above = filters.defaults();
    let above = filters.below(&above, &table.per_filter)?;
    let virtual_hosts = table.virtual_hosts.iter();
    let virtual_hosts: Result<_, _> =
        virtual_hosts.map(|host| virtual_host(host, &above, filters).map(Arc::new)).collect();
    Ok(RouteConfiguration {
        name: table.name.clone(),
        virtual_hosts: virtual_hosts?,
        ignore_port_in_host_matching: table.ignore_port_in_host_matching,
        path_parameters: table.path_parameters,
        headers: table.headers.clone(),
        most_specific_header_mutations_wins: table.most_specific_header_mutations_wins,
    })
}

fn virtual_host(
    host: &crate::VirtualHost,
    above: &Folded,
    filters: &mut Filters<'_>,
) -> Result<VirtualHost, CompileError> {
    let above = filters.below(above, &host.per_filter)?;
    let routes: Result<_, _> =
        host.routes.iter().map(|one| route(one, &above, filters).map(Arc::new)).collect();
    Ok(VirtualHost {
        name: host.name.clone(),
        domains: host.domains.clone(),
        routes: routes?,
        headers: host.headers.clone(),
        metadata: host.metadata.clone(),
        include_request_attempt_count: host.include_request_attempt_count,
        include_attempt_count_in_response: host.include_attempt_count_in_response,
        rate_limits: host.rate_limits.clone(),
        require_tls: host.require_tls,
    })
}

fn route(route: &crate::Route, above: &Folded, filters: &mut Filters<'_>) -> Result<Route, CompileError> {
    let folded = filters.below(above, &route.per_filter)?;
    let action =
        route.action.clone().try_map(|share| filters.below(&folded, &share).map(Folded::into_overrides))?;
    Ok(Route {
        name: route.name.clone(),
        route_match: route.route_match.clone(),
        action,
        headers: route.headers.clone(),
        filters: folded.into_overrides(),
        request_body_buffer_limit: route.request_body_buffer_limit,
        own: false,
        metadata: route.metadata.clone(),
    })
}
