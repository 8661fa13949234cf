//! What objects may look like (CF-3, CF-5), what an API server would have added or refused (CF-7), and in which order they come
//! (CF-14).

use serde_json::Value;
use tollgate_config::{FileSystem, Options, Outcome, Source, load_with};

fn load(text: &str) -> Outcome {
    let source = Source { path: "objects.yaml".to_owned(), text: text.to_owned() };
    load_with(&[source], &FileSystem, &Options::default())
}

fn said(outcome: &Outcome) -> Vec<String> {
    let said = outcome.diagnostics.iter();
    said.map(|one| format!("{:?} {}:{}: {}", one.severity, one.place.line(), one.place.column(), one.message))
        .collect()
}

/// Whether two configurations do the same; both are accepted.
fn assert_same(one: &Outcome, other: &Outcome) {
    for said in said(one).iter().chain(&said(other)) {
        let allowed = ["apply to this rule together", "retry has no effect"];
        assert!(allowed.iter().any(|allowed| said.contains(allowed)), "{said}");
    }
    let lines = |outcome: &Outcome| format!("{:#}", serde_json::to_value(&outcome.snapshot).expect("JSON"));
    for (line, (one, other)) in lines(one).lines().zip(lines(other).lines()).enumerate() {
        assert_eq!(one, other, "line {line}");
    }
    assert!(one.snapshot.as_ref().is_some_and(|snapshot| !snapshot.listeners.is_empty()));
    assert_eq!(statuses(one), statuses(other));
}

/// The statuses of all objects, in the order of their names.
fn statuses(outcome: &Outcome) -> Vec<(String, Option<Value>)> {
    let mut statuses: Vec<_> = outcome
        .objects
        .iter()
        .map(|object| {
            (format!("{} {}/{}", object.kind, object.namespace, object.name), object.status.clone())
        })
        .collect();
    statuses.sort_by(|(one, _), (other, _)| one.cmp(other));
    statuses
}

const PLAIN: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  gatewayClassName: kgateway
  listeners:
  - protocol: HTTP
    port: 8080
    name: http
    allowedRoutes:
      namespaces:
        from: All
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  clusterIP: 10.0.0.1
  ports:
  - name: http
    port: 8000
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
spec:
  parentRefs:
  - name: edge
  rules:
  - matches:
    - path:
        type: PathPrefix
        value: /headers
    backendRefs:
    - name: web
      port: 8000
";

/// CF-3
#[test]
fn spaces_comments_and_indentation_do_not_disturb() {
    let untidy = "\
# A file begins with a comment,~~
---   # and with a document that has one
apiVersion: gateway.networking.k8s.io/v1~~
kind: Gateway
metadata:
    name:   edge     # spaces
spec:
    gatewayClassName: kgateway
    listeners:
    -  protocol: HTTP
       port: 8080
       # The list goes on.

       name: http~~
       allowedRoutes:
        namespaces:
            from: All
---
# Nothing but a comment.
---
apiVersion: v1
kind: Service
metadata: {  name: web  }
spec:
  clusterIP: 10.0.0.1
  ports:
     - name: http
       port: 8000~~
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
spec:
  parentRefs:
   - name: edge
  rules:
  -  matches:
     -   path:
            type: PathPrefix
            value: /headers
     backendRefs:
       - name: web
         port: 8000
...
";
    assert_same(&load(PLAIN), &load(&untidy.replace('~', " ")));
    assert_same(&load(PLAIN), &load(&PLAIN.replace('\n', "\r\n")));
}

/// CF-5
#[test]
fn keys_are_case_sensitive() {
    let outcome = load(&PLAIN.replace("  - name: edge", "  - Name: edge"));
    assert_eq!(
        said(&outcome),
        ["Error 31:5: unknown field \"spec.parentRefs[0].Name\"", "Error 31:5: Gateway default/ not found"]
    );
    assert_eq!(outcome.diagnostics[0].help.as_deref(), Some("did you mean \"name\"?"));
    let outcome = load(&PLAIN.replace("kind: Service", "kind: service"));
    assert!(said(&outcome).iter().any(|said| said.contains("no use for a service")), "{:?}", said(&outcome));
    // Envoy knows two spellings of each name, and no third.
    let outcome = load("static_resources: {Listeners: []}");
    assert_eq!(said(&outcome), ["Error 1:20: unknown field \"Listeners\" in StaticResources"]);
}

/// What is said without the defaults, and with each of them written out.
const DEFAULTS: [(&str, &str); 13] = [
    (
        "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge}, spec: {gatewayClassName: kgateway,
          addresses: [{value: 127.0.0.1}], listeners: [{name: http, port: 8080, protocol: HTTP}]}}",
        "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge}, spec: {gatewayClassName: kgateway,
          addresses: [{type: IPAddress, value: 127.0.0.1}], allowedListeners: {namespaces: {from: None}}, listeners: [
          {name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: Same}, kinds: []}}]}}",
    ),
    (
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 8000}]}}",
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: ClusterIP, ports: [{port: 8000, protocol: TCP,
          targetPort: 8000}]}}",
    ),
    (
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, labels: {kubernetes.io/service-name: web}},
          addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 8000}]}",
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, labels: {kubernetes.io/service-name: web}},
          addressType: IPv4, endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}],
          ports: [{name: '', port: 8000, protocol: TCP}]}",
    ),
    (
        "{apiVersion: v1, kind: Service, metadata: {name: processor}, spec: {clusterIP: 10.0.0.2, ports: [{port: 9000,
          appProtocol: kubernetes.io/h2c}]}}",
        "{apiVersion: v1, kind: Service, metadata: {name: processor}, spec: {clusterIP: 10.0.0.2, ports: [{port: 9000,
          protocol: TCP, targetPort: 9000, appProtocol: kubernetes.io/h2c}]}}",
    ),
    (
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web}, spec: {parentRefs: [{name: edge}],
          hostnames: [web.example], rules: [{backendRefs: [{name: web, port: 8000}]}]}}",
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web}, spec: {hostnames: [web.example],
          parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default, name: edge}],
          rules: [{matches: [{path: {type: PathPrefix, value: /}}],
          backendRefs: [{group: '', kind: Service, namespace: default, name: web, port: 8000, weight: 1}]}]}}",
    ),
    (
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: parts}, spec: {parentRefs: [{name: edge}],
          hostnames: [parts.example], rules: [{matches: [{headers: [{name: x-a, value: b}], queryParams: [{name: c, value: d}]}],
          filters: [{type: RequestRedirect, requestRedirect: {hostname: e.example}}]},
          {matches: [{path: {value: /cors}}], filters: [{type: CORS, cors: {allowOrigins: ['*']}},
          {type: RequestMirror, requestMirror: {backendRef: {name: web, port: 8000}, fraction: {numerator: 5}}}],
          backendRefs: [{name: web, port: 8000}], sessionPersistence: {sessionName: s}}]}}",
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: parts}, spec: {parentRefs: [{name: edge}],
          hostnames: [parts.example], rules: [{matches: [{path: {type: PathPrefix, value: /},
          headers: [{type: Exact, name: x-a, value: b}], queryParams: [{type: Exact, name: c, value: d}]}],
          filters: [{type: RequestRedirect, requestRedirect: {hostname: e.example, statusCode: 302}}]},
          {matches: [{path: {type: PathPrefix, value: /cors}}], filters: [{type: CORS, cors: {allowOrigins: ['*'], maxAge: 5}},
          {type: RequestMirror, requestMirror: {backendRef: {group: '', kind: Service, name: web, port: 8000},
          fraction: {numerator: 5, denominator: 100}}}], backendRefs: [{name: web, port: 8000}],
          sessionPersistence: {sessionName: s, type: Cookie, cookie: {lifetimeType: Session}}}]}}",
    ),
    (
        "{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: calls}, spec: {parentRefs: [{name: edge}],
          hostnames: [calls.example], rules: [{matches: [{method: {service: a.B}, headers: [{name: x, value: z}]}],
          backendRefs: [{name: processor, port: 9000}]}]}}",
        "{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: calls}, spec: {parentRefs: [{name: edge}],
          hostnames: [calls.example], rules: [{matches: [{method: {type: Exact, service: a.B},
          headers: [{type: Exact, name: x, value: z}]}],
          backendRefs: [{group: '', kind: Service, name: processor, port: 9000, weight: 1}]}]}}",
    ),
    (
        "{apiVersion: gateway.kgateway.dev/v1alpha1, kind: GatewayExtension, metadata: {name: plain}, spec: {extProc:
          {grpcService: {backendRef: {name: processor, port: 9000}, retry: {}}}}}",
        "{apiVersion: gateway.kgateway.dev/v1alpha1, kind: GatewayExtension, metadata: {name: plain}, spec: {extProc:
          {grpcService: {backendRef: {group: '', kind: Service, name: processor, port: 9000}, retry: {attempts: 1}},
          failOpen: true, allowProcessingModeOverride: false, messageTimeout: 200ms, routeCacheAction: FromResponse,
          filterStage: {stage: AuthZ, predicate: After, weight: 0}}}}",
    ),
    (
        "{apiVersion: gateway.kgateway.dev/v1alpha1, kind: GatewayExtension, metadata: {name: staged}, spec: {extProc:
          {grpcService: {backendRef: {name: processor, port: 9000}}, processingMode: {}, filterStage: {stage: AuthN}}}}",
        "{apiVersion: gateway.kgateway.dev/v1alpha1, kind: GatewayExtension, metadata: {name: staged}, spec: {extProc:
          {grpcService: {backendRef: {name: processor, port: 9000}}, processingMode: {requestHeaderMode: SEND,
          responseHeaderMode: SEND, requestBodyMode: NONE, responseBodyMode: NONE, requestTrailerMode: SKIP,
          responseTrailerMode: SKIP}, filterStage: {stage: AuthN, predicate: During, weight: 0}}}}",
    ),
    (
        "{apiVersion: gateway.kgateway.dev/v1alpha1, kind: TrafficPolicy, metadata: {name: plain}, spec: {targetRefs:
          [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}], extProc: {extensionRef: {name: plain}}}}",
        "{apiVersion: gateway.kgateway.dev/v1alpha1, kind: TrafficPolicy, metadata: {name: plain}, spec: {targetRefs:
          [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}],
          extProc: {extensionRef: {name: plain, namespace: default}}}}",
    ),
    (
        "{apiVersion: gateway.kgateway.dev/v1alpha1, kind: TrafficPolicy, metadata: {name: staged}, spec: {targetRefs:
          [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}], extProc: {extensionRef: {name: staged}}}}",
        "{apiVersion: gateway.kgateway.dev/v1alpha1, kind: TrafficPolicy, metadata: {name: staged}, spec: {targetSelectors: [],
          targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}],
          extProc: {extensionRef: {name: staged}}}}",
    ),
    (
        "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: EnvoyExtensionPolicy, metadata: {name: policy}, spec: {targetRefs:
          [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: parts}], extProc: [{backendRefs: [{name: processor,
          port: 9000}], processingMode: {request: {}}, backendSettings: {retry: {}}}]}}",
        "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: EnvoyExtensionPolicy, metadata: {name: policy}, spec: {targetRefs:
          [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: parts}], extProc: [{backendRefs: [{group: '',
          kind: Service, namespace: default, name: processor, port: 9000, weight: 1, fallback: false}], failOpen: false,
          processingMode: {request: {attributes: []}, response: null, allowModeOverride: false}, shadowMode: false,
          messageTimeout: 200ms, statusOnError: 500, backendSettings: {loadBalancer: {type: LeastRequest},
          retry: {numRetries: 2}, timeout: {tcp: {connectTimeout: 10s}},
          circuitBreaker: {maxConnections: 1024, maxPendingRequests: 1024, maxParallelRequests: 1024}}}]}}",
    ),
    (
        "{apiVersion: htnn.mosn.io/v1, kind: FilterPolicy, metadata: {name: policy}, spec: {targetRef:
          {group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}, filters: {innerExtProc: {config: {grpcService:
          {envoyGrpc: {clusterName: 'outbound|9000||processor.default.svc.cluster.local'}}}}}}}",
        "{apiVersion: htnn.mosn.io/v1, kind: FilterPolicy, metadata: {name: policy}, spec: {targetRef:
          {group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}, filters: {innerExtProc: {config: {grpcService:
          {envoyGrpc: {clusterName: 'outbound|9000||processor.default.svc.cluster.local'}}, failureModeAllow: false,
          processingMode: {requestHeaderMode: DEFAULT, responseHeaderMode: DEFAULT, requestBodyMode: NONE,
          responseBodyMode: NONE, requestTrailerMode: DEFAULT, responseTrailerMode: DEFAULT}}}}}}",
    ),
];

/// CF-7
#[test]
fn defaults_of_the_api_server_are_added() {
    let absent: Vec<&str> = DEFAULTS.iter().map(|(absent, _)| *absent).collect();
    let absent = load(&absent.join("\n---\n"));
    for (index, (_, written)) in DEFAULTS.iter().enumerate() {
        let texts = DEFAULTS
            .iter()
            .enumerate()
            .map(|(other, (absent, _))| if other == index { written } else { absent });
        let texts: Vec<&str> = texts.copied().collect();
        assert_same(&absent, &load(&texts.join("\n---\n")));
    }
}

/// `count` times `text`, with `#` for its number, as a list.
fn list(count: usize, text: &str) -> String {
    let entries: Vec<String> = (0..count).map(|number| text.replace('#', &number.to_string())).collect();
    format!("[{}]", entries.join(", "))
}

/// A route with this `spec` behind what it refers to.
fn route(spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: it}}\nspec: {{parentRefs: [{{name: edge}}], {spec}}}\n"
    )
}

/// CF-7: what an API server would have refused is refused, with the field and the reason.
#[test]
fn what_an_api_server_refuses_is_refused() {
    let backend = "{name: web, port: 8000}";
    let rule = |more: &str| route(&format!("rules: [{{backendRefs: [{backend}], {more}}}]"));
    let gateway = |spec: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: it}}\nspec: {{gatewayClassName: eg, {spec}}}\n"
        )
    };
    let extension_policy = |spec: &str| {
        format!(
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nmetadata: {{name: it}}\nspec: {{targetRefs: \
             [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}}], {spec}}}\n"
        )
    };
    let most =
        |field: &str, most: usize| format!("{field}: must have at most {most} entries, found {}", most + 1);
    let cases = [
        (
            route(&format!("rules: {}", list(17, "{backendRefs: [{name: web, port: 8000}]}"))),
            most("spec.rules", 16),
        ),
        (rule(&format!("matches: {}", list(65, "{path: {value: /#}}"))), most("spec.rules[0].matches", 64)),
        (
            rule(&format!(
                "filters: {}",
                list(17, "{type: RequestMirror, requestMirror: {backendRef: {name: web, port: 8000}}}")
            )),
            most("spec.rules[0].filters", 16),
        ),
        (
            route(&format!("rules: [{{backendRefs: {}}}]", list(17, backend))),
            most("spec.rules[0].backendRefs", 16),
        ),
        (
            rule(&format!("matches: [{{headers: {}}}]", list(17, "{name: x-#, value: z}"))),
            most("spec.rules[0].matches[0].headers", 16),
        ),
        (
            rule(&format!("matches: [{{queryParams: {}}}]", list(17, "{name: x-#, value: z}"))),
            most("spec.rules[0].matches[0].queryParams", 16),
        ),
        (
            rule(&format!(
                "filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: {}}}}}]",
                list(17, "{name: x-#, value: z}")
            )),
            most("spec.rules[0].filters[0].requestHeaderModifier.set", 16),
        ),
        (route(&format!("hostnames: {}", list(17, "h#.example"))), most("spec.hostnames", 16)),
        (
            route("rules: [{backendRefs: [{name: web, port: 8000, weight: 1000001}]}]"),
            "spec.rules[0].backendRefs[0].weight: 1000001 is not between 0 and 1000000".to_owned(),
        ),
        (
            route("rules: [{backendRefs: [{name: web}]}]"),
            "spec.rules[0].backendRefs[0]: Must have port for Service reference".to_owned(),
        ),
        (
            gateway(&format!(
                "listeners: {}",
                list(65, "{name: l#, port: 80, protocol: HTTP, hostname: h#.example}")
            )),
            most("spec.listeners", 64),
        ),
        (gateway("listeners: []"), "spec: \"listeners\" must have 1 to 64 entries".to_owned()),
        (
            extension_policy(&format!(
                "extProc: {}",
                list(17, "{backendRefs: [{name: processor, port: 9000}]}")
            )),
            most("spec.extProc", 16),
        ),
        (
            extension_policy(&format!(
                "extProc: [{{backendRefs: {}}}]",
                list(17, "{name: processor, port: 9000}")
            )),
            most("spec.extProc[0].backendRefs", 16),
        ),
        (
            extension_policy(&format!(
                "extProc: [{{backendRefs: [{{name: processor, port: 9000}}], metadata: {{writableNamespaces: {}}}}}]",
                list(9, "n#")
            )),
            most("spec.extProc[0].metadata.writableNamespaces", 8),
        ),
    ];
    let rest: Vec<&str> = DEFAULTS.iter().map(|(absent, _)| *absent).take(5).collect();
    let rest = rest.join("\n---\n");
    for (text, expected) in cases {
        let outcome = load(&format!("{rest}\n---\n{text}"));
        let object = outcome.objects.iter().find(|object| object.name == "it").expect("the object");
        let status = object.status.clone().unwrap_or_default();
        let conditions = ["conditions", "parents", "ancestors"]
            .into_iter()
            .filter_map(|field| status[field].as_array())
            .flatten();
        let conditions = conditions
            .flat_map(|one| one["conditions"].as_array().cloned().unwrap_or_else(|| vec![one.clone()]));
        let accepted =
            conditions.into_iter().find(|condition| condition["type"] == "Accepted").unwrap_or_default();
        assert_eq!(
            (&accepted["status"], &accepted["message"]),
            (&"False".into(), &expected.into()),
            "{text}: {status:#} {:?}",
            said(&outcome)
        );
    }
}

const EVERY_DIALECT: &str = include_str!("../src/translation/tests/inputs/cf_31_every_dialect.yaml");

/// CF-14: what comes later may be what an earlier object refers to. The ages of policies are
/// written, as they depend on the order otherwise.
#[test]
fn objects_come_in_any_order() {
    let documents: Vec<String> = EVERY_DIALECT
        .split("\n---\n")
        .enumerate()
        .map(|(index, document)| {
            let metadata = format!("metadata:\n  creationTimestamp: '2026-01-01T00:00:{index:02}Z'\n");
            document.replacen("metadata:\n", &metadata, 1)
        })
        .collect();
    let in_order = |documents: &[String]| load(&documents.join("\n---\n"));
    let first = in_order(&documents);
    let routes = first.snapshot.iter().flat_map(|snapshot| &snapshot.listeners[0].filter_chains);
    assert_eq!(routes.map(|chain| chain.http.filters().count()).sum::<usize>(), 6, "{:?}", said(&first));
    let mut reversed = documents.clone();
    reversed.reverse();
    assert_same(&first, &in_order(&reversed));
    for rotation in 1..documents.len() {
        let mut rotated = documents.clone();
        rotated.rotate_left(rotation);
        assert_same(&first, &in_order(&rotated));
    }
}
