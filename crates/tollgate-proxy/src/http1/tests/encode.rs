use bytes::Bytes;
use extproc::{RequestHeaders, ResponseHeaders};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::*;

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

fn request_text(
    method: Method,
    pairs: &[(&'static str, &'static str)],
    end_stream: bool,
) -> (String, BodyEncoder) {
    let head = RequestHeaders {
        method,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_static("h"),
        path: HeaderValue::from_static("/p"),
        fields: fields(pairs),
    };
    let mut out = WriteQueue::default();
    let encoder = encode_request(&mut out, &head, end_stream);
    (written(out), encoder)
}

fn response_text(
    status: u16,
    pairs: &[(&'static str, &'static str)],
    end_stream: bool,
    context: ResponseContext,
) -> (String, BodyEncoder) {
    let head = ResponseHeaders { status: StatusCode::from_u16(status).unwrap(), fields: fields(pairs) };
    let mut out = WriteQueue::default();
    let encoder = encode_response(&mut out, &head, end_stream, context);
    (written(out), encoder)
}

const PLAIN: ResponseContext =
    ResponseContext { kind: RequestKind::Ordinary, is_http10: false, connection: None };
const HEAD: ResponseContext = ResponseContext { kind: RequestKind::Head, ..PLAIN };

#[test]
fn request_framing_is_envoys() {
    // B-7.1: an empty POST gets a length; GET, HEAD, DELETE, TRACE and CONNECT do not.
    let (text, _) = request_text(Method::POST, &[("x", "y"), ("transfer-encoding", "chunked")], true);
    assert_eq!(text, "POST /p HTTP/1.1\r\nhost: h\r\nx: y\r\ncontent-length: 0\r\n\r\n");
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::TRACE] {
        assert!(!request_text(method, &[], true).0.contains("content-length"));
    }
    for method in [Method::PUT, Method::PATCH, Method::OPTIONS] {
        assert!(request_text(method, &[], true).0.ends_with("\r\ncontent-length: 0\r\n\r\n"));
    }
    let (text, encoder) = request_text(Method::GET, &[], false);
    assert_eq!(text, "GET /p HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(encoder, BodyEncoder::Chunked);
    let (text, encoder) = request_text(Method::POST, &[("content-length", "3")], false);
    assert_eq!(text, "POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(encoder, BodyEncoder::Plain);
    assert!(request_text(Method::CONNECT, &[], false).0.starts_with("CONNECT h HTTP/1.1\r\nhost: h\r\n"));
    let (text, encoder) =
        request_text(Method::GET, &[("connection", "upgrade"), ("upgrade", "websocket")], false);
    assert_eq!(text, "GET /p HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(encoder, BodyEncoder::Plain);
}

#[test]
fn response_framing_is_envoys() {
    let close = ResponseContext { connection: Some("close"), ..PLAIN };
    let (text, encoder) = response_text(200, &[("x", "y")], false, close);
    assert_eq!(text, "HTTP/1.1 200 OK\r\nx: y\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(encoder, BodyEncoder::Chunked);
    let (text, _) = response_text(299, &[], true, close);
    assert_eq!(text, "HTTP/1.1 299 Unknown\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let (text, encoder) = response_text(200, &[("content-length", "3")], false, PLAIN);
    assert_eq!(
        (text.as_str(), encoder),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", BodyEncoder::Plain)
    );
    for status in [204, 304] {
        for end_stream in [true, false] {
            let (text, encoder) = response_text(status, &[], end_stream, PLAIN);
            assert!(text.ends_with("d\r\n\r\n") || text.ends_with("t\r\n\r\n"), "{text}");
            assert_eq!(encoder, BodyEncoder::Suppressed);
        }
    }
    assert!(response_text(304, &[("content-length", "9")], true, PLAIN).0.contains("content-length: 9"));
    assert!(!response_text(204, &[("content-length", "9")], true, PLAIN).0.contains("content-length"));
    for end_stream in [true, false] {
        let (text, encoder) = response_text(200, &[], end_stream, HEAD);
        assert_eq!(text, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(encoder, BodyEncoder::Suppressed);
    }
    assert_eq!(response_text(200, &[("content-length", "3")], false, HEAD).1, BodyEncoder::Suppressed);
    let old = ResponseContext { is_http10: true, ..close };
    assert_eq!(response_text(200, &[], false, old).0, "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n");
    let upgrade = ResponseContext { kind: RequestKind::Upgrade, ..PLAIN };
    let (text, encoder) = response_text(101, &[("upgrade", "websocket")], false, upgrade);
    assert_eq!(text, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(encoder, BodyEncoder::Plain);
}

#[test]
fn bodies_and_trailers() {
    let encode = |encoder: BodyEncoder, enabled| {
        let mut out = WriteQueue::default();
        encoder.data(&mut out, Bytes::from_static(b"abc").into(), false);
        encoder.data(&mut out, Bytes::new().into(), false);
        encoder.data(&mut out, Bytes::from(vec![b'x'; 16]).into(), false);
        encoder.trailers(&mut out, &fields(&[("foo", "bar")]), enabled);
        written(out)
    };
    let chunks = "3\r\nabc\r\n10\r\nxxxxxxxxxxxxxxxx\r\n";
    assert_eq!(encode(BodyEncoder::Chunked, true), format!("{chunks}0\r\nfoo: bar\r\n\r\n"));
    // T-9
    assert_eq!(encode(BodyEncoder::Chunked, false), format!("{chunks}0\r\n\r\n"));
    assert_eq!(encode(BodyEncoder::Plain, true), "abcxxxxxxxxxxxxxxxx");
    assert_eq!(encode(BodyEncoder::Suppressed, true), "");
}

#[test]
fn large_pieces_are_gathered_in_order() {
    let mut out = WriteQueue::default();
    let large = "l".repeat(20_000);
    for _ in 0..40 {
        out.put_slice(b"head");
        out.put(Bytes::from(large.clone()));
    }
    out.put(Bytes::from_static(b"tail"));
    assert_eq!(out.len(), 40 * 20_004 + 4);
    assert_eq!(written(out), format!("{}tail", format!("head{large}").repeat(40)));
}

#[test]
fn reason_phrases_are_envoys() {
    let phrase = |code| reason_phrase(StatusCode::from_u16(code).unwrap());
    assert_eq!(phrase(200), "OK");
    assert_eq!(phrase(413), "Payload Too Large");
    assert_eq!(phrase(418), "Unknown");
    assert_eq!(phrase(451), "Unknown");
    assert_eq!(phrase(599), "Last Unassigned Server Error Code");
    assert_eq!(phrase(777), "Unknown");
}
