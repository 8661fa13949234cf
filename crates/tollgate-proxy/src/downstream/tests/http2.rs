use std::net::TcpStream;

use h2::client::{self, SendRequest};
use http::{Request, Response};
use tokio::task::JoinHandle;

use super::*;

pub(super) type Driver = JoinHandle<Result<(), h2::Error>>;

/// Runs a test on a runtime of its own, with a deadline.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("in time") });
}

async fn connect_with(running: &Running, builder: &client::Builder) -> (SendRequest<Bytes>, Driver) {
    let socket = tokio::net::TcpStream::connect(running.address()).await.unwrap();
    let (requests, connection) = builder.handshake(socket).await.unwrap();
    (requests, tokio::spawn(connection))
}

pub(super) async fn connect(running: &Running) -> (SendRequest<Bytes>, Driver) {
    connect_with(running, &client::Builder::new()).await
}

pub(super) fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://h{path}")).body(()).unwrap()
}

pub(super) async fn get(requests: &mut SendRequest<Bytes>, path: &str) -> Response<h2::RecvStream> {
    let (response, _) = requests.send_request(request("GET", path), true).unwrap();
    response.await.unwrap()
}

async fn body(response: Response<h2::RecvStream>) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut stream = response.into_body();
    let mut data = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        data.extend_from_slice(&piece);
    }
    Ok((data, stream.trailers().await?))
}

#[test]
fn prior_knowledge_is_recognized_even_in_pieces() {
    let running = Running::plain();
    let mut client = running.connect();
    // The preface comes byte by byte: nothing may be lost while it is looked at.
    for byte in "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".chars() {
        client.send(&byte.to_string());
        std::thread::yield_now();
    }
    client.send("\0\0\0\x04\0\0\0\0\0");
    let mut frame = [0; 9];
    std::io::Read::read_exact(&mut client.socket(), &mut frame).unwrap();
    assert_eq!(frame[3], 4, "SETTINGS");
    let mut other = running.connect();
    other.send("P");
    other.send("OST /direct HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
    other.read_until("hello");
}

#[test]
fn requests_and_responses_pass_with_bodies_and_trailers() {
    let running = Running::plain();
    run(async {
        let (mut requests, _driver) = connect(&running).await;
        let (data, trailers) = body(get(&mut requests, "/direct").await).await.unwrap();
        assert_eq!((data.as_slice(), trailers), (&b"hello"[..], None));

        let (response, mut stream) = requests.send_request(request("POST", "/echo"), false).unwrap();
        stream.send_data(Bytes::from_static(b"abc"), false).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/plain");
        stream.send_data(Bytes::from_static(b"def"), false).unwrap();
        stream.send_trailers(head(200, &[("foo", "bar")]).fields).unwrap();
        let (data, trailers) = body(response).await.unwrap();
        assert_eq!(data, b"abcdef");
        assert_eq!(trailers.unwrap()["foo"], "bar");
    });
    assert_eq!(
        running.log.lines()[..2],
        ["Http2 GET http://h/direct true", "Http2 POST http://h/echo false"]
    );
}

#[test]
fn the_end_comes_with_the_last_piece() {
    // B-6.5
    let running = Running::plain();
    run(async {
        let (mut requests, _driver) = connect(&running).await;
        let (response, mut stream) = requests.send_request(request("POST", "/read"), false).unwrap();
        stream.send_data(Bytes::from_static(b"abc"), true).unwrap();
        assert_eq!(response.await.unwrap().headers()["x-read"], "3");
    });
    assert_eq!(running.log.lines()[1..], ["data 3 true"]);
}

#[test]
fn large_bodies_pass_both_ways_within_the_windows() {
    let running = Running::plain();
    run(async {
        let (mut requests, _driver) = connect(&running).await;
        let (response, mut stream) = requests.send_request(request("POST", "/echo"), false).unwrap();
        let sent: Vec<u8> = (0..2_000_000_u32).map(|index| (index / 7) as u8).collect();
        let upload = sent.clone();
        let upload = tokio::spawn(async move {
            let mut rest = Bytes::from(upload);
            while !rest.is_empty() {
                stream.reserve_capacity(rest.len());
                let capacity = poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
                let piece = rest.split_to(capacity.min(rest.len()));
                stream.send_data(piece, rest.is_empty()).unwrap();
            }
        });
        let (data, _) = body(response.await.unwrap()).await.unwrap();
        upload.await.unwrap();
        assert!(data == sent);
    });
}

#[test]
fn a_response_waits_for_the_clients_window() {
    let running = Running::plain();
    run(async {
        let (mut requests, _driver) =
            connect_with(&running, client::Builder::new().initial_window_size(20_000)).await;
        let response = get(&mut requests, "/large").await;
        // The window is used up and the transaction waits; other streams are served.
        let (data, _) = body(get(&mut requests, "/direct").await).await.unwrap();
        assert_eq!(data, b"hello");
        assert!(!running.log.lines().contains(&"large: queued".to_owned()));
        assert_eq!(body(response).await.unwrap().0.len(), 4_000_000);
    });
    running.log.wait_for("large: queued");
}

#[test]
fn a_request_body_that_nobody_reads_is_held_back() {
    let running = Running::with(|http| {
        http.http2.initial_stream_window_size = 65_535;
        http.http2.initial_connection_window_size = 65_535;
    });
    run(async {
        let (mut requests, _driver) = connect(&running).await;
        let (_response, mut stream) = requests.send_request(request("POST", "/hang"), false).unwrap();
        stream.reserve_capacity(1_000_000);
        let mut sent = 0;
        while sent < 65_535 {
            let capacity = poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
            stream.send_data(Bytes::from(vec![0; capacity]), false).unwrap();
            sent += capacity;
        }
        // The server has answered a later request, so it has seen all of this and gave no credit for it.
        assert_eq!(body(get(&mut requests, "/direct").await).await.unwrap().0, b"hello");
        assert_eq!((sent, stream.capacity()), (65_535, 0));
        stream.send_reset(h2::Reason::CANCEL);
    });
    running.log.wait_for("hang: Disconnected");
}

#[test]
fn informational_responses_and_100_continue() {
    let running = Running::plain();
    run(async {
        let (mut requests, _driver) = connect(&running).await;
        let mut expecting = request("POST", "/read");
        expecting.headers_mut().insert("expect", HeaderValue::from_static("100-continue"));
        let (mut response, mut stream) = requests.send_request(expecting, false).unwrap();
        let informational = poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!(informational.status(), 100);
        stream.send_data(Bytes::from_static(b"abc"), true).unwrap();
        assert_eq!(response.await.unwrap().headers()["x-read"], "3");
        let (mut response, _) = requests.send_request(request("GET", "/hints"), true).unwrap();
        let informational = poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!(
            (informational.status().as_u16(), &informational.headers()["link"]),
            (103, &HeaderValue::from_static("x"))
        );
        assert_eq!(response.await.unwrap().status(), 200);
    });
}

#[test]
fn resets_reach_the_other_side() {
    let running = Running::plain();
    run(async {
        let (mut requests, _driver) = connect(&running).await;
        for path in ["/reset", "/forgotten"] {
            let response = get(&mut requests, path).await;
            let error = body(response).await.unwrap_err();
            assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
        }
        // A stream that fails does not take others with it.
        assert_eq!(body(get(&mut requests, "/direct").await).await.unwrap().0, b"hello");
        let (response, mut stream) = requests.send_request(request("POST", "/read"), false).unwrap();
        stream.send_data(Bytes::from_static(b"abc"), false).unwrap();
        running.log.seen("data 3 false").await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
    });
    running.log.wait_for("Disconnected");
}

#[test]
fn a_body_that_contradicts_its_length_is_a_protocol_error() {
    let running = Running::plain();
    run(async {
        let (mut requests, _driver) = connect(&running).await;
        let mut short = request("POST", "/read");
        short.headers_mut().insert("content-length", HeaderValue::from_static("10"));
        let (response, mut stream) = requests.send_request(short, false).unwrap();
        stream.send_data(Bytes::from_static(b"abc"), true).unwrap();
        assert_eq!(response.await.unwrap_err().reason(), Some(h2::Reason::PROTOCOL_ERROR));
    });
}

#[test]
fn heads_that_are_too_large_or_wrong_are_refused() {
    let running = Running::plain();
    run(async {
        let (mut requests, _driver) = connect(&running).await;
        let mut many = request("GET", "/direct");
        for index in 0..100 {
            many.headers_mut().insert(
                http::HeaderName::try_from(format!("x-{index}")).unwrap(),
                HeaderValue::from_static("y"),
            );
        }
        let (response, _) = requests.send_request(many, true).unwrap();
        assert_eq!(response.await.unwrap_err().reason(), Some(h2::Reason::INTERNAL_ERROR));
        let mut large = request("GET", "/direct");
        large.headers_mut().insert("x", HeaderValue::try_from("y".repeat(61_440)).unwrap());
        let (response, _) = requests.send_request(large, true).unwrap();
        assert_eq!(response.await.unwrap_err().reason(), Some(h2::Reason::INTERNAL_ERROR));
        assert_eq!(body(get(&mut requests, "/direct").await).await.unwrap().0, b"hello");
    });
}

#[test]
fn host_is_the_authority_where_there_is_none() {
    let running = Running::plain();
    run(async {
        let (mut requests, _driver) = connect(&running).await;
        let with_host = |authority: &str, host: Option<&str>| {
            let mut request = Request::builder().uri(format!("{authority}/direct")).body(()).unwrap();
            if let Some(host) = host {
                request.headers_mut().insert("host", HeaderValue::try_from(host).unwrap());
            }
            request
        };
        for request in [with_host("http://a", Some("b")), with_host("", Some("b"))] {
            let (response, _) = requests.send_request(request, true).unwrap();
            assert_eq!(response.await.unwrap().status(), 200);
        }
        let (response, _) = requests.send_request(with_host("", None), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 400);
    });
    let lines = running.log.lines();
    assert_eq!(lines[..2], ["Http2 GET http://a/direct true", "Http2 GET http://b/direct true"]);
    assert_eq!(lines[2], "rejected Http2 400 Bad Request missing_host_header");
}

#[test]
fn draining_tells_the_client_and_serves_what_is_open() {
    let running = Running::plain();
    run(async {
        let (mut requests, driver) = connect(&running).await;
        let (response, mut stream) = requests.send_request(request("POST", "/read"), false).unwrap();
        stream.send_data(Bytes::from_static(b"abc"), false).unwrap();
        running.log.seen("data 3 false").await;
        let (remaining, ()) = tokio::join!(running.gateway.drain(PATIENCE), async {
            stream.send_data(Bytes::from_static(b"def"), true).unwrap();
            assert_eq!(response.await.unwrap().headers()["x-read"], "6");
        });
        assert_eq!(remaining, 0);
        drop(requests);
        driver.await.unwrap().unwrap();
    });
}

#[test]
fn idle_connections_are_told_to_go() {
    let running = Running::with(|http| {
        http.idle_timeout = Some(Duration::from_millis(50));
        http.drain_timeout = Duration::from_millis(50);
    });
    run(async {
        let (mut requests, driver) = connect(&running).await;
        assert_eq!(body(get(&mut requests, "/direct").await).await.unwrap().0, b"hello");
        driver.await.unwrap().unwrap();
    });
}

#[test]
fn the_last_allowed_request_is_still_answered() {
    let running = Running::with(|http| http.max_requests_per_connection = Some(2));
    run(async {
        let (mut requests, driver) = connect(&running).await;
        for _ in 0..2 {
            assert_eq!(body(get(&mut requests, "/direct").await).await.unwrap().0, b"hello");
        }
        drop(requests);
        driver.await.unwrap().unwrap();
    });
}

#[test]
fn a_client_that_vanishes_ends_its_requests() {
    let running = Running::plain();
    run(async {
        let (mut requests, driver) = connect(&running).await;
        let (_response, _) = requests.send_request(request("GET", "/hang"), true).unwrap();
        assert_eq!(body(get(&mut requests, "/direct").await).await.unwrap().0, b"hello");
        driver.abort();
    });
    running.log.wait_for("hang: Disconnected");
}

#[test]
fn garbage_after_the_preface_ends_only_its_connection() {
    let running = Running::plain();
    let mut bad = running.connect();
    bad.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    bad.send(&"garbage".repeat(100));
    let mut end = Vec::new();
    let _ = std::io::Read::read_to_end(&mut bad.socket(), &mut end);
    let other = TcpStream::connect(running.address());
    assert!(other.is_ok());
}

#[test]
fn a_client_that_answers_no_pings_is_given_up() {
    use tollgate_model::http_connection_manager::Http2Keepalive;
    let running = Running::with(|http| {
        http.http2.keepalive = Some(Http2Keepalive {
            interval: Some(Duration::from_millis(20)),
            timeout: Duration::from_millis(50),
            interval_jitter: 15.0,
            connection_idle_interval: None,
        });
    });
    // One that answers stays, whether or not it has requests.
    run(async {
        let (mut requests, _driver) = connect(&running).await;
        for _ in 0..3 {
            get(&mut requests, "/direct").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut silent = running.connect();
    silent.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut silent.socket(), &mut rest);
    let ping = rest.windows(5).any(|frame| frame == [0, 0, 8, 6, 0]);
    assert!(ping, "{rest:?}");
}
