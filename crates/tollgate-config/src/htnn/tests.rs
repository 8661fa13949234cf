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
    cf_33_processor_and_backend_are_one,
    ht_10_no_target,
    ht_11_old_kind,
    ht_11_other_namespace,
    ht_11_same_namespace,
    ht_12_section_and_sub_policies,
    ht_13_section_of_a_route,
    ht_14_group,
    ht_14_kind,
    ht_15_sub_policies_of_a_route,
    ht_16_before_config,
    ht_16_gateway,
    ht_16_gateway_section,
    ht_16_gateway_strict,
    ht_16_other_plugins,
    ht_17_layer_4,
    ht_18_not_a_mapping,
    ht_18_not_parseable,
    ht_19_empty_cluster,
    ht_1_no_effect,
    ht_1_overrides,
    ht_1_processing_request_modifier,
    ht_20_after_plugins,
    ht_20_no_filters,
    ht_20_no_section,
    ht_20_same_section,
    ht_2_base_settings,
    ht_2_base_settings_strict,
    ht_30_listener_before_gateway,
    ht_30_route_before_gateway,
    ht_31_other_plugins,
    ht_32_first_appearance,
    ht_32_legacy_kind,
    ht_32_oldest_wins,
    ht_32_same_age,
    ht_34_both,
    ht_35_gateway_elsewhere,
    ht_35_no_gateway,
    ht_35_one_gateway_elsewhere,
    ht_36_every_rule_and_hostname,
    ht_3_snake_case,
    ht_40_no_port,
    ht_40_wrong_names,
    ht_41_address,
    ht_41_namespace,
    ht_41_no_such_port,
    ht_41_outside,
    ht_41_short_name,
    ht_41_short_name_of_two_namespaces,
    ht_41_svc,
    ht_42_subset,
    ht_43_known_cluster,
    ht_43_static_cluster,
    ht_44_other_namespace,
    ht_45_http1,
    ht_45_http2,
    ht_46_no_service,
    ht_47_no_service_named,
    ht_48_google_grpc,
    ht_48_plain_target,
    ht_4_unknown_plugin,
    ht_4_unknown_plugin_strict,
    ht_5_durations,
    ht_5_enum_numbers,
    ht_5_other_values,
    initial_metadata,
    legacy_name,
    listener_not_found,
    mode_of_nothing_but_defaults,
    mode_replaces,
    no_filters,
    not_implemented_kinds,
    target_not_found,
    target_without_name,
    unknown_field,
    unknown_field_strict,
    worked_example,
}
