//! What policies mean: for each input the processors of every route, the clusters, the statuses and what is said.

use crate::golden::translate_with_base;

/// Translates what a file adds to the base.
fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, translate_with_base(include_str!("tests/base.yaml"), text));
    });
}

macro_rules! golden {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            golden(stringify!($name), include_str!(concat!("tests/inputs/", stringify!($name), ".yaml")));
        }
    )*};
}

golden! {
    backend_with_a_port,
    every_field_of_a_provider,
    kg_10_filter,
    kg_10_no_targets,
    kg_11_harmless_features,
    kg_11_harmless_features_strict,
    kg_11_security_features,
    kg_12_backend,
    kg_12_backend_disables,
    kg_1_empty_mode,
    kg_1_no_mode,
    kg_20_listener,
    kg_20_same_provider,
    kg_20_two_providers,
    kg_21_filter_wins,
    kg_21_oldest_wins,
    kg_21_section_wins,
    kg_21_weight_wins,
    kg_22_deep_merge,
    kg_23_disable,
    kg_23_disable_of_gateway,
    kg_24_delegation,
    kg_26_target_ref,
    kg_2_unknown_mode,
    kg_30_order,
    kg_30_weight,
    kg_32_upstream,
    kg_33_upstream_and_downstream,
    kg_3_full_duplex,
    kg_3_full_duplex_without_trailers,
    kg_40_without_app_protocol,
    kg_41_backend,
    kg_41_backend_of_a_route,
    kg_41_backend_of_another_type,
    kg_43_extension_elsewhere,
    kg_43_grant,
    kg_43_missing_grant,
    kg_44_route_to_service,
    kg_50_no_extension,
    kg_50_no_service,
    kg_50_of_a_gateway,
    kg_51_unresolved_filter,
    kg_52_merged_away,
    legacy_route_policy,
    neither_extension_nor_disable,
    oldest_shape,
    other_kinds,
    other_provider,
    overrides_as_an_object,
    retry_wrong,
    selectors,
    selectors_gateway,
    selectors_of_nothing,
    stat_prefix_empty,
    target_not_found,
    timeouts_wrong,
    type_without_provider,
    unknown_field,
    unknown_field_strict,
    wrong_target,
}
