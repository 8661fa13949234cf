//! Upstreams with names.

use std::rc::Rc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::spawn_local,
};
use tollgate_model::cluster::{Dns, DnsLookupFamily};

use super::*;

fn settings(lookup_family: DnsLookupFamily) -> Dns {
    Dns { refresh_rate: Duration::from_secs(5), respect_dns_ttl: false, lookup_family }
}

fn named(host: &str, port: u16, discovery: Discovery) -> Cluster {
    let mut settings = cluster(vec![EndpointAddress::Dns { host: host.into(), port }]);
    settings.discovery = discovery;
    settings
}

async fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn_local(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            spawn_local(async move {
                let mut buffer = [0; 1024];
                while matches!(stream.read(&mut buffer).await, Ok(1..)) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
                }
            });
        }
    });
    port
}

#[test]
fn localhost() {
    run(async {
        let port = serve().await;
        for discovery in [
            Discovery::StrictDns(settings(DnsLookupFamily::V4Only)),
            Discovery::LogicalDns(settings(DnsLookupFamily::V4Only)),
        ] {
            let worker = Worker::new(named("localhost", port, discovery));
            let mut request = worker.start().unwrap();
            assert_eq!(request.host_name(), Some("localhost"));
            // The request waits for the first answer.
            poll_fn(|cx| request.poll_connect(cx, &get("/"), true)).await.unwrap();
            assert_eq!(request.info().address.as_deref(), Some(format!("127.0.0.1:{port}").as_str()));
            assert_eq!(Response::read(&mut request).await.unwrap().body, "abc");
            // Further requests know the answer.
            assert_eq!(worker.get().await.unwrap().body, "abc");
        }
    });
}

/// Where the requests of a STRICT_DNS cluster for `localhost` go, as Envoy 1.39.3 lists its hosts.
async fn hosts_of(host: &str, lookup_family: DnsLookupFamily) -> Vec<String> {
    let worker = Worker::new(named(host, 80, Discovery::StrictDns(settings(lookup_family))));
    worker.shared.initialized().await;
    let mut hosts: Vec<_> =
        (0..2).map(|_| worker.start().unwrap().info().address.as_deref().unwrap().to_owned()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// As Envoy 1.39.3.
#[test]
fn lookup_families() {
    run(async {
        assert_eq!(hosts_of("localhost", DnsLookupFamily::Auto).await, ["[::1]:80"]);
        assert_eq!(hosts_of("localhost", DnsLookupFamily::V4Only).await, ["127.0.0.1:80"]);
        assert_eq!(hosts_of("localhost", DnsLookupFamily::V6Only).await, ["[::1]:80"]);
        assert_eq!(hosts_of("localhost", DnsLookupFamily::V4Preferred).await, ["127.0.0.1:80"]);
        assert_eq!(hosts_of("localhost", DnsLookupFamily::All).await, ["127.0.0.1:80", "[::1]:80"]);
        for family in [DnsLookupFamily::Auto, DnsLookupFamily::V6Only] {
            assert_eq!(hosts_of("127.0.0.9", family).await, ["127.0.0.9:80"]);
        }
    });
}

/// As Envoy 1.39.3: `UH`.
#[test]
fn a_name_that_does_not_exist() {
    run(async {
        for discovery in [
            Discovery::StrictDns(settings(DnsLookupFamily::Auto)),
            Discovery::LogicalDns(settings(DnsLookupFamily::Auto)),
        ] {
            let worker = Worker::new(named("does-not-exist.invalid", 80, discovery));
            worker.shared.initialized().await;
            assert_eq!(worker.get().await.unwrap_err(), UpstreamFailure::NoHealthyUpstream);
        }
    });
}

/// Hosts stay the same when nothing changes, so that their connections are kept.
#[test]
fn connections_survive_a_refresh() {
    run(async {
        let port = serve().await;
        let mut dns = settings(DnsLookupFamily::V4Only);
        dns.refresh_rate = Duration::from_millis(1);
        let worker = Worker::new(named("localhost", port, Discovery::StrictDns(dns)));
        worker.shared.initialized().await;
        let address = |request: &UpstreamRequest| request.info().local_address;
        let mut locals = Vec::new();
        for _ in 0..3 {
            let mut request = worker.begin(&get("/"), true).await.unwrap();
            locals.push(address(&request));
            Response::read(&mut request).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(locals.iter().all(|local| *local == locals[0]), "{locals:?}");
    });
}

#[test]
fn a_request_without_an_answer_gives_up_at_the_connect_timeout() {
    use super::super::{
        connect::{DialTarget, Dialer},
        dns::Addresses,
    };
    run(async {
        let (sender, _) = tokio::sync::watch::channel(None);
        let dialer = Dialer {
            target: DialTarget::Name(Addresses::set_by(&sender)),
            tls: None,
            connect_timeout: Duration::from_millis(20),
        };
        assert_eq!(dialer.dial().await.unwrap_err(), UpstreamFailure::ConnectTimeout);
        sender.send_replace(Some(Arc::default()));
        assert_eq!(dialer.dial().await.unwrap_err(), UpstreamFailure::NoHealthyUpstream);
        drop(Rc::new(sender));
    });
}
