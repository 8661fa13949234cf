use super::*;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn draining_closes_idle_connections_and_lets_requests_finish() {
    let running = Running::plain();
    let mut idle = running.connect();
    idle.send("GET /direct HTTP/1.1\r\nhost: h\r\n\r\n");
    idle.read_until("hello");
    let mut busy = running.connect();
    busy.send("POST /read HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\n\r\nabc");
    running.log.wait_for("data 3 false");
    let remaining = std::thread::scope(|scope| {
        let draining = scope.spawn(|| block_on(running.gateway.drain(PATIENCE)));
        assert_eq!(idle.read_to_end(), "");
        busy.send("def");
        let answer = busy.read_to_end();
        assert!(answer.contains("x-read: 6\r\n") && answer.contains("connection: close\r\n"), "{answer}");
        draining.join().unwrap()
    });
    assert_eq!(remaining, 0);
    let refused = std::net::TcpStream::connect(running.address());
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn draining_waits_no_longer_than_it_may() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send("GET /hang HTTP/1.1\r\nhost: h\r\n\r\n");
    running.log.wait_for("Http11 GET ://h/hang true");
    assert_eq!(block_on(running.gateway.drain(Duration::from_millis(20))), 1);
    running.gateway.shutdown();
    assert_eq!(client.read_to_end(), "");
}

#[test]
fn an_address_in_use_stops_the_start_with_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut second = listener(vec![chain(manager())]);
    second.addresses.push(BindAddress::Socket(address));
    let snapshot = Arc::new(Snapshot { listeners: vec![Arc::new(second)], ..Snapshot::default() });
    let handler = TestHandler { log: Log::default() };
    let error = Gateway::start_with(&snapshot, Options::default(), move || handler.clone())
        .expect_err("in use")
        .to_string();
    assert!(error.starts_with(&format!("listener \"test\" cannot be bound to {address}: ")), "{error}");
}

#[test]
fn an_address_of_another_machine_does_not_keep_others_from_being_served() {
    let mut partly = listener(vec![chain(manager())]);
    // TEST-NET-3: of nobody.
    partly.addresses.push(BindAddress::Socket("203.0.113.1:0".parse().unwrap()));
    let mut nowhere = listener(vec![chain(manager())]);
    nowhere.addresses = vec![BindAddress::Socket("203.0.113.2:0".parse().unwrap())];
    let (partly, nowhere) = (Arc::new(partly), Arc::new(nowhere));
    let start = |listeners: Vec<&Arc<Listener>>, leave_out_unavailable_addresses| {
        let listeners = listeners.into_iter().cloned().collect();
        let snapshot = Arc::new(Snapshot { listeners, ..Snapshot::default() });
        let handler = TestHandler { log: Log::default() };
        let options = Options { leave_out_unavailable_addresses, ..Options::default() };
        Gateway::start_with(&snapshot, options, move || handler.clone())
    };
    let gateway = start(vec![&partly, &nowhere], true).unwrap();
    assert_eq!(gateway.local_addresses().len(), 1);
    gateway.shutdown();
    // A configuration of Envoy starts as a whole, and there has to be something to serve.
    let error = start(vec![&partly], false).expect_err("not of this machine").to_string();
    assert!(error.starts_with("listener \"test\" cannot be bound to 203.0.113.1:0: "), "{error}");
    assert!(start(vec![&nowhere], true).is_err());
}

#[test]
fn ipv6_is_served() {
    let mut v6 = listener(vec![chain(manager())]);
    v6.addresses = vec![BindAddress::Socket("[::1]:0".parse().unwrap())];
    let running = Running::start(v6, 2);
    let mut client = running.connect();
    client.send("GET /direct HTTP/1.1\r\nhost: h\r\n\r\n");
    client.read_until("hello");
}
