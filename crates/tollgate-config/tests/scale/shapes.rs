//! Inputs of many objects.

use std::fmt::Write as _;

use rcgen::{CertificateParams, KeyPair};

/// API and kind of an object.
type Kind = (&'static str, &'static str);

const SERVICE: Kind = ("v1", "Service");
const SECRET: Kind = ("v1", "Secret");
const CONFIG_MAP: Kind = ("v1", "ConfigMap");
const ENDPOINT_SLICE: Kind = ("discovery.k8s.io/v1", "EndpointSlice");
const GATEWAY: Kind = ("gateway.networking.k8s.io/v1", "Gateway");
const LISTENER_SET: Kind = ("gateway.networking.k8s.io/v1", "ListenerSet");
const HTTP_ROUTE: Kind = ("gateway.networking.k8s.io/v1", "HTTPRoute");
const BACKEND_TLS_POLICY: Kind = ("gateway.networking.k8s.io/v1", "BackendTLSPolicy");
const ENVOY_EXTENSION_POLICY: Kind = ("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy");
const GATEWAY_EXTENSION: Kind = ("gateway.kgateway.dev/v1alpha1", "GatewayExtension");
const TRAFFIC_POLICY: Kind = ("gateway.kgateway.dev/v1alpha1", "TrafficPolicy");
const ISTIO_GATEWAY: Kind = ("networking.istio.io/v1", "Gateway");
const SERVICE_ENTRY: Kind = ("networking.istio.io/v1", "ServiceEntry");
const VIRTUAL_SERVICE: Kind = ("networking.istio.io/v1", "VirtualService");

/// Adds an object: what stands in its metadata, then the rest of it.
fn add(text: &mut String, (api, kind): Kind, metadata: &str, rest: &str) {
    write!(text, "---\napiVersion: {api}\nkind: {kind}\nmetadata: {{{metadata}}}\n{rest}").expect("text");
}

fn named(index: usize) -> String {
    format!("name: web-{index}")
}

fn gateway(class: &str, more: &str) -> String {
    let mut text = String::new();
    let listeners = "listeners: [{name: http, port: 8080, protocol: HTTP}]";
    add(
        &mut text,
        GATEWAY,
        "name: edge",
        &format!("spec: {{gatewayClassName: {class}, {listeners}{more}}}\n"),
    );
    let port = "{name: grpc, port: 9002, appProtocol: kubernetes.io/h2c}";
    add(&mut text, SERVICE, "name: processor", &format!("spec: {{clusterIP: 10.0.0.1, ports: [{port}]}}\n"));
    text
}

/// A Service with its endpoints, and a route to it.
fn route(text: &mut String, index: usize, labels: &str) {
    add(text, SERVICE, &named(index), "spec: {ports: [{name: http, port: 80}]}\n");
    let of_service = format!("{}, labels: {{kubernetes.io/service-name: web-{index}}}", named(index));
    let endpoints = "addressType: IPv4
endpoints: [{addresses: [10.1.0.1]}]
ports: [{name: http, port: 8080}]
";
    add(text, ENDPOINT_SLICE, &of_service, endpoints);
    let spec = format!(
        "spec:
  parentRefs: [{{name: edge}}]
  hostnames: [web-{index}.example.com]
  rules:
  - matches: [{{path: {{value: /a}}}}, {{path: {{value: /b}}}}]
    backendRefs: [{{name: web-{index}, port: 80}}]
"
    );
    add(text, HTTP_ROUTE, &format!("{}, labels: {{{labels}}}", named(index)), &spec);
}

/// A policy of Envoy Gateway with a processor.
fn extension_policy(text: &mut String, index: usize, targets: &str, more: &str) {
    let processor = format!("{{backendRefs: [{{name: processor, port: 9002}}]{more}}}");
    let spec = format!("spec:\n  {targets}\n  extProc: [{processor}]\n");
    add(text, ENVOY_EXTENSION_POLICY, &format!("name: policy-{index}"), &spec);
}

/// Routes, the first of which have a policy each.
pub(crate) fn routes(routes: usize, policies: usize) -> String {
    let mut text = gateway("eg", "");
    for index in 0..routes {
        route(&mut text, index, "");
    }
    for index in 0..policies {
        let target = format!("{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web-{index}}}");
        let mode = ", processingMode: {request: {}}";
        extension_policy(&mut text, index, &format!("targetRefs: [{target}]"), mode);
    }
    text
}

/// Policies that choose routes by their labels.
const SELECTING: usize = 100;

fn labelled(class: &str, routes: usize) -> String {
    let mut text = gateway(class, "");
    for index in 0..routes {
        route(&mut text, index, &format!("team: team-{}", index % SELECTING));
    }
    text
}

/// Routes that a hundred policies of Envoy Gateway select.
pub(crate) fn selected(routes: usize) -> String {
    let mut text = labelled("eg", routes);
    for index in 0..SELECTING {
        let selector = format!("{{kind: HTTPRoute, matchLabels: {{team: team-{index}}}}}");
        extension_policy(&mut text, index, &format!("targetSelectors: [{selector}]"), "");
    }
    text
}

/// Routes that a hundred policies of kgateway select.
pub(crate) fn selected_by_kgateway(routes: usize) -> String {
    let mut text = labelled("kgateway", routes);
    let service = "{grpcService: {backendRef: {name: processor, port: 9002}}}";
    let spec = format!("spec: {{type: ExtProc, extProc: {service}}}\n");
    add(&mut text, GATEWAY_EXTENSION, "name: processor", &spec);
    for index in 0..SELECTING {
        let spec = format!(
            "spec:
  targetSelectors: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, matchLabels: {{team: team-{index}}}}}]
  extProc: {{extensionRef: {{name: processor}}}}
"
        );
        add(&mut text, TRAFFIC_POLICY, &format!("name: policy-{index}"), &spec);
    }
    text
}

/// A certificate and its key, in PEM, indented to stand in a block of YAML.
fn certificate() -> [String; 2] {
    let key = KeyPair::generate().expect("a key");
    let names = vec!["*.example.com".to_owned()];
    let certificate = CertificateParams::new(names).expect("names").self_signed(&key).expect("a certificate");
    [certificate.pem(), key.serialize_pem()]
        .map(|pem| pem.lines().map(|line| format!("    {line}\n")).collect())
}

/// ListenerSets with a TLS listener and a route each.
pub(crate) fn listener_sets(sets: usize) -> String {
    let mut text = gateway("eg", ", allowedListeners: {namespaces: {from: All}}");
    let [certificate, key] = certificate();
    let data =
        format!("type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{certificate}  tls.key: |\n{key}");
    add(&mut text, SECRET, "name: certificate", &data);
    for index in 0..sets {
        let tls = "tls: {certificateRefs: [{name: certificate}]}";
        let spec = format!(
            "spec:
  parentRef: {{name: edge}}
  listeners:
  - {{name: https, port: 8443, protocol: HTTPS, hostname: web-{index}.example.com, {tls}}}
"
        );
        add(&mut text, LISTENER_SET, &format!("name: set-{index}"), &spec);
        let spec = format!(
            "spec:
  parentRefs: [{{kind: ListenerSet, name: set-{index}}}]
  rules: [{{backendRefs: [{{name: processor, port: 9002}}]}}]
"
        );
        add(&mut text, HTTP_ROUTE, &named(index), &spec);
    }
    text
}

/// Routes to Services with a policy of TLS each: every other one trusts what the system trusts.
pub(crate) fn backend_tls(policies: usize) -> String {
    let mut text = gateway("eg", "");
    let [certificate, _] = certificate();
    add(&mut text, CONFIG_MAP, "name: authority", &format!("data:\n  ca.crt: |\n{certificate}"));
    for index in 0..policies {
        route(&mut text, index, "");
        let trusted = match index % 2 {
            0 => "caCertificateRefs: [{group: '', kind: ConfigMap, name: authority}]",
            _ => "wellKnownCACertificates: System",
        };
        let spec = format!(
            "spec:
  targetRefs: [{{group: '', kind: Service, name: web-{index}}}]
  validation: {{hostname: web-{index}.example.com, {trusted}}}
"
        );
        add(&mut text, BACKEND_TLS_POLICY, &format!("name: tls-{index}"), &spec);
    }
    text
}

/// ServiceEntries and as many VirtualServices, spread over some Gateways.
pub(crate) fn istio(objects: usize) -> String {
    const GATEWAYS: usize = 20;
    let mut text = String::new();
    for index in 0..GATEWAYS {
        let port = format!("{{number: {}, name: http, protocol: HTTP}}", 8000 + index);
        let spec = format!("spec: {{servers: [{{port: {port}, hosts: ['*']}}]}}\n");
        add(&mut text, ISTIO_GATEWAY, &format!("name: gateway-{index}"), &spec);
    }
    for index in 0..objects / 2 {
        let spec = format!(
            "spec:
  hosts: [web-{index}.example.com]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 10.1.0.1}}]
"
        );
        add(&mut text, SERVICE_ENTRY, &named(index), &spec);
        let destination = format!("{{host: web-{index}.example.com, port: {{number: 80}}}}");
        let spec = format!(
            "spec:
  hosts: [web-{index}.example.com]
  gateways: [gateway-{}]
  http: [{{name: all, route: [{{destination: {destination}}}]}}]
",
            index % GATEWAYS
        );
        add(&mut text, VIRTUAL_SERVICE, &named(index), &spec);
    }
    text
}
