//! Inputs of many objects.

use std::fmt::Write as _;

use rcgen::{CertificateParams, KeyPair};

/// Adds documents.
macro_rules! add {
    ($text:ident, $($format:tt)*) => { write!($text, $($format)*).expect("text") };
}

fn gateway(class: &str, more: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec: {{gatewayClassName: {class}, listeners: [{{name: http, port: 8080, protocol: HTTP}}]{more}}}
---
apiVersion: v1
kind: Service
metadata: {{name: processor}}
spec: {{clusterIP: 10.0.0.1, ports: [{{name: grpc, port: 9002, appProtocol: kubernetes.io/h2c}}]}}
"
    )
}

/// A Service with its endpoints, and a route to it.
fn route(text: &mut String, index: usize, labels: &str) {
    add!(
        text,
        "---
apiVersion: v1
kind: Service
metadata: {{name: web-{index}}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-{index}, labels: {{kubernetes.io/service-name: web-{index}}}}}
addressType: IPv4
endpoints: [{{addresses: [10.1.0.1]}}]
ports: [{{name: http, port: 8080}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web-{index}, labels: {{{labels}}}}}
spec:
  parentRefs: [{{name: edge}}]
  hostnames: [web-{index}.example.com]
  rules:
  - matches: [{{path: {{value: /a}}}}, {{path: {{value: /b}}}}]
    backendRefs: [{{name: web-{index}, port: 80}}]
"
    );
}

/// Routes, the first of which have a policy each.
pub(crate) fn routes(routes: usize, policies: usize) -> String {
    let mut text = gateway("eg", "");
    for index in 0..routes {
        route(&mut text, index, "");
    }
    for index in 0..policies {
        add!(
            text,
            "---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {{name: policy-{index}}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web-{index}}}]
  extProc: [{{backendRefs: [{{name: processor, port: 9002}}], processingMode: {{request: {{}}}}}}]
"
        );
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
        add!(
            text,
            "---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {{name: policy-{index}}}
spec:
  targetSelectors: [{{kind: HTTPRoute, matchLabels: {{team: team-{index}}}}}]
  extProc: [{{backendRefs: [{{name: processor, port: 9002}}]}}]
"
        );
    }
    text
}

/// Routes that a hundred policies of kgateway select.
pub(crate) fn selected_by_kgateway(routes: usize) -> String {
    let mut text = labelled("kgateway", routes);
    text.push_str(
        "---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: GatewayExtension
metadata: {name: processor}
spec: {type: ExtProc, extProc: {grpcService: {backendRef: {name: processor, port: 9002}}}}
",
    );
    for index in 0..SELECTING {
        add!(
            text,
            "---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: policy-{index}}}
spec:
  targetSelectors: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, matchLabels: {{team: team-{index}}}}}]
  extProc: {{extensionRef: {{name: processor}}}}
"
        );
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
    add!(
        text,
        "---
apiVersion: v1
kind: Secret
metadata: {{name: certificate}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{certificate}  tls.key: |
{key}"
    );
    for index in 0..sets {
        add!(
            text,
            "---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {{name: set-{index}}}
spec:
  parentRef: {{name: edge}}
  listeners:
  - {{name: https, port: 8443, protocol: HTTPS, hostname: web-{index}.example.com, tls: {{certificateRefs: [{{name: certificate}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web-{index}}}
spec:
  parentRefs: [{{kind: ListenerSet, name: set-{index}}}]
  rules: [{{backendRefs: [{{name: processor, port: 9002}}]}}]
"
        );
    }
    text
}

/// Routes to Services with a policy of TLS each: every other one trusts what the system trusts.
pub(crate) fn backend_tls(policies: usize) -> String {
    let mut text = gateway("eg", "");
    let [certificate, _] = certificate();
    add!(
        text,
        "---
apiVersion: v1
kind: ConfigMap
metadata: {{name: authority}}
data:
  ca.crt: |
{certificate}"
    );
    for index in 0..policies {
        route(&mut text, index, "");
        let trusted = match index % 2 {
            0 => "caCertificateRefs: [{group: '', kind: ConfigMap, name: authority}]",
            _ => "wellKnownCACertificates: System",
        };
        add!(
            text,
            "---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: tls-{index}}}
spec:
  targetRefs: [{{group: '', kind: Service, name: web-{index}}}]
  validation: {{hostname: web-{index}.example.com, {trusted}}}
"
        );
    }
    text
}

/// ServiceEntries and as many VirtualServices, spread over some Gateways.
pub(crate) fn istio(objects: usize) -> String {
    const GATEWAYS: usize = 20;
    let mut text = String::new();
    for index in 0..GATEWAYS {
        let port = 8000 + index;
        add!(
            text,
            "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gateway-{index}}}
spec: {{servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ['*']}}]}}
"
        );
    }
    for index in 0..objects / 2 {
        let gateway = index % GATEWAYS;
        add!(
            text,
            "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: web-{index}}}
spec:
  hosts: [web-{index}.example.com]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 10.1.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web-{index}}}
spec:
  hosts: [web-{index}.example.com]
  gateways: [gateway-{gateway}]
  http: [{{name: all, route: [{{destination: {{host: web-{index}.example.com, port: {{number: 80}}}}}}]}}]
"
        );
    }
    text
}
