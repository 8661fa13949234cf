//! What EnvoyFilters make of gateways: for each input the listeners and clusters as Envoy would get them, and what is said.

use crate::golden::written_with_base;

const BASE: &str = include_str!("tests/base.yaml");

macro_rules! golden {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let text = include_str!(concat!("tests/inputs/", stringify!($name), ".yaml"));
            insta::with_settings!({ snapshot_path => "tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), written_with_base(BASE, text));
            });
        }
    )*};
}

golden! {
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
