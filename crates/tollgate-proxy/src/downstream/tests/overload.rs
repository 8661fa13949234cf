//! Limits of connections and overload actions, over sockets.

use std::{fs, path::PathBuf};

use tollgate_model::{
    listener::ConnectionLimits,
    overload::{
        OverloadAction, OverloadActionKind, OverloadManager, OverloadThreshold, OverloadTrigger, Resource,
        ResourceMonitor,
    },
};

use super::*;

const REQUEST: &str = "GET /direct HTTP/1.1\r\nhost: h\r\n\r\n";

fn start(overload: OverloadManager, listeners: Vec<Listener>) -> Running {
    let listeners = listeners.into_iter().map(Arc::new).collect();
    let snapshot = Arc::new(Snapshot { listeners, overload, ..Snapshot::default() });
    let log = Log::default();
    let handler = TestHandler { log: log.clone() };
    let options = Options { workers: NonZeroUsize::new(2).unwrap(), ..Options::default() };
    let gateway =
        Gateway::start_with(&snapshot, options, move || handler.clone()).expect("the gateway starts");
    Running { gateway, log }
}

fn limited(name: &str, limits: ConnectionLimits) -> Listener {
    Listener { name: name.to_owned(), limits, ..listener(vec![chain(manager())]) }
}

/// A connection that serves a request, or was closed.
fn try_get(running: &Running, listener: &str) -> Option<Client> {
    let mut client = Client::connect(running.address_of(listener).unwrap());
    client.send(REQUEST);
    let mut first = [0; 12];
    match std::io::Read::read(&mut client.socket(), &mut first) {
        Ok(read) if read > 0 => {
            assert!(first.starts_with(b"HTTP/1.1 200"), "{first:?}");
            Some(client)
        }
        _ => None,
    }
}

#[allow(clippy::disallowed_methods, reason = "the thread of a test, between two looks")]
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(Instant::now().saturating_duration_since(start) < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn counted(running: &Running, line: &str) -> bool {
    running.gateway.stats().envoy_text(None).lines().any(|known| known == line)
}

#[test]
fn connections_beyond_the_limits_are_closed() {
    let overload = OverloadManager { max_downstream_connections: Some(3), ..OverloadManager::default() };
    let narrow = ConnectionLimits { max_connections: Some(2), ..ConnectionLimits::default() };
    let free = ConnectionLimits { ignore_global_limit: true, ..ConnectionLimits::default() };
    let running = start(
        overload,
        vec![limited("narrow", narrow), limited("test", ConnectionLimits::default()), limited("free", free)],
    );
    let kept = [try_get(&running, "narrow").unwrap(), try_get(&running, "narrow").unwrap()];
    assert!(try_get(&running, "narrow").is_none());
    assert!(counted(&running, "listener.narrow.downstream_cx_overflow: 1"));
    let third = try_get(&running, "test").unwrap();
    assert!(try_get(&running, "test").is_none());
    assert!(counted(&running, "listener.test.downstream_global_cx_overflow: 1"));
    assert!(try_get(&running, "free").is_some());
    drop(kept);
    drop(third);
    eventually("room again", || try_get(&running, "narrow").is_some());
}

/// A file with a pressure, and actions from 0.9 on.
struct Pressure(PathBuf);

impl Pressure {
    fn new(test: &str) -> Self {
        let file = std::env::temp_dir().join(format!("tollgate-{}-{test}", std::process::id()));
        fs::write(&file, "0").unwrap();
        Self(file)
    }

    fn set(&self, pressure: &str) {
        fs::write(&self.0, pressure).unwrap();
    }

    fn manager(&self, kinds: &[OverloadActionKind]) -> OverloadManager {
        let triggers = vec![OverloadTrigger { resource: 0, threshold: OverloadThreshold::Fixed(0.9) }];
        OverloadManager {
            refresh_interval: Duration::from_millis(10),
            resources: vec![Resource {
                name: "file".to_owned(),
                monitor: ResourceMonitor::Injected { filename: self.0.clone() },
            }],
            actions: kinds
                .iter()
                .map(|kind| OverloadAction { kind: *kind, triggers: triggers.clone() })
                .collect(),
            ..OverloadManager::default()
        }
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn connections_are_rejected_under_pressure() {
    let pressure = Pressure::new("reject");
    let manager = pressure.manager(&[OverloadActionKind::RejectIncomingConnections]);
    let bypassing = ConnectionLimits { bypass_overload_manager: true, ..ConnectionLimits::default() };
    let running =
        start(manager, vec![limited("test", ConnectionLimits::default()), limited("bypass", bypassing)]);
    assert!(try_get(&running, "test").is_some());
    pressure.set("1");
    eventually("connections are closed", || try_get(&running, "test").is_none());
    assert!(try_get(&running, "bypass").is_some());
    assert!(!counted(&running, "listener.test.downstream_cx_overload_reject: 0"));
    pressure.set("0");
    eventually("they are welcome again", || try_get(&running, "test").is_some());
}

#[test]
fn connections_wait_in_the_kernel_under_pressure() {
    let pressure = Pressure::new("stop");
    let manager = pressure.manager(&[OverloadActionKind::StopAcceptingConnections]);
    let running = start(manager, vec![limited("test", ConnectionLimits::default())]);
    let mut client = try_get(&running, "test").unwrap();
    let action = "overload.envoy.overload_actions.stop_accepting_connections.active: 1";
    pressure.set("1");
    eventually("the action is asked for", || counted(&running, action));
    // Those that are there go on.
    client.send(REQUEST);
    // The workers are notified in the same moment; then a connection is made by the kernel and nobody serves it.
    eventually("nobody is served", || {
        let mut late = Client::connect(running.address());
        late.socket().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        late.send(REQUEST);
        std::io::Read::read(&mut late.socket(), &mut [0; 12]).is_err()
    });
    let mut waiting = running.connect();
    waiting.send("GET /direct HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    pressure.set("0");
    assert!(waiting.read_to_end().starts_with("HTTP/1.1 200"));
}

#[test]
fn connections_end_under_pressure() {
    let pressure = Pressure::new("keepalive");
    let manager = pressure.manager(&[OverloadActionKind::DisableHttpKeepalive]);
    let running = start(manager, vec![limited("test", ConnectionLimits::default())]);
    assert!(try_get(&running, "test").is_some());
    pressure.set("1");
    eventually("the action is asked for", || {
        counted(&running, "overload.envoy.overload_actions.disable_http_keepalive.active: 1")
    });
    let mut client = running.connect();
    client.send(REQUEST);
    let answer = client.read_to_end();
    assert!(answer.contains("connection: close"), "{answer}");
    http2::run(async {
        let (mut requests, driver) = http2::connect(&running).await;
        http2::get(&mut requests, "/direct").await;
        // GOAWAY ends it.
        driver.await.unwrap().unwrap();
    });
    assert!(counted(&running, "http.test.downstream_cx_overload_disable_keepalive: 2"));
}
