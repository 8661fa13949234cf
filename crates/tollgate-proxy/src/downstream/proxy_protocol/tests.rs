use super::*;

const V2_IPV4: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x4d\xc6\x33\x64\x05\x04\x57\x01\xbb";

fn any() -> ProxyProtocol {
    ProxyProtocol::default()
}

fn named() -> Option<Named> {
    Some(Named { remote: "192.0.2.77:1111".parse().unwrap(), local: "198.51.100.5:443".parse().unwrap() })
}

#[test]
fn every_part_of_a_header_is_waited_for() {
    let v1 = &b"PROXY TCP4 192.0.2.77 198.51.100.5 1111 443\r\n"[..];
    for header in [v1, V2_IPV4] {
        for length in 0..header.len() {
            assert_eq!(begin(&header[..length], any()), Begin::Unknown, "{length}");
        }
        let followed = [header, b"GET /"].concat();
        assert_eq!(begin(&followed, any()), Begin::Header(header.len(), named()));
    }
}

#[test]
fn what_may_be_there() {
    let without = ProxyProtocol { allow_without: true, ..any() };
    assert_eq!(begin(b"GET / HTTP/1.1", without), Begin::Without);
    assert_eq!(begin(b"\x16\x03\x01", without), Begin::Without);
    assert_eq!(begin(b"", without), Begin::Unknown);
    for settings in [any(), without] {
        assert_eq!(begin(b"PROXY UNKNOWN a b\r\n", settings), Begin::Header(19, None));
    }
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    assert_eq!(begin(local, any()), Begin::Header(16, None));
}

#[test]
fn what_may_not() {
    let long = "PROXY TCP4 ".repeat(20);
    let wrong: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 192.0.2.777 198.51.100.5 1111 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1111 443\r\n",
        b"PROXY TCP4 192.0.2.77 198.51.100.5 1111\r\n",
        b"PROXY TCP4 192.0.2.77 198.51.100.5 1111 443 5\r\n",
        b"PROXY TCP4 192.0.2.77 198.51.100.5 70000 443\r\n",
        long.as_bytes(),
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x00",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x04\xc0\x00\x02\x4d",
    ];
    for bytes in wrong {
        assert!(matches!(begin(bytes, any()), Begin::Wrong(_)), "{}", String::from_utf8_lossy(bytes));
    }
    let (no_v1, no_v2) =
        (ProxyProtocol { disallow_v1: true, ..any() }, ProxyProtocol { disallow_v2: true, ..any() });
    assert!(matches!(begin(b"PROXY UNKNOWN\r\n", no_v1), Begin::Wrong(_)));
    assert!(matches!(begin(V2_IPV4, no_v2), Begin::Wrong(_)));
    assert_eq!(begin(V2_IPV4, no_v1), Begin::Header(V2_IPV4.len(), named()));
}

#[tokio::test]
async fn what_follows_stays() {
    let mut first = ReadBuffer::default();
    let mut socket = tokio_test_reader(b"PROXY TCP4 192.0.2.77 198.51.100.5 1111 443\r\nGET /");
    let found = read(&mut socket, &mut first, any()).await.unwrap();
    assert_eq!((found, &first.bytes[..]), (named(), &b"GET /"[..]));
    let mut first = ReadBuffer::default();
    let ended = read(&mut tokio_test_reader(b"PROXY TCP4 "), &mut first, any()).await;
    assert!(matches!(ended, Err(ProxyProtocolError::Io(_))));
}

fn tokio_test_reader(bytes: &'static [u8]) -> &'static [u8] {
    bytes
}
