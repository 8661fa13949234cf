use std::io::Write;

use super::*;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")
}

fn post(path: &str, fields: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: h\r\n{fields}\r\n{body}")
}

const DIRECT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const DIRECT_CLOSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

#[test]
fn a_connection_is_kept_alive() {
    let running = Running::plain();
    let mut client = running.connect();
    for _ in 0..3 {
        client.send(&get("/direct"));
        client.expect(DIRECT);
    }
    assert_eq!(running.log.lines(), vec!["Http11 GET ://h/direct true"; 3]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let running = Running::plain();
    let mut client = running.connect();
    let body = post("/echo", "content-length: 3\r\n", "abc");
    client.send(&format!("{}{body}{}{}", get("/direct"), get("/trailers"), get("/direct")));
    client.expect(DIRECT);
    client.read_until("\r\n\r\n");
    client.expect("3\r\nabc\r\n0\r\n\r\n");
    client.expect("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    client.expect(DIRECT);
}

#[test]
fn connection_close_is_honoured_and_our_side_ends() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send("GET /direct HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert_eq!(client.read_to_end(), DIRECT_CLOSE);
}

#[test]
fn bodies_end_with_an_event_of_their_own() {
    // B-6.5
    let running = Running::plain();
    let mut client = running.connect();
    client.send(&post("/read", "content-length: 3\r\n", "abc"));
    client.expect("HTTP/1.1 200 OK\r\nx-read: 3\r\nx-trailers: 0\r\ncontent-length: 0\r\n\r\n");
    client.send(&post("/read", "transfer-encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"));
    client.expect("HTTP/1.1 200 OK\r\nx-read: 3\r\nx-trailers: 0\r\ncontent-length: 0\r\n\r\n");
    client.send(&post("/read", "content-length: 0\r\n", ""));
    client.expect("HTTP/1.1 200 OK\r\nx-read: 0\r\nx-trailers: 0\r\ncontent-length: 0\r\n\r\n");
    let lines = running.log.lines();
    assert_eq!(&lines[1..3], ["data 3 false", "data 0 true"]);
    assert_eq!(&lines[4..6], ["data 3 false", "data 0 true"]);
    assert_eq!(lines[6], "Http11 POST ://h/read true");
}

#[test]
fn trailers_pass_only_if_enabled() {
    // T-9
    let request = post("/echo", "transfer-encoding: chunked\r\n", "3\r\nabc\r\n0\r\nFoo: bar\r\n\r\n");
    for (enabled, end) in [(true, "0\r\nfoo: bar\r\n\r\n"), (false, "0\r\n\r\n")] {
        let running = Running::with(|http| http.http1.enable_trailers = enabled);
        let mut client = running.connect();
        client.send(&request);
        client.read_until("\r\n\r\n");
        client.expect(&format!("3\r\nabc\r\n{end}"));
        client.send(&get("/trailers"));
        client.read_until("\r\n\r\n");
        client.expect(&format!("3\r\nabc\r\n{end}"));
        client.send(&get("/direct"));
        client.expect(DIRECT);
    }
}

#[test]
fn a_client_that_expects_100_is_told_to_go_on() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send(&post("/read", "content-length: 3\r\nexpect: 100-continue\r\n", ""));
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    client.expect("HTTP/1.1 200 OK\r\nx-read: 3\r\nx-trailers: 0\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn with_proxy_100_continue_the_expectation_is_passed_on() {
    let running = Running::with(|http| http.proxy_100_continue = true);
    let mut client = running.connect();
    client.send("GET /direct HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\n\r\n");
    client.expect(DIRECT);
}

#[test]
fn head_has_no_body() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send("HEAD /direct HTTP/1.1\r\nhost: h\r\n\r\n");
    client.expect("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    client.send("HEAD /trailers HTTP/1.1\r\nhost: h\r\n\r\n");
    client.expect("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send(&get("/direct"));
    client.expect(DIRECT);
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    // L-14
    let running = Running::plain();
    let mut client = running.connect();
    client.send("GET /upgrade HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nearly");
    client
        .expect("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nearly");
    client.send("0\r\n\r\n");
    client.expect("0\r\n\r\n");
    client.socket().shutdown(std::net::Shutdown::Write).unwrap();
    // A client that ends its side is gone, as in Envoy.
    running.log.wait_for("Disconnected");
    assert_eq!(client.read_to_end(), "");
}

#[test]
fn a_refused_upgrade_closes_the_connection() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send("GET /direct HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nGET /");
    assert_eq!(client.read_to_end(), DIRECT_CLOSE);
}

#[test]
fn a_reply_before_the_request_was_read_closes_the_connection() {
    // I-10
    let running = Running::plain();
    for request in [
        post("/direct", "content-length: 10\r\n", "abc"),
        // Given at once, before the body was looked at, although it has arrived.
        post("/direct", "content-length: 3\r\n", "abc"),
        post("/direct", "transfer-encoding: chunked\r\n", "3\r\nabc\r\n"),
    ] {
        let mut client = running.connect();
        client.send(&request);
        assert_eq!(client.read_to_end(), DIRECT_CLOSE);
    }
    let mut client = running.connect();
    client.send(&post("/denied", "content-length: 10\r\n", "abc"));
    assert_eq!(
        client.read_to_end(),
        "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
}

#[test]
fn a_reply_after_the_request_has_arrived_keeps_the_connection() {
    // I-10
    let running = Running::plain();
    let mut client = running.connect();
    for request in [
        post("/denied", "content-length: 3\r\n", "abc"),
        post("/denied", "transfer-encoding: chunked\r\n", "3\r\nabc\r\n0\r\nx: y\r\n\r\n"),
    ] {
        client.send(&request);
        client.expect("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    }
    client.send(&get("/direct"));
    client.expect(DIRECT);
}

#[test]
fn a_client_that_goes_away_is_noticed_while_nothing_is_read() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send(&get("/hang"));
    running.log.wait_for("Http11 GET ://h/hang true");
    drop(client);
    running.log.wait_for("hang: Disconnected");
}

#[test]
fn requests_behind_a_slow_one_are_kept() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send(&format!("{}{}", get("/denied"), get("/direct")));
    client.expect("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    client.expect(DIRECT);
}

#[test]
fn a_large_response_waits_for_its_client() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send(&get("/large"));
    client.read_until("\r\n\r\n");
    for _ in 0..400 {
        client.expect(&format!("2710\r\n{}\r\n", "x".repeat(10_000)));
    }
    client.expect("0\r\n\r\n");
    client.send(&get("/direct"));
    client.expect(DIRECT);
}

#[test]
fn a_client_that_stops_reading_and_goes_is_noticed() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send(&get("/huge"));
    client.read_until("\r\n\r\n");
    drop(client);
    running.log.wait_for("large: disconnected");
}

#[test]
fn a_reset_closes_without_the_final_chunk() {
    // F-4, I-8, T-8
    let running = Running::plain();
    for (path, rest) in [("/reset", "3\r\nabc\r\n"), ("/forgotten", "")] {
        let mut client = running.connect();
        client.send(&get(path));
        client.read_until("\r\n\r\n");
        assert_eq!(client.read_to_end(), rest);
    }
}

#[test]
fn a_body_that_contradicts_its_length_ends_the_connection() {
    // B-7.4
    let running = Running::plain();
    for (path, body) in [("/short", "abc"), ("/long", "ab")] {
        let mut client = running.connect();
        client.send(&get(path));
        client.read_until("\r\n\r\n");
        assert_eq!(client.read_to_end(), body);
    }
}

#[test]
fn informational_responses_come_before_the_final_one() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send(&get("/hints"));
    client.expect("HTTP/1.1 103 Unknown\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn http_10_is_spoken_where_it_is_accepted() {
    let running = Running::with(|http| {
        http.http1.accept_http_10 = true;
        http.http1.default_host_for_http_10 = "default".to_owned();
    });
    let mut client = running.connect();
    client.send("GET /direct HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    client.expect("HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello");
    client.send("GET /trailers HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n\r\n");
    assert_eq!(client.read_to_end(), "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nabc");
    assert_eq!(running.log.lines()[0], "Http10 GET ://default/direct true");
}

#[test]
fn the_last_allowed_request_closes_the_connection() {
    let running = Running::with(|http| http.max_requests_per_connection = Some(2));
    let mut client = running.connect();
    client.send(&get("/direct"));
    client.expect(DIRECT);
    client.send(&get("/direct"));
    assert_eq!(client.read_to_end(), DIRECT_CLOSE);
}

#[test]
fn a_connection_that_is_old_enough_closes() {
    let running = Running::with(|http| {
        http.max_connection_duration = Some(Duration::from_millis(1));
        http.drain_timeout = Duration::from_millis(50);
    });
    let mut client = running.connect();
    client.send("GET /dir");
    // Accepted later: when its time is over, the client's is, too.
    let mut silent = running.connect();
    assert_eq!(silent.read_to_end(), "");
    client.send("ect HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(client.read_to_end(), DIRECT_CLOSE);
}

#[test]
fn an_idle_connection_is_closed() {
    let running = Running::with(|http| http.idle_timeout = Some(Duration::from_millis(50)));
    let mut silent = running.connect();
    assert_eq!(silent.read_to_end(), "");
    let mut client = running.connect();
    client.send(&get("/direct"));
    assert_eq!(client.read_to_end(), DIRECT);
}

#[test]
fn a_bug_in_one_request_does_not_end_the_others() {
    let running = Running::plain();
    let mut other = running.connect();
    let mut client = running.connect();
    client.send(&get("/panic"));
    assert_eq!(client.read_to_end(), "");
    other.send(&get("/direct"));
    other.expect(DIRECT);
}

#[test]
fn unix_sockets_are_served_by_every_worker() {
    let path = std::env::temp_dir().join(format!("tollgate-test-{}-{:p}", std::process::id(), &PATIENCE));
    let mut unix = listener(vec![chain(manager())]);
    unix.addresses = vec![BindAddress::Pipe { path: path.clone(), mode: Some(0o600) }];
    // A file that a process left behind is not in the way.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let running = Running::start(unix, 2);
    let mut clients = Vec::new();
    let mut threads = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let mut socket = std::os::unix::net::UnixStream::connect(&path).unwrap();
        socket.write_all(get("/connection").as_bytes()).unwrap();
        let mut response = [0; 1024];
        let length = std::io::Read::read(&mut socket, &mut response).unwrap();
        let response = String::from_utf8_lossy(&response[..length]).into_owned();
        threads.extend(response.lines().find(|line| line.starts_with("x-thread")).map(str::to_owned));
        clients.push(socket);
    }
    assert_eq!(threads.len(), 2, "{threads:?}");
    drop(running);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn connections_are_spread_evenly() {
    let running = Running::start(listener(vec![chain(manager())]), 2);
    let mut clients = Vec::new();
    let mut first = 0;
    for _ in 0..20 {
        let mut client = running.connect();
        client.send(&get("/connection"));
        first += usize::from(client.read_until("\r\n\r\n").contains("tollgate-worker-0"));
        clients.push(client);
    }
    assert_eq!(first, 10);
}
