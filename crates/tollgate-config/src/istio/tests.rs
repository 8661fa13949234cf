//! What EnvoyFilters make of gateways: for each input the listeners and clusters as Envoy would get them, and what is said.

use crate::golden::written_goldens;

const BASE: &str = include_str!("tests/base.yaml");

written_goldens! {
    BASE;
    clusters_are_merged_and_added,
    delivered_settings,
    every_operation_on_http_filters,
    gateways_of_gateway_api,
    lists_are_replaced,
    listeners_and_filter_chains,
    order_of_filters,
    processor_before_the_router,
    routes_and_virtual_hosts,
    variants_of_one_filter,
    what_cannot_be_applied,
    what_is_for_others,
}
