//! Ten thousand requests on fifty connections through every body mode: none wrong, none lost.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

use tollgate_testing as support;

use std::time::Instant;

use support::{
    DEADLINE,
    gateway::{Gateway, Route, processor},
    http1::{Fields, Reader, chunk, last_chunk, sides},
    stamp::{Side, Stamp, body_of, key, stamp},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, tcp::OwnedWriteHalf},
    task::JoinSet,
    time::timeout,
};

const CONNECTIONS: u64 = 50;
const REQUESTS_PER_CONNECTION: u64 = 200;
const PATHS: [&str; 4] = ["/headers", "/buffered", "/streamed", "/duplex"];

/// One request; panics unless its response is right to the last byte.
async fn exchange(id: u64, path: &str, reader: &mut Reader, writer: &mut OwnedWriteHalf) {
    let body = body_of(id);
    let chunked = id / 4 % 2 == 1;
    let trailers = chunked && path == "/duplex";
    let mut out = format!("POST {path} HTTP/1.1\r\nhost: app\r\nx-id: {id}\r\n").into_bytes();
    if chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        body.chunks(1500).for_each(|piece| chunk(&mut out, piece));
        let sent: Fields = if trailers { vec![("x-trailer".into(), id.to_string())] } else { Vec::new() };
        last_chunk(&mut out, &sent);
    } else {
        out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(&body);
    }
    writer.write_all(&out).await.expect("a request");

    let head = reader.head().await.expect("a head").unwrap_or_else(|| panic!("{path} {id}: no response"));
    let got = reader.body().await.unwrap_or_else(|error| panic!("{path} {id}: {error}: {head:?}"));
    assert_eq!(head.status(), 200, "{path} {id}: {head:?}");
    assert_eq!(head.values("x-id"), [id.to_string()], "{path}");
    assert_eq!(head.values("x-request"), [stamp(id, Side::Request)], "{path} {id}");
    assert_eq!(head.values("x-response"), [stamp(id, Side::Response)], "{path} {id}");
    let change = if path == "/headers" { 0 } else { key(id, Side::Request) ^ key(id, Side::Response) };
    let expected: Vec<u8> = body.iter().map(|byte| byte ^ change).collect();
    assert!(got == expected, "{path} {id}: {} bytes came back wrong as {}", expected.len(), got.len());
    let mut came = reader.trailers.clone();
    came.sort();
    let expected = if trailers {
        vec![
            ("x-request-trailer".into(), stamp(id, Side::Request)),
            ("x-response-trailer".into(), stamp(id, Side::Response)),
            ("x-trailer".into(), id.to_string()),
        ]
    } else {
        Vec::new()
    };
    assert_eq!(came, expected, "{path} {id}");
}

fn modes(body: &str, trailers: &str) -> String {
    format!(
        "processing_mode: {{request_header_mode: SEND, response_header_mode: SEND, request_body_mode: {body}, \
         response_body_mode: {body}, request_trailer_mode: {trailers}, response_trailer_mode: {trailers}}}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_and_no_response_is_wrong() {
    let (processor, _serving) = processor(|_| Stamp::default()).await;
    let modes = [
        modes("NONE", "SKIP"),
        modes("BUFFERED", "SKIP"),
        modes("STREAMED", "SKIP"),
        modes("FULL_DUPLEX_STREAMED", "SEND"),
    ];
    let routes: Vec<_> =
        PATHS.into_iter().zip(modes).map(|(path, overrides)| Route { path, processor, overrides }).collect();
    let gateway = Gateway::start("load", "60s", &routes).await;

    let began = Instant::now();
    let mut connections = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let address = gateway.address.clone();
        connections.spawn(async move {
            let (mut reader, mut writer) = sides(TcpStream::connect(address).await.expect("a connection"));
            let mut answered = 0;
            // Modes follow each other on a connection: what one leaves behind, the next would find.
            for (number, path) in (0..REQUESTS_PER_CONNECTION).zip(PATHS.into_iter().cycle()) {
                let id = connection * REQUESTS_PER_CONNECTION + number;
                let exchange = exchange(id, path, &mut reader, &mut writer);
                timeout(DEADLINE, exchange).await.unwrap_or_else(|_| panic!("{path} {id} is not answered"));
                answered += 1;
            }
            answered
        });
    }
    let mut answered = 0;
    while let Some(connection) = connections.join_next().await {
        answered += connection.expect("a connection all of whose responses are right");
    }
    assert_eq!(answered, CONNECTIONS * REQUESTS_PER_CONNECTION);
    println!("{answered} requests in {:?}", Instant::now().saturating_duration_since(began));
}
