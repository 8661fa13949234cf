use http::Method;

use super::*;

#[test]
fn host_becomes_the_authority_and_other_fields_keep_their_order() {
    // E-2
    let head = accepted("POST /a?b HTTP/1.1\r\nX-B: 1\r\nHost: example.com:81\r\nx-a: 2\r\nX-b:  3 \r\n\r\n");
    assert_eq!(head.headers.method, Method::POST);
    assert_eq!(head.headers.path, "/a?b");
    assert_eq!(head.headers.authority, "example.com:81");
    let fields: Vec<_> =
        head.headers.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(fields, [("x-b", &b"1"[..]), ("x-b", b"3"), ("x-a", b"2")]);
    assert!(head.keep_alive);
    assert_eq!(head.body, BodyLength::Empty);
}

#[test]
fn values_are_arbitrary_bytes() {
    // E-4
    let mut buffer = BytesMut::from(&b"GET / HTTP/1.1\r\nhost: h\r\nx: a\xff\x80b\r\ny:\r\n\r\n"[..]);
    let head = RequestReader::default().read(&mut buffer, &HeadLimits::default(), false).unwrap().unwrap();
    assert_eq!(head.headers.fields["x"].as_bytes(), b"a\xff\x80b");
    assert_eq!(head.headers.fields["y"], "");
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_refused() {
    for (fields, error) in [
        ("content-length: 3\r\ntransfer-encoding: chunked\r\n", CodecError::ContentLengthAndChunked),
        ("content-length: 3\r\ncontent-length: 3\r\n", CodecError::Malformed),
        ("content-length: 3\r\ncontent-length: 4\r\n", CodecError::Malformed),
        ("content-length: 3, 3\r\n", CodecError::Malformed),
        ("content-length: +3\r\n", CodecError::Malformed),
        ("content-length: -3\r\n", CodecError::Malformed),
        ("content-length: 0x3\r\n", CodecError::Malformed),
        ("content-length:\r\n", CodecError::Malformed),
        ("content-length: 99999999999999999999\r\n", CodecError::Malformed),
        ("transfer-encoding: gzip, chunked\r\n", CodecError::InvalidTransferEncoding),
        ("transfer-encoding: identity\r\n", CodecError::InvalidTransferEncoding),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", CodecError::InvalidTransferEncoding),
        ("transfer-encoding: xchunked\r\n", CodecError::InvalidTransferEncoding),
        ("transfer-encoding : chunked\r\n", CodecError::Malformed),
        ("host: other\r\n", CodecError::Malformed),
        ("x: a\r\n b\r\n", CodecError::Malformed),
        ("x: a\rb\r\n", CodecError::InvalidCharacters),
        ("x: a\0b\r\n", CodecError::InvalidCharacters),
        (": a\r\n", CodecError::Malformed),
        ("x(y: a\r\n", CodecError::Malformed),
        ("x\r\n", CodecError::Malformed),
    ] {
        let text = format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}\r\n");
        assert_eq!(request(&text).err(), Some(error), "{fields:?}");
    }
}

#[test]
fn transfer_encoding_is_compared_without_case() {
    assert_eq!(
        accepted("POST / HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n").body,
        BodyLength::Chunked
    );
}

#[test]
fn versions() {
    assert_eq!(request("GET / HTTP/1.0\r\nhost: h\r\n\r\n").err(), Some(CodecError::LowVersion));
    assert_eq!(request("GET / HTTP/2.0\r\nhost: h\r\n\r\n").err(), Some(CodecError::LowVersion));
    assert_eq!(request("GET /\r\n\r\n").err(), Some(CodecError::LowVersion));
    assert_eq!(request("GET /a b HTTP/1.1\r\nhost: h\r\n\r\n").err(), Some(CodecError::Malformed));
    let read = |text: &str| {
        RequestReader::default()
            .read(&mut BytesMut::from(text), &HeadLimits::default(), true)
            .unwrap()
            .unwrap()
    };
    let head = read("GET / HTTP/1.0\r\nhost: h\r\n\r\n");
    assert!(head.is_http10 && !head.keep_alive);
    assert!(read("GET / HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n\r\n").keep_alive);
}

#[test]
fn request_targets() {
    let target = |method: &str, target: &str| {
        request(&format!("{method} {target} HTTP/1.1\r\nhost: h\r\n\r\n")).map(|head| {
            let headers = head.unwrap().headers;
            let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
            (text(&headers.scheme), text(&headers.authority), text(&headers.path))
        })
    };
    let expect =
        |scheme: &str, authority: &str, path: &str| Ok((scheme.into(), authority.into(), path.into()));
    assert_eq!(target("GET", "/a"), expect("", "h", "/a"));
    assert_eq!(target("GET", "http://other:80/a?b"), expect("http", "other:80", "/a?b"));
    assert_eq!(target("GET", "HTTPS://other"), expect("https", "other", "/"));
    assert_eq!(target("GET", "http://other?q"), expect("http", "other", "?q"));
    assert_eq!(target("OPTIONS", "*"), expect("", "h", "*"));
    assert_eq!(target("CONNECT", "other:80"), expect("", "other:80", ""));
    assert_eq!(target("GET", "ftp://other/"), Err(CodecError::InvalidScheme));
    assert_eq!(target("GET", "*"), Err(CodecError::InvalidUrl));
    assert_eq!(target("GET", "a"), Err(CodecError::Malformed));
    assert_eq!(target("GET", "/ü"), Err(CodecError::Malformed));
    assert_eq!(target("GET", "http:///a"), Err(CodecError::InvalidUrl));
    assert_eq!(target("CONNECT", "/a"), Err(CodecError::InvalidUrl));
    assert_eq!(target("BREW", "/"), Err(CodecError::Malformed));
    assert_eq!(target("get", "/"), Err(CodecError::Malformed));
}

#[test]
fn hosts() {
    assert!(!accepted("GET / HTTP/1.1\r\n\r\n").has_host);
    assert!(accepted("GET / HTTP/1.1\r\nhost:\r\n\r\n").has_host);
    for bad in ["a/b", "a b", "a\"b", "a#b", "a?b", "a\\b", "a{b", "a|b"] {
        let text = format!("GET / HTTP/1.1\r\nhost: {bad}\r\n\r\n");
        assert_eq!(request(&text).err(), Some(CodecError::InvalidAuthority), "{bad}");
    }
    assert_eq!(accepted("GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n").headers.authority, "[::1]:80");
}

#[test]
fn connection_options() {
    let head = |fields: &str| accepted(&format!("GET / HTTP/1.1\r\nhost: h\r\n{fields}\r\n"));
    assert!(!head("connection: keep-alive, Close\r\n").keep_alive);
    assert!(!head("proxy-connection: close\r\n").keep_alive);
    assert!(head("connection: keep-alive\r\n").keep_alive);
    assert!(head("expect: 100-Continue\r\n").expect_continue);
    assert!(!head("expect: other\r\n").expect_continue);
    let upgrade = head("connection: foo, Upgrade\r\nupgrade: websocket\r\ncontent-length: 3\r\n");
    assert_eq!((upgrade.kind, upgrade.body), (RequestKind::Upgrade, BodyLength::Raw));
    assert_eq!(head("upgrade: websocket\r\n").kind, RequestKind::Ordinary);
    let h2c = head("connection: Upgrade, HTTP2-Settings, x\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n");
    assert_eq!(h2c.kind, RequestKind::Ordinary);
    assert_eq!(h2c.headers.fields.len(), 1);
    assert_eq!(h2c.headers.fields["connection"], "x");
    let connect = |fields: &str| request(&format!("CONNECT h:80 HTTP/1.1\r\nhost: h\r\n{fields}\r\n")).err();
    assert_eq!(connect("content-length: 3\r\n"), Some(CodecError::BodyDisallowed));
    assert_eq!(connect("transfer-encoding: chunked\r\n"), Some(CodecError::InvalidTransferEncoding));
}

#[test]
fn the_head_may_be_as_large_as_the_limit_and_not_larger() {
    // Envoy's limit counts every byte of the head.
    let text = |length: usize| {
        let rest = "GET / HTTP/1.1\r\nhost: h\r\nx: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "a".repeat(length - rest))
    };
    assert_eq!(text(60 * 1024).len(), 60 * 1024);
    assert!(request(&text(60 * 1024)).unwrap().is_some());
    assert_eq!(request(&text(60 * 1024 + 1)).err(), Some(CodecError::HeadersTooLarge));
    let unfinished = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(60 * 1024));
    assert_eq!(request(&unfinished).err(), Some(CodecError::HeadersTooLarge));
}

#[test]
fn host_counts_as_one_of_the_fields() {
    let text = |count: usize| format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "x: y\r\n".repeat(count));
    assert!(request(&text(99)).unwrap().is_some());
    assert_eq!(request(&text(100)).err(), Some(CodecError::TooManyHeaders));
    let limits = HeadLimits { max_count: 200, ..HeadLimits::default() };
    let read = |count| RequestReader::default().read(&mut BytesMut::from(&*text(count)), &limits, false);
    assert!(read(199).unwrap().is_some());
    assert_eq!(read(200).err(), Some(CodecError::TooManyHeaders));
    assert_eq!(read(700).err(), Some(CodecError::TooManyHeaders));
}

#[test]
fn garbage_is_refused_before_its_head_is_complete() {
    assert_eq!(request("\x16\x03\x01\x02\x00\x01").err(), Some(CodecError::Malformed));
    assert!(request("GET / HT").unwrap().is_none());
}

#[test]
fn empty_lines_before_a_request_are_skipped_and_bytes_after_it_stay() {
    let mut buffer = BytesMut::from("\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\nGET");
    let head = RequestReader::default().read(&mut buffer, &HeadLimits::default(), false).unwrap().unwrap();
    assert_eq!(head.headers.path, "/");
    assert_eq!(buffer, "GET");
}

#[test]
fn lines_end_with_cr_and_lf() {
    for bad in [
        "GET / HTTP/1.1\nhost: h\n\n",
        "GET / HTTP/1.1\r\nhost: h\nx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\n\n",
        "\nGET / HTTP/1.1\r\nhost: h\r\n\r\n",
        "\rGET / HTTP/1.1\r\nhost: h\r\n\r\n",
        "\r\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n",
    ] {
        assert_eq!(request(bad).err(), Some(CodecError::Malformed), "{bad:?}");
    }
}

#[test]
fn http10_knows_neither_upgrades_nor_expectations() {
    let text = "POST / HTTP/1.0\r\nhost: h\r\nconnection: keep-alive, upgrade\r\nupgrade: websocket\r\nexpect: 100-continue\r\n\
                content-length: 3\r\n\r\n";
    let head = RequestReader::default().read(&mut BytesMut::from(text), &HeadLimits::default(), true);
    let head = head.unwrap().unwrap();
    assert_eq!((head.kind, head.body), (RequestKind::Ordinary, BodyLength::Length(3)));
    assert!(!head.expect_continue && head.keep_alive);
    let names: Vec<_> = head.headers.fields.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["connection", "content-length"]);
    assert_eq!(head.headers.fields["connection"], "keep-alive");
}

#[test]
fn only_one_expectation_alone_is_answered() {
    let expects = |fields: &str| {
        accepted(&format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}content-length: 3\r\n\r\n")).expect_continue
    };
    assert!(expects("expect: 100-Continue\r\n"));
    assert!(!expects("expect: 100-continue\r\nexpect: 100-continue\r\n"));
    assert!(!expects("expect: 100-continue, x\r\n"));
    assert!(!expects("expect: x\r\n"));
}

#[test]
fn lengths_lose_their_zeros() {
    let head = accepted("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0005\r\n\r\n");
    assert_eq!(head.body, BodyLength::Length(5));
    assert_eq!(head.headers.fields["content-length"], "5");
}

#[test]
fn hosts_that_others_may_read_otherwise_are_refused() {
    for host in ["x@secure.test", "secure.test:99999", "secure.test:80:80", "secure.test:"] {
        let field = request(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!(field.err(), Some(CodecError::InvalidAuthority), "{host}");
        let target = request(&format!("GET http://{host}/ HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert_eq!(target.err(), Some(CodecError::InvalidAuthority), "{host}");
    }
    assert_eq!(request("GET http://a%2eb/ HTTP/1.1\r\nhost: h\r\n\r\n").err(), Some(CodecError::InvalidUrl));
    assert_eq!(request("GET http://a#b HTTP/1.1\r\nhost: h\r\n\r\n").err(), Some(CodecError::InvalidUrl));
}

#[test]
fn head_with_an_upgrade_stays_head() {
    let head = accepted("HEAD / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!((head.kind, head.body), (RequestKind::HeadUpgrade, BodyLength::Raw));
}

#[test]
fn an_upgrade_excuses_no_double_length() {
    let text = "POST / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 3\r\n\
                transfer-encoding: chunked\r\n\r\n";
    assert_eq!(request(text).err(), Some(CodecError::ContentLengthAndChunked));
}

#[test]
fn what_connection_lists_stays_one_field_when_h2c_is_taken_out() {
    let options = "x, ".repeat(500);
    let text = format!(
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: {options}upgrade\r\nupgrade: h2c\r\nconnection: y\r\n\r\n"
    );
    let head = request(&text).unwrap().unwrap();
    assert_eq!(head.headers.fields.len(), 1);
    assert_eq!(head.headers.fields["connection"], format!("{}y", "x,".repeat(500)));
}

#[test]
fn several_offers_are_an_upgrade_even_if_one_is_h2c() {
    let head = accepted(
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: h2c\r\nupgrade: websocket\r\n\r\n",
    );
    assert_eq!(head.kind, RequestKind::Upgrade);
}
