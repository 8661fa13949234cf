//! A thousand updates leave nothing behind: neither memory, nor threads, nor descriptors, nor metrics. A program of its
//! own, because it counts what belongs to the process.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]
#![allow(clippy::unwrap_used, reason = "what a test sets up works or ends the test")]

use tollgate_testing as support;

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use extproc_server::{
    Status,
    raw::{
        Processor, continue_with,
        messages::{CommonResponse, ProcessingRequest, ProcessingResponse},
    },
};
use support::{DEADLINE, gateway::processor, http1, scratch};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use tollgate_config::{Before, FileSystem, Source, load_after};
use tollgate_ir::Compiled;
use tollgate_model::{Snapshot, http_connection_manager::HttpConnectionManager, listener::BindAddress};
use tollgate_proxy::{Gateway, Options};

/// Updates before anything is counted: caches fill, allocators settle.
const WARM_UP: u64 = 200;
const UPDATES: u64 = 1000;
/// What the allocator may keep.
const MOST_GROWTH: u64 = 8 * 1024 * 1024;

struct Nothing;

impl Processor for Nothing {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        continue_with(&request, CommonResponse::default())
    }
}

/// Everything in it that has a name, a place or a state is another one in each generation.
fn configuration(
    generation: u64,
    before: Option<&Compiled>,
    upstream: SocketAddr,
    processor: SocketAddr,
    logs: &Path,
) -> Compiled {
    let listener = |name: &str| {
        format!(
            r#"
  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: prefix-{generation}
          access_log:
          - name: file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {logs}/{generation}.log
          route_config:
            virtual_hosts:
            - name: host-{generation}
              domains: ["*"]
              routes: [{{name: route-{generation}, match: {{prefix: /}}, route: {{cluster: app-{generation}}}}}]
          http_filters:
          - name: ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              message_timeout: 20s
              grpc_service: {{google_grpc: {{target_uri: "{processor}", stat_prefix: target-{generation}}}}}
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"#,
            logs = logs.display(),
        )
    };
    let cluster = |name: &str, kind: &str, address: &str| {
        format!(
            r#"
  - name: {name}-{generation}
    type: {kind}
    load_assignment:
      cluster_name: {name}
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {address}, port_value: {}}}}}}}}}]}}]"#,
            upstream.port()
        )
    };
    let text = format!(
        "static_resources:\n  listeners:{}{}\n  clusters:{}{}\n",
        listener("main"),
        listener(&format!("extra-{generation}")),
        cluster("app", "STATIC", &upstream.ip().to_string()),
        cluster("named", "STRICT_DNS", "localhost"),
    );
    let source = Source { path: "generation".into(), text };
    let before = Before { snapshot: before, ..Before::default() };
    let outcome = load_after(before, &[source], &FileSystem, &tollgate_config::Options::default());
    outcome.snapshot.unwrap_or_else(|| panic!("{:?}", outcome.diagnostics))
}

/// What the process has.
#[derive(Debug)]
struct Belongings {
    threads: usize,
    descriptors: usize,
    metrics: usize,
    /// Resident bytes.
    memory: u64,
}

impl Belongings {
    fn count(gateway: &Gateway) -> Self {
        let entries = |folder: &str| fs::read_dir(folder).unwrap().count();
        let statm = fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            threads: entries("/proc/self/task"),
            descriptors: entries("/proc/self/fd"),
            metrics: gateway.stats().envoy_text(None).lines().count(),
            memory: pages * 4096,
        }
    }
}

#[tokio::test]
async fn a_thousand_updates_leave_nothing_behind() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream_address = upstream.local_addr().unwrap();
    tokio::spawn(http1::echo(upstream));
    let (processor, _serving) = processor(|_| Nothing).await;
    let logs = scratch("leftovers");
    let generation =
        |number, before: Option<&Compiled>| configuration(number, before, upstream_address, processor, &logs);

    let mut compiled = generation(0, None);
    let first = Arc::clone(compiled.snapshot());
    let options = Options { workers: NonZeroUsize::new(2).unwrap(), ..Options::default() };
    let gateway =
        tokio::task::spawn_blocking(move || Gateway::start(&first, options)).await.unwrap().unwrap();
    let address = match &gateway.local_addresses()[0] {
        (name, BindAddress::Socket(address)) if name == "main" => *address,
        other => panic!("{other:?}"),
    };
    // One connection waits while the others ask: it must not hold on to the configuration that it began with.
    let _waiting = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = http1::sides(TcpStream::connect(address).await.unwrap());
    let mut snapshots: Vec<Weak<Snapshot>> = Vec::new();
    let mut chains: Vec<Weak<HttpConnectionManager>> = Vec::new();
    let mut before = None;
    for number in 1..=WARM_UP + UPDATES {
        let in_force = gateway.snapshot();
        snapshots.push(Arc::downgrade(&in_force));
        chains.push(Arc::downgrade(&in_force.listeners[0].filter_chains[0].http));
        drop(in_force);
        compiled = generation(number, Some(&compiled));
        let update = gateway.update(Arc::clone(compiled.snapshot())).await.unwrap();
        assert!(update.failures.is_empty(), "{update:?}");
        writer.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        let head = reader.head().await.unwrap().expect("an answer");
        assert_eq!(head.status(), 200, "{head:?}");
        reader.body().await.unwrap();
        if number == WARM_UP {
            before = Some(Belongings::count(&gateway));
        }
    }
    let before = before.unwrap();
    // Closing has a moment: connections of old pools end, with their counts, and files of old logs once everything is
    // written.
    let deadline = Instant::now() + DEADLINE;
    let after = loop {
        let after = Belongings::count(&gateway);
        let alive = snapshots.iter().filter(|snapshot| snapshot.strong_count() > 0).count()
            + chains.iter().filter(|chain| chain.strong_count() > 0).count();
        if after.descriptors <= before.descriptors + 8 && after.metrics <= before.metrics && alive == 0 {
            break after;
        }
        assert!(Instant::now() < deadline, "{alive} configurations are still there; {before:?} {after:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    println!("{before:?}\n{after:?}");
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(after.memory < before.memory + MOST_GROWTH, "{before:?} {after:?}");
    assert!(
        gateway
            .stats()
            .envoy_text(None)
            .contains(&format!("vhost.host-{0}.route.route-{0}", WARM_UP + UPDATES))
    );
    tokio::task::spawn_blocking(move || gateway.shutdown()).await.unwrap();
}
