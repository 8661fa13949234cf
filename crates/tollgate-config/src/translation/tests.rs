//! Several dialects in one configuration (section 8): for each input the processors of every route, the clusters, the statuses
//! and what is said.

use crate::{Options, Source, files::FileSystem, golden::translate_with_base, load_with};

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

/// CF-32: a status is that of the dialect whose object it is, under the name that the dialect claims, whoever the Gateway
/// belongs to; what is written in `status` is nobody's.
#[test]
fn statuses_are_those_of_the_dialect_that_owns_the_object() {
    let more = "
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: example.com/claimed}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: foreign}
spec: {controllerName: example.com/foreign}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: foreign}
spec: {gatewayClassName: foreign, listeners: [{name: http, port: 10001, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: foreign}
spec: {parentRefs: [{name: foreign}], rules: [{backendRefs: [{name: backend, port: 8080}]}]}
";
    let text = include_str!("tests/inputs/cf_31_every_dialect.yaml").to_owned() + more;
    let sources = [Source { path: "objects.yaml".to_owned(), text }];
    let outcome = load_with(&sources, &FileSystem, &Options::default());
    let mut writers: Vec<String> = Vec::new();
    for object in &outcome.objects {
        let Some(status) = &object.status else { continue };
        let relations = ["parents", "ancestors"].into_iter().find_map(|name| status[name].as_array());
        let names = match relations {
            // A status of a form without names is that of its kind.
            None => "itself".to_owned(),
            Some(relations) if relations.is_empty() => "nobody".to_owned(),
            Some(relations) => {
                let names: Vec<_> =
                    relations.iter().filter_map(|one| one["controllerName"].as_str()).collect();
                names.join(", ")
            }
        };
        writers.push(format!("{} {} by {names}", object.kind, object.name));
    }
    assert_eq!(
        writers,
        [
            "Gateway gateway by itself",
            "HTTPRoute route by istio.io/gateway-controller",
            "FilterPolicy htnn by itself",
            "EnvoyExtensionPolicy envoy-gateway by example.com/claimed",
            "GatewayExtension early by itself",
            "TrafficPolicy early by kgateway.dev/kgateway",
            "GatewayExtension late by itself",
            "TrafficPolicy late by kgateway.dev/kgateway",
            "GatewayExtension upstream by itself",
            "TrafficPolicy upstream by kgateway.dev/kgateway",
            "HTTPRoute foreign by nobody",
        ]
    );
}
