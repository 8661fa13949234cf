//! Connections that outlive the configuration they began with.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
};

use tollgate_model::tls::{DownstreamTls, DownstreamTlsSettings};

use super::{
    http2::{self, connect, get},
    tls::{TlsClient, certificates, connect as connect_tls, settings},
    *,
};

/// A chain for all connections, by name.
fn named(name: &str) -> FilterChain {
    FilterChain { name: name.to_owned(), ..chain(manager()) }
}

fn listener_named(name: &str, chain: &str) -> Listener {
    Listener { name: name.to_owned(), ..listener(vec![named(chain)]) }
}

/// A chain for all connections whose TLS has these settings.
fn with_tls(name: &str, settings: DownstreamTlsSettings) -> Listener {
    let tls = Some(Arc::new(DownstreamTls::new(settings).unwrap()));
    listener(vec![FilterChain { tls, ..named(name) }])
}

const REQUEST: &str = "GET /connection HTTP/1.1\r\nhost: h\r\n\r\n";

/// The name of the chain that answers, and whether the connection ends with the answer.
fn ask(client: &mut Client) -> (String, bool) {
    client.send(REQUEST);
    let head = client.read_until("\r\n\r\n");
    let chain = head.split("x-chain: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    (chain.unwrap_or_else(|| panic!("{head}")).to_owned(), head.contains("connection: close"))
}

/// The head of an answer through TLS.
fn ask_tls(client: &mut TlsClient) -> io::Result<String> {
    client.write_all(REQUEST.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn the_next_request_of_a_connection_sees_the_new_configuration() {
    let running = Running::start(listener(vec![named("old")]), 2);
    let address = running.address();
    let mut clients: Vec<_> = (0..4).map(|_| running.connect()).collect();
    for client in &mut clients {
        assert_eq!(ask(client), ("old".into(), false));
    }
    let update = running.update(vec![listener(vec![named("new")])]);
    assert_eq!(update.difference.to_string(), "listeners: changed test");
    assert!(update.failures.is_empty());
    for client in &mut clients {
        assert_eq!(ask(client), ("new".into(), false));
    }
    assert_eq!(running.address(), address, "a port that the kernel chose is kept");
}

#[test]
fn the_next_stream_of_a_connection_sees_the_new_configuration() {
    let running = Running::start(listener(vec![named("old")]), 1);
    http2::run(async {
        let (mut requests, _driver) = connect(&running).await;
        assert_eq!(get(&mut requests, "/connection").await.headers()["x-chain"], "old");
        let snapshot =
            Snapshot { listeners: vec![Arc::new(listener(vec![named("new")]))], ..Snapshot::default() };
        running.gateway.update(snapshot).await.unwrap();
        assert_eq!(get(&mut requests, "/connection").await.headers()["x-chain"], "new");
    });
}

/// A request under way is neither cut off nor changed.
#[test]
fn a_request_under_way_goes_on() {
    let running = Running::start(listener(vec![named("old")]), 1);
    let mut client = running.connect();
    client.send("POST /read HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\n\r\nabc");
    running.log.wait_for("data 3 false");
    running.update(Vec::new());
    client.send("def");
    let answer = client.read_to_end();
    assert!(answer.contains("x-read: 6\r\n") && answer.contains("connection: close\r\n"), "{answer}");
}

#[test]
fn a_listener_that_is_gone_serves_one_more_request_of_each_connection() {
    let running = Running::start(listener(vec![named("old")]), 2);
    let address = running.address();
    let mut clients: Vec<_> = (0..4).map(|_| running.connect()).collect();
    for client in &mut clients {
        ask(client);
    }
    let update = running.update(vec![listener_named("other", "new")]);
    assert_eq!(update.difference.to_string(), "listeners: added other, removed test");
    assert_eq!(running.address_of("test"), None);
    assert!(is_refused(address));
    for client in &mut clients {
        assert_eq!(ask(client), ("old".into(), true));
        assert_eq!(client.read_to_end(), "");
    }
}

#[test]
fn connections_that_ask_for_nothing_more_are_closed_after_a_while() {
    let mut chain = named("old");
    let mut http = manager();
    http.drain_timeout = Duration::from_millis(50);
    chain.http = Arc::new(http);
    let running = Running::start(listener(vec![chain]), 1);
    let mut client = running.connect();
    ask(&mut client);
    running.update(Vec::new());
    assert_eq!(client.read_to_end(), "");
    http2::run(async {
        let update = listener_named("test", "old");
        let snapshot = Snapshot { listeners: vec![Arc::new(update)], ..Snapshot::default() };
        running.gateway.update(snapshot).await.unwrap();
        let (mut requests, driver) = connect(&running).await;
        get(&mut requests, "/connection").await;
        running.gateway.update(Snapshot::default()).await.unwrap();
        driver.await.unwrap().unwrap();
    });
}

#[test]
fn a_new_listener_is_served_by_all_workers() {
    let running = Running::start(listener(vec![named("a")]), 2);
    running.update(vec![listener(vec![named("a")]), listener_named("second", "b")]);
    let address = running.address_of("second").unwrap();
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(address)).collect();
    let mut threads = std::collections::HashSet::new();
    for client in &mut clients {
        client.send(REQUEST);
        let head = client.read_until("\r\n\r\n");
        assert!(head.contains("x-chain: b\r\n"), "{head}");
        threads.insert(head.split("x-thread: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned());
    }
    assert_eq!(threads.len(), 2, "{threads:?}");
}

#[test]
fn an_address_keeps_its_sockets_when_its_listener_has_another_name() {
    let running = Running::start(listener(vec![named("old")]), 2);
    let fixed = |name: &str, address| Listener {
        addresses: vec![BindAddress::Socket(address)],
        ..listener_named(name, name)
    };
    // Bound and not listening: nobody else gets the port.
    let reserved = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    reserved.set_reuse_address(true).unwrap();
    reserved.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let free = reserved.local_addr().unwrap().as_socket().unwrap();
    let update = running.update(vec![fixed("one", free)]);
    assert!(update.failures.is_empty(), "{update:?}");
    // They wait in the queue of the kernel, or are accepted; none may be lost.
    let mut clients: Vec<_> = (0..16).map(|_| Client::connect(free)).collect();
    running.update(vec![fixed("two", free)]);
    assert_eq!(running.address_of("two"), Some(free));
    for client in &mut clients {
        let (chain, closes) = ask(client);
        assert!((chain == "one" && closes) || chain == "two", "{chain} {closes}");
    }
    assert_eq!(ask(&mut Client::connect(free)), ("two".into(), false));
}

#[test]
fn an_address_in_use_does_not_stop_the_rest_and_is_tried_again() {
    let running = Running::start(listener(vec![named("old")]), 2);
    let before = running.address();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let moved = |chain: &str| Listener {
        addresses: vec![BindAddress::Socket(address)],
        ..listener_named("test", chain)
    };
    let update = running.update(vec![moved("new"), listener_named("other", "b")]);
    let failures: Vec<_> = update.failures.iter().map(ToString::to_string).collect();
    assert!(
        failures[0].starts_with(&format!("listener \"test\" cannot be bound to {address}: ")),
        "{failures:?}"
    );
    assert_eq!(failures.len(), 1);
    assert_eq!(ask(&mut Client::connect(running.address_of("other").unwrap())), ("b".into(), false));
    // The listener is served where it was, as it is configured now.
    assert_eq!(ask(&mut Client::connect(before)), ("new".into(), false));
    drop(taken);
    let update = running.update(vec![moved("new"), listener_named("other", "b")]);
    assert!(update.failures.is_empty() && update.difference.is_empty(), "{update:?}");
    assert_eq!(running.address(), address);
    assert_eq!(ask(&mut Client::connect(address)), ("new".into(), false));
    assert!(is_refused(before));
}

#[test]
fn a_unix_socket_comes_and_goes_with_its_file() {
    let path = std::env::temp_dir().join(format!("tollgate-{}-update.sock", std::process::id()));
    let pipe_with = |mode| Listener {
        addresses: vec![BindAddress::Pipe { path: path.clone(), mode }],
        ..listener_named("pipe", "pipe")
    };
    let pipe = || pipe_with(None);
    let running = Running::start(listener(vec![named("a")]), 2);
    for _ in 0..3 {
        assert!(running.update(vec![pipe()]).failures.is_empty());
        let socket = std::os::unix::net::UnixStream::connect(&path).unwrap();
        (&socket).write_all(REQUEST.as_bytes()).unwrap();
        let mut head = [0; 12];
        (&socket).read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        assert!(running.update(vec![pipe_with(Some(0o600))]).failures.is_empty());
        let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap());
        assert_eq!(mode & 0o777, 0o600);
        running.update(Vec::new());
        assert!(!path.exists());
    }
}

#[test]
fn a_new_certificate_is_for_new_connections() {
    let (old, new) = (certificates(&["a.example"]), certificates(&["a.example"]));
    let running = Running::start(with_tls("old", settings(&old, &[])), 1);
    let mut client = connect_tls(&running, &old, "a.example", &[]);
    assert!(ask_tls(&mut client).unwrap().contains("x-chain: old\r\n"));
    running.update(vec![with_tls("new", settings(&new, &[]))]);
    let head = ask_tls(&mut client).unwrap();
    assert!(head.contains("x-chain: new\r\n") && !head.contains("connection: close"), "{head}");
    let mut distrustful = connect_tls(&running, &old, "a.example", &[]);
    assert!(ask_tls(&mut distrustful).is_err(), "it shows the new certificate");
    let mut client = connect_tls(&running, &new, "a.example", &[]);
    assert!(ask_tls(&mut client).unwrap().contains("x-chain: new\r\n"));
}

/// Who was let in by other rules is asked to come again.
#[test]
fn other_rules_for_clients_end_connections() {
    let certificates = certificates(&["a.example"]);
    let running = Running::start(with_tls("old", settings(&certificates, &[])), 1);
    let mut client = connect_tls(&running, &certificates, "a.example", &[]);
    ask_tls(&mut client).unwrap();
    let stricter = DownstreamTlsSettings { require_sni: true, ..settings(&certificates, &[]) };
    running.update(vec![with_tls("new", stricter)]);
    let head = ask_tls(&mut client).unwrap();
    assert!(head.contains("x-chain: old\r\n") && head.contains("connection: close"), "{head}");
}

/// Chains are known by what they match, wherever they are in the list.
#[test]
fn connections_stay_with_the_chain_for_the_same_connections() {
    let local = |name: &str, port: u16| FilterChain {
        filter_chain_match: FilterChainMatch { destination_port: Some(port), ..FilterChainMatch::default() },
        ..named(name)
    };
    let running = Running::start(listener(vec![named("any")]), 1);
    let port = running.address().port();
    let mut first = running.connect();
    assert_eq!(ask(&mut first), ("any".into(), false));
    running.update(vec![listener(vec![local("port", port), named("any, later")])]);
    assert_eq!(ask(&mut first), ("any, later".into(), false), "it stays, as in Envoy");
    let mut second = running.connect();
    assert_eq!(ask(&mut second), ("port".into(), false));
    running.update(vec![listener(vec![named("last"), local("port", 1)])]);
    assert_eq!(ask(&mut first), ("last".into(), false));
    assert_eq!(ask(&mut second), ("port".into(), true));
}

#[test]
fn the_last_requests_of_what_is_gone_have_a_limit() {
    let options =
        Options { workers: NonZeroUsize::MIN, drain_time: Duration::from_millis(20), ..Options::default() };
    let running = Running::start_with(listener(vec![named("old")]), options);
    let mut client = running.connect();
    client.send("GET /hang HTTP/1.1\r\nhost: h\r\n\r\n");
    running.log.wait_for("Http11 GET ://h/hang true");
    running.update(vec![listener(vec![named("new")])]);
    let mut other = running.connect();
    assert_eq!(ask(&mut other), ("new".into(), false));
    running.update(Vec::new());
    assert_eq!(client.read_to_end(), "");
    http2::run(async {
        let snapshot =
            Snapshot { listeners: vec![Arc::new(listener(vec![named("a")]))], ..Snapshot::default() };
        running.gateway.update(snapshot).await.unwrap();
        let (mut requests, driver) = connect(&running).await;
        let (response, _) = requests.send_request(http2::request("GET", "/hang"), true).unwrap();
        running.log.seen("Http2 GET http://h/hang true").await;
        running.gateway.update(Snapshot::default()).await.unwrap();
        assert!(response.await.is_err());
        let _ = driver.await.unwrap();
    });
}

#[test]
fn the_drain_of_the_process_closes_what_an_update_has_left() {
    let running = Running::start(listener(vec![named("old")]), 1);
    let mut client = running.connect();
    ask(&mut client);
    running.update(Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(running.gateway.drain(PATIENCE)), 0);
    assert_eq!(client.read_to_end(), "");
}
