use super::*;

/// What a refused request gets, without what comes before the body.
fn refused(running: &Running, request: &str) -> (String, String) {
    let mut client = running.connect();
    client.send(request);
    let answer = client.read_to_end();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(&lines[1..], [format!("content-length: {}", body.len()).as_str(), "connection: close"]);
    (lines[0].to_owned(), body.to_owned())
}

#[test]
fn bad_requests_are_answered_as_envoy_does() {
    let running = Running::plain();
    let fields = |count: usize| "x: y\r\n".repeat(count);
    for (request, status, body, details) in [
        ("GET / HTTP/1.0\r\nhost: h\r\n\r\n", "426 Upgrade Required", "Upgrade Required", "low_version"),
        ("GET /\r\n\r\n", "426 Upgrade Required", "Upgrade Required", "low_version"),
        ("\x16\x03\x01", "400 Bad Request", "Bad Request", "http1.codec_error"),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "400 Bad Request",
            "Bad Request",
            "http1.content_length_and_chunked_not_allowed",
        ),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip\r\n\r\n",
            "501 Not Implemented",
            "Not Implemented",
            "http1.invalid_transfer_encoding",
        ),
        (
            &format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", fields(100)),
            "431 Request Header Fields Too Large",
            "Request Header Fields Too Large",
            "http1.too_many_headers",
        ),
        (
            &format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "a".repeat(61_440)),
            "431 Request Header Fields Too Large",
            "Request Header Fields Too Large",
            "http1.headers_too_large",
        ),
        ("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", "400 Bad Request", "Bad Request", "http.invalid_authority"),
        ("GET / HTTP/1.1\r\nx: y\r\n\r\n", "400 Bad Request", "", "missing_host_header"),
    ] {
        let answer = refused(&running, request);
        assert_eq!(answer, (format!("HTTP/1.1 {status}"), body.to_owned()), "{details}");
        let logged = running.log.lines().pop().unwrap();
        assert!(logged.ends_with(&format!(" {details}")), "{logged} instead of {details}");
    }
}

#[test]
fn a_head_must_arrive_in_time() {
    let running = Running::with(|http| http.request_headers_timeout = Some(Duration::from_millis(30)));
    let (status, body) = refused(&running, "GET / HTTP/1.1\r\nho");
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 408 Request Timeout", "request header timeout"));
    let running = Running::with(|http| http.stream_idle_timeout = Some(Duration::from_millis(30)));
    let (status, body) = refused(&running, "GET / HTTP/1.1\r\nho");
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 408 Request Timeout", "stream timeout"));
}

#[test]
fn a_bad_body_can_still_be_answered() {
    let running = Running::with(|http| http.max_headers_count = 5);
    let chunked = "POST /read HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    for (body, details) in [
        ("3\r\nabc\r\nzz\r\n".to_owned(), "http1.codec_error"),
        (format!("0\r\n{}\r\n", "x: y\r\n".repeat(6)), "http1.too_many_headers"),
    ] {
        let mut client = running.connect();
        client.send(&format!("{chunked}{body}"));
        let answer = client.read_to_end();
        assert_eq!(answer, "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        running.log.wait_for(&format!("Protocol({details:?})"));
    }
}

#[test]
fn a_request_that_is_cut_off_is_a_disconnect() {
    let running = Running::plain();
    let mut client = running.connect();
    client.send("POST /read HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc");
    client.socket().shutdown(std::net::Shutdown::Write).unwrap();
    running.log.wait_for("Disconnected");
}

#[test]
fn an_unread_request_does_not_reset_the_response() {
    // I-10: the client is still sending when the answer comes; it must be able to read it.
    let running = Running::plain();
    let mut client = running.connect();
    client.send("POST /direct HTTP/1.1\r\nhost: h\r\ncontent-length: 10000000\r\n\r\n");
    let answer = client.read_until("hello");
    assert!(answer.contains("connection: close"));
    for _ in 0..20 {
        client.send(&"x".repeat(10_000));
    }
    assert_eq!(client.read_to_end(), "");
}
