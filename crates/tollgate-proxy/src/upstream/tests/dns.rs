//! Upstreams with names.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::spawn_local,
};
use tollgate_model::cluster::{Dns, DnsLookupFamily};

use super::*;
use crate::upstream::{
    cluster::dns::{Addresses, Resolver, WhenGone},
    pool::connect::{DialTarget, Dialer},
};

pub(super) fn settings(lookup_family: DnsLookupFamily) -> Dns {
    Dns {
        refresh_rate: Duration::from_secs(5),
        respect_dns_ttl: false,
        lookup_family,
        failure_refresh: None,
        jitter: Duration::ZERO,
    }
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

/// Each address of a name is tried, as the gRPC library does: nothing listens at the other family's.
#[test]
fn every_address_of_one_endpoint_is_tried() {
    run(async {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(bind).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let worker =
                Worker::new(named("localhost", port, Discovery::LogicalDns(settings(DnsLookupFamily::All))));
            let mut request = worker.start().unwrap();
            poll_fn(|cx| request.poll_connect(cx, &get("/"), true)).await.unwrap();
            assert_eq!(request.info().address.as_deref(), Some(&*listener.local_addr().unwrap().to_string()));
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
    run(async {
        let (sender, _) = tokio::sync::watch::channel(None);
        let dialer = Dialer {
            target: DialTarget::Name(Addresses::set_by(&sender)),
            tls: None,
            tcp: tollgate_model::socket::TcpOptions::UPSTREAM,
            connect_timeout: Duration::from_millis(20),
            cluster: "app".into(),
            metrics: WorkerStats::new(Stats::new(), 0).cluster("app"),
        };
        assert_eq!(dialer.dial().await.unwrap_err(), UpstreamFailure::ConnectTimeout);
        sender.send_replace(Some(Arc::default()));
        assert_eq!(dialer.dial().await.unwrap_err(), UpstreamFailure::NoHealthyUpstream);
    });
}

/// Requests under way finish on a host that is gone; their connection is not used again.
#[test]
fn hosts_come_and_go() {
    use crate::upstream::{
        cluster::address::Address,
        cluster::manager::WorkerCluster,
        cluster::shared_cluster::{SharedCluster, Source},
    };
    run(async {
        let old = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = |port| Some(Arc::from([Address::Socket(SocketAddr::from(([127, 0, 0, 1], port)))]));
        let (sender, _) = tokio::sync::watch::channel(place(old.local_addr().unwrap().port()));
        let settings = named("127.0.0.1", 80, Discovery::StrictDns(settings(DnsLookupFamily::Auto)));
        let mut shared = SharedCluster::new(&Arc::new(settings), &Arc::default(), &Handle::current(), 1);
        Arc::get_mut(&mut shared).unwrap().endpoints[0].source = Source::EachOf(Addresses::set_by(&sender));
        let cluster =
            WorkerCluster::new(&shared, &WorkerStats::new(Stats::new(), 0), &std::rc::Rc::default());
        let begin = async || {
            let mut request =
                UpstreamRequest::start(&cluster, &Choice::default(), 1, Instant::now()).unwrap();
            poll_fn(|cx| request.poll_connect(cx, &get("/"), true)).await.unwrap();
            request
        };
        let mut under_way = begin().await;
        let (mut peer, _) = old.accept().await.unwrap();
        sender.send_replace(place(serve().await));
        let response = Response::read(&mut begin().await).await;
        assert_eq!(response.unwrap().body, "abc");
        peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold").await.unwrap();
        assert_eq!(Response::read(&mut under_way).await.unwrap().body, "old");
        // Closed although it could be kept.
        peer.read_to_end(&mut Vec::new()).await.unwrap();
        sender.send_replace(Some(Arc::default()));
        let gone = UpstreamRequest::start(&cluster, &Choice::default(), 1, Instant::now()).unwrap_err();
        assert_eq!(gone, UpstreamFailure::NoHealthyUpstream);
    });
}

/// What a name server says.
enum Says {
    Addresses(Vec<[u8; 4]>, u32),
    Code(u8),
}

/// A name server that says the same about every name.
struct NameServer {
    address: SocketAddr,
    says: Rc<RefCell<Says>>,
    asked: Rc<Cell<usize>>,
}

impl NameServer {
    async fn start(says: Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let server = Self { address, says: Rc::new(RefCell::new(says)), asked: Rc::default() };
        let (says, asked) = (server.says.clone(), server.asked.clone());
        spawn_local(async move {
            let mut query = [0; 512];
            loop {
                let (_, from) = socket.recv_from(&mut query).await.unwrap();
                asked.set(asked.get() + 1);
                let mut end = 12;
                while query[end] > 0 {
                    end += usize::from(query[end]) + 1;
                }
                let answer = answer(&query[..end + 5], &says.borrow());
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        server
    }

    fn say(&self, says: Says) {
        *self.says.borrow_mut() = says;
    }

    /// Looks up every few milliseconds.
    fn watch(&self, when_gone: WhenGone) -> Addresses {
        let mut dns = settings(DnsLookupFamily::V4Only);
        dns.refresh_rate = Duration::from_millis(2);
        Resolver::asking(self.address).watch("service.example.", 80, &dns, when_gone, &Handle::current())
    }

    /// Two more lookups have ended, of which the second began after this call.
    async fn asked_again(&self) {
        let before = self.asked.get();
        eventually(|| self.asked.get() >= before + 3).await;
    }
}

/// RFC 1035 section 4.1: an answer to a query with one question.
fn answer(query: &[u8], says: &Says) -> Vec<u8> {
    let (code, addresses, ttl) = match says {
        Says::Addresses(addresses, ttl) => (0, addresses.as_slice(), *ttl),
        Says::Code(code) => (*code, &[][..], 0),
    };
    let count = u8::try_from(addresses.len()).unwrap();
    let mut message = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
    message.extend_from_slice(&query[12..]);
    for address in addresses {
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&[0, 4]);
        message.extend_from_slice(address);
    }
    message
}

fn texts(addresses: &mut Addresses) -> Vec<String> {
    addresses.read().unwrap().iter().map(ToString::to_string).collect()
}

const FIRST: [u8; 4] = [10, 0, 0, 1];
const SECOND: [u8; 4] = [10, 0, 0, 2];
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

/// As Envoy 1.39.3.
#[test]
fn answers_are_followed() {
    run(async {
        let server = NameServer::start(Says::Addresses(vec![FIRST, SECOND], 3600)).await;
        let mut strict = server.watch(WhenGone::Forget);
        let mut logical = server.watch(WhenGone::Keep);
        strict.first_answer().await;
        logical.first_answer().await;
        assert_eq!(texts(&mut strict), ["10.0.0.1:80", "10.0.0.2:80"]);
        // The order counts: a logical host is the first address.
        server.say(Says::Addresses(vec![SECOND, FIRST], 3600));
        eventually(|| texts(&mut logical) == ["10.0.0.2:80", "10.0.0.1:80"]).await;
        // A failure tells nothing.
        server.say(Says::Code(SERVFAIL));
        server.asked_again().await;
        assert_eq!(texts(&mut strict).len(), 2);
        // A name that is gone has no hosts, but a logical host stays where it was.
        server.say(Says::Code(NXDOMAIN));
        eventually(|| texts(&mut strict).is_empty()).await;
        server.asked_again().await;
        assert_eq!(texts(&mut logical).len(), 2);
        server.say(Says::Addresses(vec![FIRST], 3600));
        eventually(|| texts(&mut strict) == ["10.0.0.1:80"] && texts(&mut logical) == ["10.0.0.1:80"]).await;
    });
}

#[test]
fn names_that_fail_at_first_have_no_hosts() {
    run(async {
        for code in [SERVFAIL, NXDOMAIN] {
            let server = NameServer::start(Says::Code(code)).await;
            assert!(server.watch(WhenGone::Keep).first_answer().await.is_empty());
        }
    });
}

#[test]
fn a_time_to_live_is_respected_when_asked_for() {
    run(async {
        let server = NameServer::start(Says::Addresses(vec![FIRST], 3600)).await;
        let mut dns = settings(DnsLookupFamily::V4Only);
        dns.refresh_rate = Duration::from_millis(2);
        dns.respect_dns_ttl = true;
        let resolver = Resolver::asking(server.address);
        let mut addresses =
            resolver.watch("service.example.", 80, &dns, WhenGone::Forget, &Handle::current());
        addresses.first_answer().await;
        // Another name is looked up many times meanwhile.
        let asked = server.asked.get();
        dns.respect_dns_ttl = false;
        let other = Resolver::asking(server.address);
        let mut other = other.watch("other.example.", 80, &dns, WhenGone::Forget, &Handle::current());
        other.first_answer().await;
        eventually(|| server.asked.get() >= asked + 5).await;
        drop(other);
        sockets_looked_at().await;
        let asked = server.asked.get();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(server.asked.get() <= asked + 1);
    });
}
