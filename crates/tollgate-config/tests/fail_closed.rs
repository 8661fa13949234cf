//! Mistakes in policies: none of them opens what the policy is for.

use tollgate_config::{FileSystem, Options, Outcome, Severity, Source, load_with};
use tollgate_model::{processor::FilterOverride, route::Action};

/// A route, and a service for processors.
const BASE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, labels: {edge: 'yes'}}
spec: {gatewayClassName: CLASS, listeners: [{name: http, protocol: HTTP, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: myapp, labels: {app: shop}}
spec:
  parentRefs: [{name: edge}]
  rules: [{name: first, backendRefs: [{name: backend, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: backend}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: processor}
spec: {clusterIP: 10.0.0.2, ports: [{name: grpc, port: 9002, appProtocol: kubernetes.io/h2c}]}
---
";

const ENVOY_GATEWAY: &str = "\
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: myapp}]
  extProc: [{backendRefs: [{name: processor, port: 9002}], processingMode: {request: {}}}]
";

const KGATEWAY: &str = "\
apiVersion: gateway.kgateway.dev/v1alpha1
kind: GatewayExtension
metadata: {name: extension}
spec: {type: ExtProc, extProc: {grpcService: {backendRef: {name: processor, port: 9002}}}}
---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: myapp}]
  extProc: {extensionRef: {name: extension}}
";

const HTNN: &str = "\
apiVersion: htnn.mosn.io/v1
kind: FilterPolicy
metadata: {name: policy}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: myapp}
  filters:
    outerExtProc:
      config: {grpcService: {envoyGrpc: {clusterName: outbound|9002||processor.default.svc.cluster.local}}}
";

fn load(class: &str, policies: &str) -> Outcome {
    let text = BASE.replace("CLASS", class) + policies;
    load_with(&[Source { path: "input.yaml".into(), text }], &FileSystem, &Options::default())
}

#[derive(Debug, PartialEq, Eq)]
enum Served {
    /// Requests stop at a processor.
    Processed,
    /// They are answered with this status.
    Answered(u16),
    /// They pass.
    Open,
}

/// What becomes of requests of the route.
fn served(outcome: &Outcome) -> Served {
    let snapshot = outcome.snapshot.as_ref().expect("objects never make a configuration unusable");
    let chain = &snapshot.listeners[0].filter_chains[0].http;
    let route = &chain.route_config.virtual_hosts.iter().next().expect("a host").routes[0];
    let on = |filter: &FilterOverride| matches!(filter, FilterOverride::ExtProc(_));
    match &route.action {
        Action::DirectResponse(response) => Served::Answered(response.status.as_u16()),
        _ if route.filters.dense().any(on) => Served::Processed,
        _ => Served::Open,
    }
}

fn errors(outcome: &Outcome) -> Vec<String> {
    let errors = outcome.diagnostics.iter().filter(|said| said.severity == Severity::Error);
    errors.map(|said| format!("{} [{}]", said.message, said.help.as_deref().unwrap_or_default())).collect()
}

#[test]
fn sound_policies_are_in_force() {
    for (class, policies) in [("eg", ENVOY_GATEWAY), ("kgateway", KGATEWAY), ("istio", HTNN)] {
        let outcome = load(class, policies);
        assert_eq!(errors(&outcome), [""; 0], "{class}");
        assert_eq!((served(&outcome), outcome.exposes()), (Served::Processed, false), "{class}");
    }
}

/// A misspelt policy: its class and text, what is replaced by what, and what has to be said.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// Whatever is misspelt is an error that says what was meant, the route answers 500, and the configuration is not fit to be
/// served.
#[test]
fn misspelt_policies_open_nothing() {
    let (eg, kg, ht) = (("eg", ENVOY_GATEWAY), ("kgateway", KGATEWAY), ("istio", HTNN));
    let case = |(class, text): (&'static str, &'static str), from, to, said| -> Case {
        (class, text, from, to, said)
    };
    let cases = [
        // Kinds.
        case(
            eg,
            "kind: EnvoyExtensionPolicy",
            "kind: EnvoyExtentionPolicy",
            "[did you mean \"EnvoyExtensionPolicy\"?]",
        ),
        case(kg, "kind: TrafficPolicy", "kind: TraficPolicy", "[did you mean \"TrafficPolicy\"?]"),
        case(ht, "kind: FilterPolicy", "kind: FilterPolicies", "[did you mean \"FilterPolicy\"?]"),
        // Names of targets.
        case(eg, "name: myapp", "name: myap", "HTTPRoute default/myap not found"),
        case(kg, "name: myapp", "name: myap", "[did you mean \"myapp\"?]"),
        case(ht, "name: myapp", "name: myap", "[did you mean \"myapp\"?]"),
        // Versions and groups.
        case(eg, "v1alpha1", "v1beta1", "has no version \"v1beta1\""),
        case(
            eg,
            "apiVersion: gateway.envoyproxy.io/v1alpha1\n",
            "",
            "write apiVersion: gateway.envoyproxy.io/v1alpha1",
        ),
        case(
            eg,
            "gateway.envoyproxy.io/",
            "gateway.envoyproxy.com/",
            "did you mean the group gateway.envoyproxy.io?",
        ),
        case(ht, "htnn.mosn.io/v1", "htnn.mosn.io/v1beta1", "has no version \"v1beta1\""),
        // Kinds and groups of targets.
        case(eg, "kind: HTTPRoute", "kind: HttpRoute", "[did you mean \"HTTPRoute\"?]"),
        case(kg, "kind: HTTPRoute", "kind: HttpRoute", "[did you mean \"HTTPRoute\"?]"),
        case(ht, "kind: HTTPRoute", "kind: HttpRoute", "[did you mean \"HTTPRoute\"?]"),
        case(
            eg,
            "group: gateway.networking.k8s.io",
            "group: gateway.networking.k8s.oi",
            "targetRefs[*].group",
        ),
        // Fields.
        case(eg, "processingMode:", "procesingMode:", "did you mean \"processingMode\"?"),
        case(eg, "targetRefs:", "targetRef:", "mapping"),
        case(eg, "targetRefs:", "targetsRef:", "unknown field \"spec.targetsRef\""),
        case(eg, "  extProc:", "  extProcs:", "did you mean \"extProc\"?"),
        case(kg, "  extProc: {ext", "  extproc: {ext", "did you mean \"extProc\"?"),
        case(kg, "grpcService", "grpcservice", "did you mean \"grpcService\"?"),
        case(ht, "outerExtProc", "outerExtPorc", "did you mean \"outerExtProc\"?"),
        case(ht, "grpcService", "grpcServise", "did you mean"),
        // Sections.
        case(eg, "name: myapp}", "name: myapp, sectionName: frist}", "[did you mean \"first\"?]"),
        case(kg, "name: myapp}", "name: myapp, sectionName: frist}", "[did you mean \"first\"?]"),
        // Selectors that select nothing.
        case(
            eg,
            "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: myapp}]",
            "targetSelectors: [{kind: HTTPRoute, matchLabels: {app: shp}}]",
            "selects nothing",
        ),
    ];
    for (class, text, from, to, said) in cases {
        assert!(text.contains(from), "{from}");
        let outcome = load(class, &text.replace(from, to));
        let errors = errors(&outcome);
        assert!(errors.iter().any(|error| error.contains(said)), "{class} {to}: {errors:#?}");
        assert!(outcome.exposes() || served(&outcome) == Served::Answered(500), "{class} {to}: {errors:#?}");
        // What was meant can be told but for the selector, and where there is no target.
        if to != "targetsRef:" && !to.starts_with("targetSelectors") {
            assert_eq!(served(&outcome), Served::Answered(500), "{class} {to}: {errors:#?}");
        }
    }
}

/// Policies that exist and are not implemented: what they protect answers 500.
#[test]
fn what_would_protect_a_route_is_not_left_out() {
    let to_gateway = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]";
    let eg = |kind: &str, spec: &str| {
        format!(
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: {kind}\nmetadata: {{name: other}}\n\
             spec: {{{to_gateway}, {spec}}}\n"
        )
    };
    let patch = "type: JSONPatch, jsonPatches: [{operation: {op: add, path: /http_filters/0, value: {name: ext_proc}}}]";
    let kg = |field: &str| KGATEWAY.replace("  extProc: {ext", &format!("  {field}\n  extProc: {{ext"));
    let istio = |api_version: &str, kind: &str, spec: &str| {
        format!(
            "apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: other, namespace: istio-system}}\n\
             spec: {{{spec}}}\n"
        )
    };
    let filter = "configPatches: [{applyTo: HTTP_FILTER, match: {context: GATEWAY}, patch: {operation: INSERT_BEFORE}}]";
    let cases = [
        ("eg", eg("SecurityPolicy", "basicAuth: {}")),
        ("eg", eg("ClientTrafficPolicy", "tls: {clientValidation: {caCertificateRefs: [{name: ca}]}}")),
        ("eg", eg("ClientTrafficPolicy", "headers: {earlyRequestHeaders: {remove: [x-user]}}")),
        ("eg", eg("BackendTrafficPolicy", "rateLimit: {type: Local}")),
        (
            "eg",
            eg("EnvoyPatchPolicy", patch).replace("targetRefs: [", "targetRef: ").replace("edge}]", "edge}"),
        ),
        ("eg", eg("ExtensionPolice", "extProc: []")),
        ("kgateway", kg("rateLimit: {local: {tokenBucket: {maxTokens: 1, fillInterval: 1s}}}")),
        ("kgateway", kg("buffer: {maxRequestSize: 1Ki}")),
        ("istio", HTNN.replace("    outerExtProc:", "    keyAuth: {config: {}}\n    outerExtProc:")),
        ("istio", istio("networking.istio.io/v1alpha3", "EnvoyFilter", filter)),
        ("istio", istio("security.istio.io/v1", "AuthorizationPolicy", "action: DENY")),
    ];
    for (class, policies) in cases {
        let outcome = load(class, &policies);
        let errors = errors(&outcome);
        assert_eq!(served(&outcome), Served::Answered(500), "{policies}: {errors:#?}");
        assert!(!errors.is_empty(), "{policies}");
    }
    // Those that are for nothing else leave the route as it is.
    let harmless = [
        ("eg", eg("ClientTrafficPolicy", "tcpKeepalive: {}")),
        ("eg", eg("BackendTrafficPolicy", "compression: []")),
        (
            "istio",
            istio(
                "networking.istio.io/v1alpha3",
                "EnvoyFilter",
                "configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {connect_timeout: 1s}}}]",
            ),
        ),
        (
            "istio",
            istio(
                "networking.istio.io/v1alpha3",
                "EnvoyFilter",
                &filter.replace("GATEWAY", "SIDECAR_INBOUND"),
            ),
        ),
        (
            "istio",
            istio("security.istio.io/v1", "AuthorizationPolicy", "selector: {matchLabels: {app: shop}}"),
        ),
    ];
    for (class, policies) in harmless {
        let outcome = load(class, &policies);
        assert_eq!(errors(&outcome), [""; 0], "{policies}");
        assert_eq!((served(&outcome), outcome.exposes()), (Served::Open, false), "{policies}");
    }
}

/// A route with a mistake keeps its requests: a less specific one would serve them without a processor.
#[test]
fn a_route_with_a_mistake_answers_500() {
    let secure = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: secure}
spec:
  parentRefs: [{name: edge}]
  rules: [{matches: [{path: {value: /secure}}], filtres: [], backendRefs: [{name: backend, port: 80}]}]
";
    let outcome = load("eg", secure);
    assert!(outcome.exposes());
    let snapshot = outcome.snapshot.as_ref().unwrap();
    let routes = &snapshot.listeners[0].filter_chains[0]
        .http
        .route_config
        .virtual_hosts
        .iter()
        .next()
        .expect("a host")
        .routes;
    let statuses: Vec<_> = routes
        .iter()
        .map(|route| match &route.action {
            Action::DirectResponse(response) => Some(response.status.as_u16()),
            _ => None,
        })
        .collect();
    assert_eq!(statuses, [Some(500), None]);
}

/// Part of the endpoints of a host: the others are not what was asked for.
#[test]
fn a_subset_is_not_the_whole() {
    let virtual_service = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: mesh-edge}
spec: {servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec: {hosts: ['*'], gateways: [mesh-edge], http: [{route: [{destination: {host: backend, SUBSETport: {number: 80}}}]}]}
";
    let served = |subset: &str| {
        let outcome = load("istio", &virtual_service.replace("SUBSET", subset));
        let snapshot = outcome.snapshot.as_ref().unwrap();
        let listener =
            snapshot.listeners.iter().find(|listener| listener.name.contains("mesh-edge")).unwrap();
        let routes = &listener.filter_chains[0].http.route_config.virtual_hosts.iter().next().unwrap().routes;
        let status = match &routes[0].action {
            Action::DirectResponse(response) => response.status.as_u16(),
            Action::Route(_) => 0,
            other => panic!("{other:?}"),
        };
        (format!("{:?}", routes[0].action).contains("outbound|80||"), status, errors(&outcome))
    };
    assert_eq!(served(""), (true, 0, vec![]));
    let (leads_somewhere, _, errors) = served("subset: canary, ");
    assert!(!leads_somewhere && errors[0].contains("in the subset canary"), "{errors:?}");
}

/// One name for two clusters: requests of the one would go to the other.
#[test]
fn a_cluster_of_a_bootstrap_is_not_replaced() {
    let bootstrap = "
static_resources:
  clusters:
  - name: default/backend:80
    load_assignment:
      cluster_name: a
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.9.9.9, port_value: 80}}}}]}]
";
    let outcome = load("tollgate", bootstrap);
    let errors = errors(&outcome);
    assert!(errors[0].contains("has the name of a cluster of the Kubernetes objects"), "{errors:?}");
    assert!(outcome.snapshot.is_none());
    let other = load("tollgate", &bootstrap.replace("default/backend:80", "app"));
    assert_eq!(other.snapshot.unwrap().clusters.len(), 2);
}
