//! The examples of Envoy Gateway, served by the binary: a processor in a process of its own marks what passes.

use tollgate_testing as support;

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use support::{
    http::{self, Response},
    http1::echo,
    process::Running,
    root, scratch, texts, tollgate, wait_for,
};

/// Name in the processor's certificate.
const PROCESSOR: &str = "grpc-ext-proc.envoygateway";

/// A gateway that serves files of an example, before an upstream that shows the headers it got.
struct Served {
    gateway: Running,
    address: String,
    admin: String,
    /// The processor, until the test ends.
    _processor: Running,
    _runtime: tokio::runtime::Runtime,
}

/// The upstream.
fn backend() -> (tokio::runtime::Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("bound");
    runtime.spawn(echo(listener));
    (runtime, address)
}

/// Starts the processor; gives where it listens.
fn processor(arguments: &[&str]) -> (Running, String) {
    let mut processor = Running::spawn(tollgate().args(["processor", "mark"]).args(arguments));
    let address = processor.wait_for("listens on ");
    (processor, address)
}

/// A port that nobody has: one of a Gateway is a number from 1.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port").port()
}

/// Copies the YAML of an example to where a test may change it; the gateway listens on `port`.
fn copy(example: &str, directory: &Path, port: u16) {
    for entry in fs::read_dir(root().join("examples").join(example)).expect("an example") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).expect("a text");
            let text = text.replace("      port: 80\n", &format!("      port: {port}\n"));
            fs::write(directory.join(path.file_name().expect("a name")), text).expect("it is written");
        }
    }
}

/// Replaces a part of a file that has to be there.
fn edit(path: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(path).expect("a text");
    assert!(text.contains(old), "{path:?} has no {old:?}");
    fs::write(path, text.replace(old, new)).expect("it is written");
}

fn serve(directory: &Path, port: u16, resolve: &[String], processor: Running) -> Served {
    let (runtime, backend) = backend();
    let arguments =
        ["run", "--workers", "2", "--admin-address", "127.0.0.1:0", "--bind-address", "127.0.0.1"];
    let mut command = tollgate();
    command.args(arguments).arg(format!("--resolve=default/backend:3000={backend}"));
    command.args(resolve.iter().map(|text| format!("--resolve={text}"))).arg(directory);
    let mut gateway = Running::spawn(&mut command);
    let admin = gateway.wait_for("admin server at ");
    gateway.wait_for("serving");
    let address = format!("127.0.0.1:{port}");
    Served { gateway, address, admin, _processor: processor, _runtime: runtime }
}

impl Served {
    fn post(&self, path: &str, body: &str) -> Response {
        let mut stream = http::connect(&self.address);
        let head = format!("POST {path} HTTP/1.1\r\nhost: www.example.com\r\nconnection: close\r\n");
        let rest =
            format!("x-request-client-header: original\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all((head + &rest).as_bytes()).expect("the request is written");
        http::receive(stream)
    }

    /// Asks until the status is this one: a busy machine may need more than the 200 ms that an answer may take, and changes
    /// of files take a moment.
    fn wait_for_status(&self, status: u16) -> Response {
        self.wait_for(|response| response.status == status)
    }

    /// Asks until the response is as it should be.
    fn wait_for(&self, right: impl Fn(&Response) -> bool) -> Response {
        wait_for("/myapp", || self.post("/myapp", "hello"), right)
    }

    /// The value of a counter of the processor's filter, over all of them.
    fn counted(&self, name: &str) -> u64 {
        let stats = http::get(&self.admin, "/stats", &[]).body;
        let of_it = stats.lines().filter_map(|line| line.split_once(": "));
        let of_it = of_it.filter(|(key, _)| key.contains("ext_proc") && key.ends_with(name));
        of_it.filter_map(|(_, value)| value.trim().parse::<u64>().ok()).sum()
    }
}

/// Request and response carry the marks, and the body is what it was.
fn assert_marked(response: &Response) {
    // The upstream answers with the headers that it got.
    assert_eq!(response.header("x-request-ext-processed"), Some("true"), "{response:?}");
    assert_eq!(response.header("x-request-client-header"), Some("mutated"));
    assert_eq!(response.header("x-request-client-header-received"), Some("original"));
    assert_eq!(response.header("x-response-ext-processed"), Some("true"));
    assert_eq!(response.body, "hello");
}

/// Makes a certificate for a name, with its key, and the ConfigMap that has it trusted.
fn certificate(name: &str, directory: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
    fs::write(&certificate, made.cert.pem()).expect("it is written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
    let data: String = made.cert.pem().lines().map(|line| format!("    {line}\n")).collect();
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: grpc-ext-proc-ca\ndata:\n  ca.crt: |\n{data}"
    );
    fs::write(directory.join("grpc-ext-proc-ca.yaml"), map).expect("it is written");
    (certificate, key)
}

/// The first example; the processor's certificate is for `name`.
fn with_tls(test: &str, name: &str) -> (Served, PathBuf) {
    let (directory, port) = (scratch(test), free_port());
    copy("envoy-gateway", &directory, port);
    let (certificate, key) = certificate(name, &directory);
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let arguments = ["--listen", "127.0.0.1:0", "--tls-certificate", &certificate, "--tls-private-key", &key];
    let (processor, address) = processor(&arguments);
    let resolve = [format!("default/grpc-ext-proc:9002={address}")];
    (serve(&directory, port, &resolve, processor), directory)
}

#[test]
fn what_passes_is_marked_by_a_processor_behind_tls() {
    let (served, directory) = with_tls("envoy_gateway", PROCESSOR);
    let response = served.wait_for_status(200);
    assert_marked(&response);
    // Request headers, response headers and at least one piece of the response body; its length was not known any more.
    assert!(served.counted("stream_msgs_sent") >= 3, "{}", served.counted("stream_msgs_sent"));
    assert_eq!(response.header("content-length"), None);
    // Other paths have no route.
    assert_eq!(served.post("/elsewhere", "").status, 404);
    // EG-63: a ConfigMap that is gone is no reason to trust everybody.
    fs::remove_file(directory.join("grpc-ext-proc-ca.yaml")).unwrap();
    let response = served.wait_for_status(500);
    assert_eq!(response.header("x-request-ext-processed"), None);
    let output = tollgate().arg("check").arg(&directory).output().unwrap();
    let text = texts(&output).0;
    assert!(text.contains("configmap grpc-ext-proc-ca not found in namespace default"), "{text}");
    served.gateway.signal("TERM");
    assert_eq!(served.gateway.wait().0.code(), Some(0));
}

#[test]
fn a_processor_with_a_certificate_for_another_name_is_not_spoken_to() {
    // 6.10: the hostname of the policy is not in the certificate.
    let (served, _) = with_tls("envoy_gateway_name", "grpc-ext-proc.default.svc.cluster.local");
    let response = served.wait_for_status(500);
    assert_eq!(response.header("x-response-ext-processed"), None);
}

/// The second example, with the processor at an address that replaces the one of the Backend.
fn sidecar(test: &str, listen: &str, backend: impl Fn(&str) -> String) -> (Served, PathBuf) {
    let (directory, port) = (scratch(test), free_port());
    copy("envoy-gateway-sidecar", &directory, port);
    let listen = listen.replace("DIRECTORY", &directory.display().to_string());
    let (processor, address) = processor(&["--listen", &listen]);
    let old = "    - ip:\n        address: \"127.0.0.1\"\n        port: 9000\n";
    edit(&directory.join("ext-proc.yaml"), old, &backend(&address));
    (serve(&directory, port, &[], processor), directory)
}

#[test]
fn a_process_beside_the_gateway_marks_what_passes_until_the_grant_is_gone() {
    let (served, directory) = sidecar("envoy_gateway_sidecar", "127.0.0.1:0", |address| {
        let port = address.rsplit_once(':').unwrap().1;
        format!("    - ip:\n        address: \"127.0.0.1\"\n        port: {port}\n")
    });
    assert_marked(&served.wait_for_status(200));
    let path = directory.join("ext-proc.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let (kept, _grant) = text.split_once("---\n# Filled in: the Backend is in another namespace").unwrap();
    fs::write(&path, kept).unwrap();
    let response = served.wait_for_status(500);
    assert_eq!(response.header("x-request-ext-processed"), None);
    let output = tollgate().arg("check").arg(&directory).output().unwrap();
    let text = texts(&output).0;
    let refused = "backend ref to Backend envoy-gateway-system/extproc not permitted by any ReferenceGrant";
    assert!(text.contains(refused), "{text}");
    assert!(text.contains("kind: ReferenceGrant"), "the help shows what to add: {text}");
    let accepted = &status("EnvoyExtensionPolicy", &directory)["ancestors"][0]["conditions"][0];
    assert_eq!((&accepted["status"], &accepted["reason"]), (&"False".into(), &"Invalid".into()));
    assert_eq!(accepted["message"], format!("ExtProc: {refused}."));
}

/// The status that the one object of a kind gets.
fn status(kind: &str, directory: &Path) -> serde_json::Value {
    let files = fs::read_dir(directory).expect("a folder").map(|entry| entry.expect("an entry").path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let sources: Vec<_> = yaml.map(|path| tollgate_config::Source::read(&path).expect("a text")).collect();
    let objects = tollgate_config::load(&sources).objects;
    let found = objects.into_iter().find(|object| object.kind == kind).and_then(|object| object.status);
    found.expect("a status")
}

#[test]
fn a_process_beside_the_gateway_may_listen_on_a_unix_socket() {
    let (served, _) = sidecar("envoy_gateway_unix", "unix:DIRECTORY/s", |address| {
        format!("    - unix:\n        path: {}\n", address.strip_prefix("unix:").unwrap())
    });
    assert_marked(&served.wait_for_status(200));
}

#[test]
fn names_of_routes_and_metadata_travel_with_what_passes() {
    // EG-36, 9.6: what the documentation's own end-to-end test expects.
    let (served, directory) = sidecar("envoy_gateway_metadata", "127.0.0.1:0", |address| {
        let port = address.rsplit_once(':').expect("an address").1;
        format!("    - ip:\n        address: \"127.0.0.1\"\n        port: {port}\n")
    });
    let mode = "      request: {}\n      response: {}\n";
    let with_attributes = "      request: {attributes: [xds.route_name]}\n      response: {attributes: [request.path]}\n    \
                           metadata: {writableNamespaces: [io.envoyproxy.gateway.e2e]}\n";
    edit(&directory.join("ext-proc.yaml"), mode, with_attributes);
    let modifier = "      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set:
              - name: x-request-from-ext-proc-metadata
                value: \"%DYNAMIC_METADATA(io.envoyproxy.gateway.e2e:ext-proc-emitted-metadata)%\"
      backendRefs:
";
    edit(&directory.join("myapp.yaml"), "      backendRefs:\n", modifier);
    // Both files change: what is asked for comes once both are in force.
    let response = served.wait_for(|response| {
        response.header("x-request-from-ext-proc-metadata") == Some("received")
            && response.header("x-response-request-path").is_some()
    });
    assert_marked(&response);
    let route = "httproute/default/myapp/rule/0/match/0/www_example_com";
    assert_eq!(response.header("x-request-xds-route-name"), Some(route));
    assert_eq!(response.header("x-response-request-path"), Some("/myapp"));
}

const SECURED: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: eg, listeners: [{name: http, protocol: HTTP, port: PORT}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: tokens}
spec:
  parentRefs: [{name: edge}]
  rules: [{matches: [{path: {value: /tokens}}], backendRefs: [{name: web, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: asked}
spec:
  parentRefs: [{name: edge}]
  rules: [{matches: [{path: {value: /asked}}], backendRefs: [{name: web, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: open}
spec:
  parentRefs: [{name: edge}]
  rules: [{matches: [{path: {value: /open}}], backendRefs: [{name: web, port: 80}]}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: tokens}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: tokens}]
  jwt:
    providers:
    - name: test
      issuer: test
      localJWKS:
        type: Inline
        inline: '{"keys": [{"kty": "oct", "alg": "HS256", "kid": "one", "k": "aGVsbG8gd29ybGQsIHRoaXMgaXMgbG9uZyBlbm91Z2g"}]}'
      claimToHeaders: [{header: x-sub, claim: sub}]
  authorization:
    defaultAction: Deny
    rules:
    - {action: Allow, principal: {jwt: {provider: test, claims: [{name: roles, valueType: StringArray, values: [admin]}]}}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: asked}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: asked}]
  extAuth:
    http: {backendRefs: [{name: authority, port: 80}], headersToBackend: [x-user]}
    headersToExtAuth: [x-pass]
  cors: {allowOrigins: ["https://*.example.com"], allowMethods: [GET]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: authority}
spec: {ports: [{port: 80}]}
"#;

/// Lets those pass who say that they may.
fn authority(runtime: &tokio::runtime::Runtime) -> SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("bound");
    runtime.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut head, mut piece) = (Vec::new(), [0; 1024]);
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut piece).await {
                    Ok(read @ 1..) => head.extend_from_slice(&piece[..read]),
                    _ => break,
                }
            }
            let passes = String::from_utf8_lossy(&head).to_lowercase().contains("x-pass: yes");
            let answer: &[u8] = match passes {
                true => b"HTTP/1.1 200 OK\r\nx-user: alice\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                false => b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            };
            let _ = stream.write_all(answer).await;
        }
    });
    address
}

/// Tokens of alice, an admin, and of bob, a user.
const TOKENS: [&str; 2] = [
    "eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0Iiwic3ViIjoiYWxpY2UiLCJyb2xlcyI6WyJhZG1pbiJdfQ.\
     esKgPkpxOCxP8uQK8dPQ7LrLf1szV6954QMeOFrIvdw",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0Iiwic3ViIjoiYm9iIiwicm9sZXMiOlsidXNlciJdfQ.\
     lKs6oFY5JOrXqi0a2_tLTwN006F2yY-yiJfaQ79P97k",
];

#[test]
fn a_security_policy_lets_pass_who_may() {
    let (runtime, web) = backend();
    let authority = authority(&runtime);
    let (directory, port) = (scratch("security_policy"), free_port());
    fs::write(directory.join("all.yaml"), SECURED.replace("PORT", &port.to_string())).expect("it is written");
    let mut command = tollgate();
    command.args(["run", "--admin-address", "127.0.0.1:0"]);
    command.arg(format!("--resolve=default/web:80={web}"));
    command.arg(format!("--resolve=default/authority:80={authority}")).arg(&directory);
    let mut gateway = Running::spawn(&mut command);
    gateway.wait_for("serving");
    let get = |path: &str, headers: &[(&str, &str)]| {
        let mut stream = http::connect(&format!("127.0.0.1:{port}"));
        let headers: Vec<_> = headers.iter().copied().chain([("connection", "close")]).collect();
        http::send(&mut stream, "web.example", path, &headers);
        http::receive(stream)
    };

    assert_eq!(get("/open", &[]).status, 200);
    assert_eq!(get("/tokens", &[]).status, 401);
    assert_eq!(get("/tokens", &[("authorization", "Bearer nonsense")]).status, 401);
    let [alice, bob] = TOKENS.map(|token| format!("Bearer {token}"));
    let admin = get("/tokens", &[("authorization", &alice)]);
    assert_eq!((admin.status, admin.header("x-sub")), (200, Some("alice")), "{admin:?}");
    assert_eq!(get("/tokens", &[("authorization", &bob)]).status, 403);

    assert_eq!(get("/asked", &[]).status, 403);
    let passed = get("/asked", &[("x-pass", "yes"), ("origin", "https://a.example.com")]);
    assert_eq!((passed.status, passed.header("x-user")), (200, Some("alice")), "{passed:?}");
    assert_eq!(passed.header("access-control-allow-origin"), Some("https://a.example.com"), "{passed:?}");
}
