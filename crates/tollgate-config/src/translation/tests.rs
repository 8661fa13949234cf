//! Several dialects in one configuration (section 8): for each input the processors of every route, the clusters, the statuses
//! and what is said.

use crate::golden::translate_with_base;

fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, translate_with_base("", text));
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
    cf_30_address_of_its_own,
    cf_30_port_of_a_gateway,
    cf_31_every_dialect,
    cf_31_one_dialect_fails,
    cf_31_shadowing_stays_in_its_dialect,
    cf_33_backend_tls_policy,
    cf_33_one_service,
}
