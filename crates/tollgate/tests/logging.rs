//! The log: what peers can do to it, and what the admin server can.

use tollgate_testing as support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStderr, Stdio},
    time::Instant,
};

use support::{
    DEADLINE,
    http::{get, receive},
    process::Running,
    scratch, tollgate,
};

/// A gateway whose listener answers by itself.
fn file(test: &str) -> PathBuf {
    let text = r#"
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"#;
    let path = scratch(test).join("gateway.yaml");
    fs::write(&path, text).expect("the file is written");
    path
}

const ARGUMENTS: [&str; 5] = ["run", "--workers", "1", "--admin-address", "127.0.0.1:0"];

/// Preface and an empty SETTINGS frame.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingpong";
const PING_ACKNOWLEDGEMENT: &[u8] = b"\0\0\x08\x06\x01\0\0\0\0pingpong";

/// Acknowledges so many PINGs that nobody sent, and waits until all of them were read.
fn acknowledge(address: &str, count: usize) {
    let mut stream = support::http::connect(address);
    stream.write_all(HELLO).expect("written");
    stream.write_all(&PING_ACKNOWLEDGEMENT.repeat(count)).expect("written");
    stream.write_all(PING).expect("written");
    let mut received = Vec::new();
    while !received.windows(PING_ACKNOWLEDGEMENT.len()).any(|frame| frame == PING_ACKNOWLEDGEMENT) {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).expect("an answer to the PING");
        assert!(count > 0, "the connection is closed");
        received.extend_from_slice(&bytes[..count]);
    }
}

fn post(address: &str, path: &str) -> support::http::Response {
    let mut stream = support::http::connect(address);
    let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("written");
    receive(stream)
}

#[test]
fn acknowledgements_of_pings_that_nobody_sent_are_not_logged() {
    let mut process = Running::spawn(tollgate().args(ARGUMENTS).arg(file("acknowledgements")));
    let address = process.wait_for("listener main at ");
    process.wait_for("serving");
    acknowledge(&address, 200);
    process.signal("TERM");
    let (status, text) = process.wait();
    assert!(status.success(), "{text}");
    assert!(text.lines().count() < 20, "{text}");
}

/// A gateway whose standard error is read up to the line that says that it serves, and not any further.
struct Mute {
    child: Child,
    stderr: BufReader<ChildStderr>,
    listener: String,
    admin: String,
}

impl Mute {
    fn start(test: &str) -> Self {
        let mut command = tollgate();
        command.args(ARGUMENTS).arg(file(test)).env("TOLLGATE_LOG", "info,h2=warn");
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut gateway = Self { child, stderr, listener: String::new(), admin: String::new() };
        loop {
            let mut line = String::new();
            assert!(gateway.stderr.read_line(&mut line).expect("text") > 0, "it ended");
            for (marker, address) in
                [("listener main at ", &mut gateway.listener), ("admin server at ", &mut gateway.admin)]
            {
                if let Some((_, rest)) = line.split_once(marker) {
                    rest.trim_end().clone_into(address);
                }
            }
            if line.contains("serving") {
                return gateway;
            }
        }
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whoever asks for warnings of the HTTP/2 library gets them, but nothing waits for standard error.
#[test]
fn a_blocked_standard_error_blocks_nothing_else() {
    let mut gateway = Mute::start("blocked");
    // 130 bytes each, far more than pipe and queue hold.
    for _ in 0..5 {
        acknowledge(&gateway.listener, 5000);
    }
    for _ in 0..5 {
        assert_eq!(get(&gateway.listener, "/", &[]).status, 200);
    }
    let stats = get(&gateway.admin, "/stats?filter=log_lines_dropped", &[]).body;
    let dropped: u64 =
        stats.trim_end().rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count");
    assert!(dropped > 0, "{stats}");
    // Once somebody reads, the log says how much is missing.
    let end = Instant::now() + DEADLINE;
    let mut line = String::new();
    while !line.contains("log lines were dropped") {
        assert!(Instant::now() < end, "not told");
        line.clear();
        gateway.stderr.read_line(&mut line).expect("text");
    }
    assert!(line.contains(&format!("dropped={dropped}")), "{line} {stats}");
}

#[test]
fn levels_change_at_run_time() {
    let mut process = Running::spawn(tollgate().args(ARGUMENTS).arg(file("levels")));
    let address = process.wait_for("listener main at ");
    let admin = process.wait_for("admin server at ");
    process.wait_for("serving");
    let answer = post(&admin, "/logging?paths=tollgate_proxy:debug");
    assert_eq!((answer.status, answer.body.contains("tollgate_proxy: debug")), (200, true), "{answer:?}");
    // HTTP/2 that ends in the middle of a frame.
    let mut stream = TcpStream::connect(&address).expect("a connection");
    stream.write_all(&[HELLO, b"\0\0\x01\x06\0\0\0\0\0x"].concat()).expect("written");
    process.wait_for("DEBUG");
    assert_eq!(post(&admin, "/logging?level=loud").status, 400);
    assert_eq!(get(&admin, "/logging", &[]).status, 405);
}

/// Colours are for terminals.
#[test]
fn files_get_no_colours() {
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a port");
    let admin = occupied.local_addr().expect("bound").to_string();
    let output = tollgate()
        .args(["run", "--admin-address", &admin])
        .arg(file("colours"))
        .env_remove("NO_COLOR")
        .env("TOLLGATE_LOG", "trace")
        .output()
        .expect("the binary starts");
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(text.contains("ERROR") && !text.contains('\x1b'), "{text}");
}
