//! The admin server of a process that acts as Envoy, beside that of Envoy.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::Instant,
};

use serde_json::Value;

use crate::{
    Place, content,
    support::{
        DEADLINE,
        http::{Response, connect, get, receive},
        process::Running,
    },
};

const BOOTSTRAP: &str = r#"
node: {id: node1, cluster: c}
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: s
          route_config:
            name: r
            virtual_hosts:
            - {name: v, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: here}}}]}
          http_filters:
          - name: hc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck
              pass_through_mode: false
              headers: [{name: ":path", string_match: {exact: /hc}}]
          - {name: r, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: a
    connect_timeout: 1.5s
    load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9}}}}]}]}
  - name: t
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: x
        common_tls_context: {validation_context_sds_secret_config: {name: ca}}
  secrets:
  - {name: ca, validation_context: {trusted_ca: {inline_string: CERTIFICATE}}}
  - {name: own, tls_certificate: {certificate_chain: {inline_string: CERTIFICATE}, private_key: {inline_string: PRIVATE_KEY}}}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
layered_runtime: {layers: [{name: static, static_layer: {a.b: 1, x: {z: true}}}, {name: admin, admin_layer: {}}]}
"#;

/// What is compared: paths of GET.
const PATHS: [&str; 20] = [
    "/certs",
    "//stats?type=nope",
    "/config_dump",
    "/config_dump?include_eds",
    "/config_dump?resource=static_clusters&mask=cluster.name",
    "/config_dump?resource=static_listeners&mask=listener.name,listener.address",
    "/config_dump?resource=dynamic_active_clusters",
    "/config_dump?resource=static_clusters&name_regex=%5Ea",
    "/config_dump?resource=nope",
    "/config_dump?resource=bootstrap",
    "/config_dump?mask=bootstrap.admin",
    "/config_dump?mask=static_clusters.cluster",
    "/clusters?format=json",
    "/listeners",
    "/listeners?format=json",
    "/runtime",
    "/init_dump",
    "/ready",
    "/stats?type=nope",
    "/healthcheck/fail",
];

fn bootstrap() -> String {
    let own = rcgen::generate_simple_self_signed(["own.example".to_owned()]).expect("a certificate");
    let quoted = |text: &str| serde_json::to_string(text).expect("JSON");
    BOOTSTRAP
        .replace("CERTIFICATE", &quoted(&own.cert.pem()))
        .replace("PRIVATE_KEY", &quoted(&own.signing_key.serialize_pem()))
}

fn post(address: &str, path: &str) -> Response {
    let mut stream = connect(address);
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the request is written");
    receive(stream)
}

fn listener(admin: &str) -> String {
    let text = get(admin, "/listeners", &[]).body;
    text.trim().strip_prefix("main::").unwrap_or_else(|| panic!("no listener: {text:?}")).to_owned()
}

/// Leaves out times, ports that the kernel chose, and who the program is.
fn comparable(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(comparable),
        Value::Object(members) => {
            for other in ["last_updated", "extensions", "user_agent_build_version", "user_agent_name"] {
                members.remove(other);
            }
            for (key, member) in members.iter_mut() {
                if key == "port_value" && member.as_u64().is_some_and(|port| port > 1024) {
                    *member = Value::Null;
                }
                comparable(member);
            }
            for list in ["cluster_statuses", "stats", "static_secrets", "thresholds"] {
                if let Some(Value::Array(entries)) = members.get_mut(list) {
                    entries.sort_by_key(Value::to_string);
                }
            }
        }
        // A duration may end in zeros.
        Value::String(text) if is_fraction_of_seconds(text) => {
            let digits = text.trim_end_matches('s').trim_end_matches('0');
            *text = format!("{digits}s");
        }
        _ => {}
    }
}

fn is_fraction_of_seconds(text: &str) -> bool {
    text.strip_suffix('s').and_then(|number| number.split_once('.')).is_some_and(|(whole, fraction)| {
        [whole, fraction]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// A status and a body in which what may differ is left out.
fn shown(admin: &str, path: &str) -> (u16, Value) {
    let response = get(admin, path, &[]);
    let mut body = serde_json::from_str(&response.body).unwrap_or_else(|_| {
        let digits = |letter: char| letter.is_ascii_digit();
        Value::from(response.body.trim_end_matches('\n').trim_end_matches(digits))
    });
    comparable(&mut body);
    (response.status, body)
}

/// The same requests get the same answers. `ENVOY` is the path of Envoy 1.40.
#[test]
#[ignore = "needs ENVOY"]
fn the_answers_are_envoys() {
    let envoy = std::env::var("ENVOY").expect("ENVOY is the path of Envoy");
    let place = Place::new("beside_envoy");
    fs::write(place.folder.join("admin.yaml"), bootstrap()).expect("the file is written");
    let arguments = ["-c", "admin.yaml", "--admin-address-path"];
    let (_ours, ours) = place.start(&[&arguments as &[_], &["ours"]].concat(), "ours");
    let mut command = Command::new(envoy);
    command.current_dir(&place.folder).args(arguments).args(["theirs", "--use-dynamic-base-id"]);
    let _theirs = Running::spawn(&mut command);
    let theirs = content(&place.folder.join("theirs"));
    // Envoy answers before it has started.
    while get(&theirs, "/ready", &[]).status != 200 {}
    for path in PATHS {
        assert_eq!(shown(&ours, path), shown(&theirs, path), "{path}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let place = Place::new("secrets");
    fs::write(place.folder.join("admin.yaml"), bootstrap()).expect("the file is written");
    let (_running, admin) = place.start(&["-c", "admin.yaml", "--admin-address-path", "admin"], "admin");
    let dump = get(&admin, "/config_dump?resource=static_secrets", &[]).json();
    let secrets = dump["configs"].as_array().expect("a list");
    assert_eq!(secrets.len(), 2, "{dump}");
    let own = secrets.iter().find(|secret| secret["name"] == "own").expect("it is there");
    assert_eq!(own["secret"]["tls_certificate"]["private_key"]["inline_string"], "[redacted]");
    assert!(!get(&admin, "/config_dump", &[]).body.contains("PRIVATE KEY"));
}

#[test]
fn clients_are_sent_elsewhere() {
    let place = Place::new("leaving");
    fs::write(place.folder.join("admin.yaml"), bootstrap()).expect("the file is written");
    let (running, admin) = place.start(&["-c", "admin.yaml", "--admin-address-path", "admin"], "admin");
    let main = listener(&admin);
    let refused = get(&admin, "/healthcheck/fail", &[]);
    assert_eq!((refused.status, &*refused.body), (405, "Method GET not allowed, POST required."));
    let health = |status: u16| {
        let deadline = Instant::now() + DEADLINE;
        // Every worker has to be told.
        while get(&main, "/hc", &[]).status != status {
            assert!(Instant::now() < deadline, "health checks are not answered with {status}");
        }
    };
    health(200);
    assert_eq!(post(&admin, "/healthcheck/fail").status, 200);
    health(503);
    assert_eq!(get(&admin, "/ready", &[]).status, 503);
    // A client that would stay is asked to go.
    let mut stream = connect(&main);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").expect("the request is written");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the connection ends");
    let text = text.to_ascii_lowercase();
    assert!(text.contains("x-envoy-immediate-health-check-fail: true\r\n"), "{text}");
    assert!(text.contains("connection: close\r\n") && text.ends_with("here"), "{text}");
    assert_eq!(post(&admin, "/healthcheck/ok").status, 200);
    health(200);
    assert_eq!(get(&admin, "/ready", &[]).body, "LIVE\n");
    let counted =
        |query: &str| get(&admin, &format!("/stats?filter=http.s.downstream_rq_2xx&{query}"), &[]).body;
    assert!(counted("usedonly").starts_with("http.s.downstream_rq_2xx: "), "{}", counted("usedonly"));
    assert_eq!(post(&admin, "/reset_counters").body, "OK\n");
    assert_eq!(counted(""), "http.s.downstream_rq_2xx: 0\n");
    assert_eq!(counted("usedonly"), "");
    assert_eq!(post(&admin, "/drain_listeners").body, "OK\n");
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect(&main).is_ok() {
        assert!(Instant::now() < deadline, "connections are still accepted");
    }
    assert_eq!(post(&admin, "/quitquitquit").body, "OK\n");
    let (status, said) = running.wait();
    assert!(status.success(), "{said}");
}
