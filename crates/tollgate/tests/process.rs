//! The process: signals, draining, limits, its admin server, and peers that are gone.

use tollgate_testing as support;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use support::{
    DEADLINE, eventually,
    http::{connect, get, read_request, receive, send},
    process::Running,
    scratch, texts, tollgate,
};

/// What a test changes in the configuration of a gateway before an upstream.
struct Configuration {
    listener: SocketAddr,
    upstream: SocketAddr,
    /// Fields of the connection manager.
    manager: String,
    /// Filters before the router.
    filters: String,
    /// Further clusters.
    clusters: String,
    /// Top-level fields.
    more: String,
}

impl Configuration {
    fn new(upstream: SocketAddr) -> Self {
        Self {
            listener: "127.0.0.1:0".parse().expect("an address"),
            upstream,
            manager: String::new(),
            filters: String::new(),
            clusters: String::new(),
            more: String::new(),
        }
    }

    fn text(&self) -> String {
        let address = |address: SocketAddr| {
            format!("{{socket_address: {{address: {}, port_value: {}}}}}", address.ip(), address.port())
        };
        let Self { manager, filters, clusters, more, .. } = self;
        let (listener, upstream) = (address(self.listener), address(self.upstream));
        format!(
            r#"
static_resources:
  listeners:
  - name: main
    address: {listener}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          {manager}
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: app}}}}]}}
          http_filters:
          {filters}
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: app
    load_assignment:
      cluster_name: app
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {upstream}}}}}]}}]
{clusters}
{more}
"#
        )
    }

    fn write(&self, directory: &Path) -> PathBuf {
        let path = directory.join("gateway.yaml");
        fs::write(&path, self.text()).expect("the file is written");
        path
    }
}

fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// Answers every request on connections of their own.
fn upstream() -> SocketAddr {
    let (listener, address) = bound();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut head = [0; 4096];
                while stream.read(&mut head).unwrap_or(0) > 0 {
                    if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

struct Gateway {
    process: Running,
    address: String,
    admin: String,
}

fn run(path: &Path, arguments: &[&str]) -> Gateway {
    let mut command = tollgate();
    command.args(["run", "--workers", "2", "--admin-address", "127.0.0.1:0"]).args(arguments).arg(path);
    let mut process = Running::spawn(&mut command);
    let address = process.wait_for("listener main at ");
    let admin = process.wait_for("admin server at ");
    process.wait_for("serving");
    Gateway { process, address, admin }
}

#[test]
fn signals_for_logs_open_them_again_and_harm_nobody() {
    let directory = scratch("process_reopen");
    let (log, moved) = (directory.join("access.log"), directory.join("access.log.1"));
    let mut configuration = Configuration::new(upstream());
    configuration.manager = format!(
        "access_log: [{{name: file, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: {}, \
         log_format: {{text_format_source: {{inline_string: \"%REQ(:PATH)%\\n\"}}}}}}}}]",
        log.display()
    );
    let gateway = run(&configuration.write(&directory), &[]);
    let logged = |file: &Path, path: &str| {
        fs::read_to_string(file).is_ok_and(|text| text.lines().any(|line| line == path))
    };
    for (signal, path) in [("HUP", "/hup"), ("USR1", "/usr1")] {
        assert_eq!(get(&gateway.address, "/before", &[]).status, 200);
        eventually("the line before", || logged(&log, "/before"));
        fs::rename(&log, &moved).unwrap();
        gateway.process.signal(signal);
        eventually("a line in the new file", || {
            get(&gateway.address, path, &[]).status == 200 && logged(&log, path)
        });
    }
    assert_eq!(get(&gateway.admin, "/ready", &[]).body, "LIVE\n");
}

#[test]
fn a_second_process_at_the_same_addresses_is_refused() {
    let mut configuration = Configuration::new(upstream());
    let directory = scratch("process_second");
    let gateway = run(&configuration.write(&directory), &[]);
    configuration.listener = gateway.address.parse().unwrap();
    let path = configuration.write(&scratch("process_second_b"));
    let output = tollgate().args(["run", "--admin-address", "127.0.0.1:0"]).arg(path).output().unwrap();
    let (_, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("main") && errors.contains("in use"), "{errors}");
    for _ in 0..20 {
        assert_eq!(get(&gateway.address, "/", &[]).status, 200);
    }
}

#[test]
fn a_lame_duck_is_not_ready_and_serves_on() {
    let configuration = Configuration::new(upstream());
    let mut gateway = run(&configuration.write(&scratch("process_lame_duck")), &["--lame-duck", "1500ms"]);
    gateway.process.signal("TERM");
    gateway.process.wait_for("not ready any more");
    let ready = get(&gateway.admin, "/ready", &[]);
    assert_eq!((ready.status, ready.body.as_str()), (503, "DRAINING\n"));
    assert_eq!(get(&gateway.address, "/late", &[]).status, 200);
    gateway.process.wait_for("draining");
    eventually("no more connections", || TcpStream::connect(&gateway.address).is_err());
    let (status, output) = gateway.process.wait();
    assert_eq!(status.code(), Some(0), "{output}");
}

/// A person who presses Ctrl-C does not wait for load balancers.
#[test]
fn an_interrupt_knows_no_lame_duck() {
    let configuration = Configuration::new(upstream());
    let mut gateway = run(&configuration.write(&scratch("process_interrupt")), &["--lame-duck", "1h"]);
    gateway.process.signal("INT");
    gateway.process.wait_for("drained");
    assert_eq!(gateway.process.wait().0.code(), Some(0));
}

#[test]
fn the_drain_time_is_the_last_that_requests_have() {
    let (upstream, address) = bound();
    let configuration = Configuration::new(address);
    let mut gateway = run(&configuration.write(&scratch("process_drain_time")), &["--drain-time", "200ms"]);
    let mut client = connect(&gateway.address);
    send(&mut client, "app.example", "/never", &[]);
    let (answering, _) = upstream.accept().unwrap();
    read_request(&answering);
    gateway.process.signal("TERM");
    gateway.process.wait_for("cut off after the drain time");
    assert_eq!(gateway.process.wait().0.code(), Some(0));
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    assert_eq!(rest, b"");
}

/// Whatever a reload waits for, the process ends when it is told to.
#[test]
fn a_reload_that_hangs_does_not_keep_the_process() {
    let directory = scratch("process_hang");
    let configuration = Configuration::new(upstream());
    let path = configuration.write(&directory);
    let mut gateway = run(&path, &[]);
    fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    // The folder is watched: by now the reload reads, or says that it cannot.
    eventually("the gateway serves on", || get(&gateway.address, "/", &[]).status == 200);
    gateway.process.signal("TERM");
    gateway.process.wait_for("draining");
    assert_eq!(gateway.process.wait().0.code(), Some(0));
}

#[test]
fn the_admin_server_answers_while_files_are_read() {
    let directory = scratch("process_busy");
    let configuration = Configuration::new(upstream());
    let path = configuration.write(&directory);
    let mut gateway = run(&path, &[]);
    let mut text = configuration.text();
    for number in 0..4000 {
        text += &format!("field{number}: {{}}\n");
    }
    fs::write(&path, text).unwrap();
    let mut slowest = Duration::ZERO;
    let start = Instant::now();
    loop {
        let asked = Instant::now();
        assert_eq!(get(&gateway.admin, "/ready", &[]).status, 200);
        slowest = slowest.max(Instant::now().saturating_duration_since(asked));
        if get(&gateway.admin, "/stats?filter=config_refused", &[]).body == "server.config_refused: 1\n" {
            break;
        }
        assert!(Instant::now().saturating_duration_since(start) < DEADLINE, "it was not refused");
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    gateway.process.signal("TERM");
    gateway.process.wait_for("drained");
}

#[test]
fn the_admin_server_has_names() {
    let configuration = Configuration::new(upstream());
    let gateway = run(&configuration.write(&scratch("process_names")), &["--admin-host", "admin.example"]);
    let ask = |host: &str, path: &str| {
        let mut stream = connect(&gateway.admin);
        send(&mut stream, host, path, &[("connection", "close")]);
        receive(stream)
    };
    assert_eq!(ask("localhost:15000", "/config").status, 200);
    assert_eq!(ask("admin.example", "/config").status, 200);
    let refused = ask("evil.example", "/config");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("--admin-host evil.example"), "{}", refused.body);
    assert_eq!(ask("pod.example", "/ready").status, 200);
}

#[test]
fn the_limit_of_descriptors_is_raised() {
    let configuration = Configuration::new(upstream());
    let path = configuration.write(&scratch("process_descriptors"));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", r#"ulimit -Sn 256 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_tollgate")]);
    command.args(["run", "--workers", "1", "--admin-address", "127.0.0.1:0"]).arg(path);
    let mut process = Running::spawn(&mut command);
    process.wait_for("serving");
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(3).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
    assert_ne!(numbers[0], "256");
}

/// Clients that do nothing leave descriptors for others: the gateway goes on reaching its upstream.
#[test]
fn idle_clients_do_not_take_every_descriptor() {
    let configuration = Configuration::new(upstream());
    let path = configuration.write(&scratch("process_idle_clients"));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", r#"ulimit -n 160 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_tollgate")]);
    command.args(["run", "--workers", "1", "--admin-address", "127.0.0.1:0"]).arg(path);
    let mut process = Running::spawn(&mut command);
    let address = process.wait_for("listener main at ");
    let admin = process.wait_for("admin server at ");
    process.wait_for("serving");
    let mut served = connect(&address);
    let idle: Vec<TcpStream> = (0..200).map(|_| connect(&address)).collect();
    process.wait_for("a connection was refused");
    send(&mut served, "app.example", "/", &[("connection", "close")]);
    assert_eq!(receive(served).status, 200);
    let refused = get(&admin, "/stats?filter=global_cx_overflow", &[]).body;
    assert!(refused.contains("listener.main.downstream_global_cx_overflow: "), "{refused}");
    assert!(!refused.contains("overflow: 0\n"), "{refused}");
    drop(idle);
}

#[test]
fn requests_are_turned_away_under_pressure() {
    let directory = scratch("process_pressure");
    let (pressure, log) = (directory.join("pressure"), directory.join("access.log"));
    fs::write(&pressure, "0").unwrap();
    let mut configuration = Configuration::new(upstream());
    configuration.manager = format!(
        "access_log: [{{name: file, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: {}, \
         log_format: {{text_format_source: {{inline_string: \"%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\\n\"}}}}}}}}]",
        log.display()
    );
    configuration.more = format!(
        r#"
overload_manager:
  refresh_interval: 0.02s
  resource_monitors:
  - name: envoy.resource_monitors.injected_resource
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig
      filename: {}
  actions:
  - name: envoy.overload_actions.stop_accepting_requests
    triggers: [{{name: envoy.resource_monitors.injected_resource, threshold: {{value: 0.9}}}}]
"#,
        pressure.display()
    );
    let gateway = run(&configuration.write(&directory), &[]);
    assert_eq!(get(&gateway.address, "/", &[]).status, 200);
    fs::write(&pressure, "0.95").unwrap();
    let mut turned_away = None;
    eventually("requests are turned away", || {
        let response = get(&gateway.address, "/", &[]);
        let is_it = response.status == 503;
        turned_away = Some(response);
        is_it
    });
    let turned_away = turned_away.unwrap();
    assert_eq!(turned_away.body, "envoy overloaded");
    eventually("it is logged", || {
        fs::read_to_string(&log).is_ok_and(|text| text.lines().any(|line| line == "503 - overload"))
    });
    let pressed = get(&gateway.admin, "/stats?filter=overload", &[]).body;
    for line in [
        "overload.envoy.resource_monitors.injected_resource.pressure: 95",
        "overload.envoy.overload_actions.stop_accepting_requests.active: 1",
    ] {
        assert!(pressed.lines().any(|known| known == line), "{pressed}");
    }
    fs::write(&pressure, "0.1").unwrap();
    eventually("requests are welcome again", || get(&gateway.address, "/", &[]).status == 200);
}

/// A processor that takes everything and says nothing, as one whose machine has vanished. Its connection is given up
/// soon, instead of every exchange waiting for its timeout for a quarter of an hour.
#[test]
fn a_processor_that_vanishes_loses_its_connection() {
    let (listener, processor) = bound();
    let (lost, ends) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let lost = lost.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                // SETTINGS, and the acknowledgement of those that come.
                let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0");
                let mut sink = [0; 4096];
                while stream.read(&mut sink).unwrap_or(0) > 0 {}
                let _ = lost.send(());
            });
        }
    });
    let mut configuration = Configuration::new(upstream());
    configuration.filters = r#"- name: ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {envoy_grpc: {cluster_name: processor}}
              message_timeout: 0.1s
              failure_mode_allow: true"#
        .to_owned();
    configuration.clusters = format!(
        r#"  - name: processor
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{connection_keepalive: {{timeout: 0.5s}}}}}}
    load_assignment:
      cluster_name: processor
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}}}]}}]"#,
        processor.port()
    );
    let gateway = run(&configuration.write(&scratch("process_vanished")), &[]);
    eventually("the connection is given up", || {
        assert_eq!(get(&gateway.address, "/", &[]).status, 200, "the filter fails open");
        ends.try_recv().is_ok()
    });
}
