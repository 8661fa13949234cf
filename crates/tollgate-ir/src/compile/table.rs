//! Route tables.

use std::sync::Arc;

use tollgate_model::route::{Route, RouteConfiguration, VirtualHost};

use super::{
    CompileError,
    before::HostsBefore,
    filters::{Filters, Folded},
};
use crate::RouteTable;

/// Compiles the route table of a connection manager.
pub(super) struct Tables<'t, 's, 'b> {
    /// Its filters.
    pub(super) filters: &'t mut Filters<'s>,
    /// Virtual hosts that need not be compiled again.
    pub(super) before: &'t HostsBefore<'b>,
    /// How many were.
    pub(super) compiled_hosts: usize,
}

impl Tables<'_, '_, '_> {
    pub(super) fn compile(&mut self, table: &RouteTable) -> Result<RouteConfiguration, CompileError> {
        let above = self.filters.defaults();
        let above = self.filters.below(&above, &table.per_filter)?;
        let virtual_hosts = table.virtual_hosts.iter();
        let virtual_hosts: Result<_, _> = virtual_hosts
            .map(|host| match self.before.unchanged(host) {
                Some(unchanged) => Ok(Arc::clone(unchanged)),
                None => self.virtual_host(host, &above).map(Arc::new),
            })
            .collect();
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
        &mut self,
        host: &crate::VirtualHost,
        above: &Folded,
    ) -> Result<VirtualHost, CompileError> {
        self.compiled_hosts += 1;
        let above = self.filters.below(above, &host.per_filter)?;
        let routes: Result<_, _> =
            host.routes.iter().map(|one| route(one, &above, self.filters).map(Arc::new)).collect();
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
