//! `tollgate run` when its files change.

use tollgate_testing as support;

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpListener,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};
use serde_json::Value;
use support::{
    DEADLINE,
    http::{connect, get},
    process::Running,
    scratch, tollgate, wait_for,
};

/// A gateway that answers everything with a text.
fn text(listener: &str, body: &str) -> String {
    bootstrap(listener, "", body)
}

fn bootstrap(listener: &str, more: &str, body: &str) -> String {
    let (address, port) = listener.rsplit_once(':').expect("an address");
    format!(
        r#"
static_resources:
  listeners:
  - name: main
    address: {{socket_address: {{address: {address}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: "{body}"}}}}}}]
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
{more}
"#
    )
}

struct Gateway {
    process: Running,
    listener: String,
    admin: String,
}

impl Gateway {
    fn start(path: &Path) -> Self {
        let arguments = ["run", "--workers", "2", "--admin-address", "127.0.0.1:0"];
        let mut process = Running::spawn(tollgate().args(arguments).arg(path));
        let listener = process.wait_for("listener main at ");
        let admin = process.wait_for("admin server at ");
        process.wait_for("serving");
        Self { process, listener, admin }
    }

    fn body(&self) -> String {
        get(&self.listener, "/", &[]).body
    }

    /// Asks until the answer is `body`.
    fn wait_for_body(&self, body: &str) {
        wait_for(body, || self.body(), |found| found == body);
    }

    fn config(&self) -> Value {
        get(&self.admin, "/config", &[]).json()
    }
}

const ANY: &str = "127.0.0.1:0";

#[test]
fn a_saved_file_is_served_and_a_broken_one_is_not() {
    let file = scratch("reload_saved").join("gateway.yaml");
    fs::write(&file, text(ANY, "one")).unwrap();
    let mut gateway = Gateway::start(&file);
    assert_eq!(gateway.body(), "one");
    assert_eq!(gateway.config()["generation"], 1);

    fs::write(&file, text(ANY, "two")).unwrap();
    gateway.process.wait_for("in force: listeners: changed main; virtual hosts: changed main/all");
    assert_eq!(gateway.body(), "two");
    assert_eq!(gateway.config()["generation"], 2);

    let broken = text(ANY, "three").replace("http_filters", "http_filterz");
    let line = 1 + broken.lines().position(|line| line.contains("http_filterz")).unwrap();
    fs::write(&file, broken).unwrap();
    gateway.process.wait_for(&format!("gateway.yaml:{line}:11"));
    gateway.process.wait_for("the previous configuration stays in force");
    assert_eq!(gateway.body(), "two");
    let config = gateway.config();
    assert_eq!(
        (&config["generation"], &config["refused"]["diagnostics"][0]["line"]),
        (&2.into(), &line.into())
    );
    assert_eq!(get(&gateway.admin, "/ready", &[]).body, "LIVE\n");

    fs::write(&file, "static_resources: [").unwrap();
    gateway.process.wait_for("the previous configuration stays in force");
    assert_eq!(gateway.body(), "two");

    fs::write(&file, text(ANY, "three")).unwrap();
    gateway.wait_for_body("three");
    gateway.process.wait_for("generation=3");
    let config = gateway.config();
    assert_eq!((&config["generation"], &config["refused"]), (&3.into(), &Value::Null));

    fs::write(&file, format!("# A comment.\n{}", text(ANY, "three"))).unwrap();
    gateway.process.wait_for("files changed, but the configuration is the same");
    assert_eq!(gateway.config()["generation"], 3);
}

/// Listeners in one file, their routes in another one.
#[test]
fn resources_in_files_of_their_own_are_read_again_when_these_change() {
    let folder = scratch("reload_resources");
    let file = |name: &str| folder.join(name);
    let source = |name: &str| format!("{{path_config_source: {{path: {:?}}}}}", file(name));
    let whole = bootstrap(ANY, "", "");
    let (listener, _) = whole.split_once("          route_config:").unwrap();
    let listener = listener.split_once("  - name: main").unwrap().1;
    let listeners = format!(
        "resources:\n  - \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n    name: main{listener}\
        \x20         rds: {{route_config_name: routes, config_source: {}}}\n\
        \x20         http_filters:\n\
        \x20         - name: router\n\
        \x20           typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}\n",
        source("routes.yaml")
    );
    let routes = |status: &str, body: &str| {
        format!(
            "version_info: {body:?}\nresources:\n\
             - \"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n\
            \x20 name: routes\n\
            \x20 virtual_hosts:\n\
            \x20 - {{name: all, domains: [\"*\"], routes: [{{match: {{prefix: /}}, \
             direct_response: {{{status}: 200, body: {{inline_string: {body:?}}}}}}}]}}\n"
        )
    };
    fs::write(file("listeners.yaml"), listeners).unwrap();
    fs::write(file("routes.yaml"), routes("status", "one")).unwrap();
    fs::write(
        file("gateway.yaml"),
        format!(
            "node: {{id: a, cluster: b}}\ndynamic_resources: {{lds_config: {}}}\n",
            source("listeners.yaml")
        ),
    )
    .unwrap();
    let mut gateway = Gateway::start(&file("gateway.yaml"));
    assert_eq!(gateway.body(), "one");

    fs::write(file("routes.yaml"), routes("status", "two")).unwrap();
    gateway.wait_for_body("two");

    // What is wrong is reported in the file that it is in, and the last good ones stay.
    fs::write(file("routes.yaml"), routes("statuz", "three")).unwrap();
    gateway.process.wait_for("routes.yaml:6:");
    gateway.process.wait_for("the previous configuration stays in force");
    assert_eq!(gateway.body(), "two");

    fs::write(file("routes.yaml"), routes("status", "three")).unwrap();
    gateway.wait_for_body("three");
}

/// As editors save, and programs that write files with care.
#[test]
fn a_file_may_be_replaced_by_another() {
    let folder = scratch("reload_renamed");
    let file = folder.join("gateway.yaml");
    fs::write(&file, text(ANY, "0")).unwrap();
    let gateway = Gateway::start(&file);
    for generation in 1..=3 {
        let body = generation.to_string();
        fs::write(folder.join("new"), text(ANY, &body)).unwrap();
        fs::rename(folder.join("new"), &file).unwrap();
        gateway.wait_for_body(&body);
    }
    // For a moment it is not there.
    fs::remove_file(&file).unwrap();
    assert_eq!(gateway.body(), "3");
    fs::write(&file, text(ANY, "4")).unwrap();
    gateway.wait_for_body("4");
}

/// As Kubernetes updates the files of a volume.
#[test]
fn the_folder_behind_a_link_may_be_replaced_by_another() {
    let folder = scratch("reload_volume");
    let version = |number: u32| {
        let version = folder.join(format!("..{number}"));
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("gateway.yaml"), text(ANY, &number.to_string())).unwrap();
        symlink(format!("..{number}"), folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    version(0);
    symlink("..data/gateway.yaml", folder.join("gateway.yaml")).unwrap();
    let (by_file, by_folder) = (Gateway::start(&folder.join("gateway.yaml")), Gateway::start(&folder));
    for number in 1..=3 {
        version(number);
        by_file.wait_for_body(&number.to_string());
        by_folder.wait_for_body(&number.to_string());
        fs::remove_dir_all(folder.join(format!("..{}", number - 1))).unwrap();
    }
}

#[test]
fn files_of_a_folder_come_and_go() {
    let folder = scratch("reload_folder").join("conf.d");
    fs::create_dir_all(folder.join("deeper")).unwrap();
    fs::write(folder.join("a.yaml"), text(ANY, "a")).unwrap();
    let mut gateway = Gateway::start(&folder);
    assert_eq!(gateway.body(), "a");
    // A second one is one too many, and it is named.
    fs::write(folder.join("deeper/b.yaml"), text(ANY, "b")).unwrap();
    gateway.process.wait_for("deeper/b.yaml:");
    assert_eq!(gateway.body(), "a");
    fs::remove_file(folder.join("a.yaml")).unwrap();
    gateway.wait_for_body("b");
    // A new folder is watched as well.
    fs::create_dir(folder.join("new")).unwrap();
    fs::rename(folder.join("deeper/b.yaml"), folder.join("new/b.yaml")).unwrap();
    gateway.process.wait_for("files changed, but the configuration is the same");
    fs::write(folder.join("new/b.yaml"), text(ANY, "c")).unwrap();
    gateway.wait_for_body("c");
}

/// The body of an answer through TLS, by a client that trusts one certificate.
fn body_by_tls(address: &str, trusted: &CertifiedKey<KeyPair>) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.cert.der().clone()).map_err(io::Error::other)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("gateway.example").map_err(io::Error::other)?;
    let session = ClientConnection::new(config.into(), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, connect(address));
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned())
}

#[test]
fn certificates_in_files_are_watched() {
    let folder = scratch("reload_certificates");
    let certificate = || generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
    let (old, new) = (certificate(), certificate());
    let files = (folder.join("tls/tls.crt"), folder.join("tls/tls.key"));
    fs::create_dir(folder.join("tls")).unwrap();
    fs::write(&files.0, old.cert.pem()).unwrap();
    fs::write(&files.1, old.signing_key.serialize_pem()).unwrap();
    let tls = format!(
        r#"
      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificates:
            - certificate_chain: {{filename: "{}"}}
              private_key: {{filename: "{}"}}"#,
        files.0.display(),
        files.1.display()
    );
    let file = folder.join("gateway.yaml");
    fs::write(&file, bootstrap(ANY, &tls, "one")).unwrap();
    let mut gateway = Gateway::start(&file);
    assert_eq!(body_by_tls(&gateway.listener, &old).unwrap(), "one");

    // For a moment they do not belong together.
    fs::write(&files.0, new.cert.pem()).unwrap();
    gateway.process.wait_for("the previous configuration stays in force");
    assert_eq!(body_by_tls(&gateway.listener, &old).unwrap(), "one");
    fs::write(&files.1, new.signing_key.serialize_pem()).unwrap();
    gateway.process.wait_for("generation=2");
    assert_eq!(body_by_tls(&gateway.listener, &new).unwrap(), "one");
    assert!(body_by_tls(&gateway.listener, &old).is_err());
}

#[test]
fn an_address_in_use_is_named_and_tried_again() {
    let file = scratch("reload_in_use").join("gateway.yaml");
    fs::write(&file, text(ANY, "one")).unwrap();
    let mut gateway = Gateway::start(&file);
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(&file, text(&address, "two")).unwrap();
    gateway.process.wait_for(&format!("listener \"main\" cannot be bound to {address}: "));
    gateway.wait_for_body("two");
    drop(taken);
    // It is tried every ten seconds, and whenever something happens.
    fs::write(file.with_extension("txt"), "").unwrap();
    gateway.process.wait_for(&format!("listener main at {address}"));
    assert_eq!(get(&address, "/", &[]).body, "two");
}

#[test]
fn the_admin_server_stays_where_it_is() {
    let file = scratch("reload_admin").join("gateway.yaml");
    fs::write(&file, text(ANY, "one")).unwrap();
    let mut gateway = Gateway::start(&file);
    let admin = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}";
    fs::write(&file, bootstrap(ANY, admin, "two")).unwrap();
    gateway.process.wait_for("changes only with a restart, to 127.0.0.1:1");
    gateway.process.wait_for("generation=2");
    assert_eq!(gateway.body(), "two");
}

/// However often files change, they are read ten times a second at most, and read they are.
#[test]
fn constant_change_neither_starves_nor_floods() {
    let folder = scratch("reload_constant");
    let file = folder.join("gateway.yaml");
    fs::write(&file, text(ANY, "0")).unwrap();
    let gateway = Gateway::start(&file);
    let began = Instant::now();
    let mut last = 0;
    while gateway.config()["generation"].as_u64() < Some(8) {
        assert!(Instant::now() < began + DEADLINE, "the configuration does not change any more");
        last += 1;
        fs::write(folder.join("new"), text(ANY, &last.to_string())).unwrap();
        fs::rename(folder.join("new"), &file).unwrap();
        let served: u32 = gateway.body().parse().unwrap();
        assert!(served <= last);
    }
    let took = Instant::now().saturating_duration_since(began);
    assert!(took >= Duration::from_millis(600), "seven configurations in {took:?}");
    gateway.wait_for_body(&last.to_string());
}
