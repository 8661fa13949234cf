//! What EnvoyFilters make of gateways: for each input the listeners and clusters as Envoy would get them, and what is said.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{Options, Source, envoy::write_bootstrap, files::FileSystem, read_with};

const BASE: &str = include_str!("tests/base.yaml");

/// Translates what a file adds to the base.
fn translated(text: &str) -> String {
    let sources = [("base.yaml", BASE), ("input.yaml", text)];
    let sources = sources.map(|(path, text)| Source { path: path.to_owned(), text: text.to_owned() });
    let reading = read_with(&sources, &FileSystem, &Options::default());
    let resources = reading.resources.as_ref().expect("resources");
    let mut written = write_bootstrap(resources).bootstrap["static_resources"].take();
    let mut shown = String::new();
    for (kind, names) in [("listeners", &["access_log"][..]), ("clusters", &[])] {
        for resource in written[kind].as_array_mut().into_iter().flatten() {
            leave_out(resource, names);
            let _ = writeln!(shown, "{kind}: {}", serde_json::to_string_pretty(resource).unwrap());
        }
    }
    for said in reading.compile(None).diagnostics {
        let _ = writeln!(shown, "{:?} at {}: {}", said.severity, said.place, said.message);
        if let Some(help) = said.help {
            let _ = writeln!(shown, "  {help}");
        }
    }
    shown
}

/// Leaves out what no EnvoyFilter here is about.
fn leave_out(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(members) => {
            names.iter().for_each(|name| drop(members.remove(*name)));
            members.values_mut().for_each(|value| leave_out(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| leave_out(item, names)),
        _ => {}
    }
}

macro_rules! golden {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let text = include_str!(concat!("tests/inputs/", stringify!($name), ".yaml"));
            insta::with_settings!({ snapshot_path => "tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), translated(text));
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
    what_cannot_be_applied,
    what_is_for_others,
}
