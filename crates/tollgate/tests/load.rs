//! Ten thousand requests on fifty connections through every body mode: none wrong, none lost.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

mod support;

use std::time::Instant;

use extproc_server::{
    Processor, Status, continue_with,
    messages::{
        BodyMutation, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, HttpHeaders,
        ProcessingRequest, ProcessingResponse, StreamedBodyResponse, body_mutation::Mutation,
        processing_request::Request,
    },
};
use support::{
    DEADLINE,
    gateway::{Gateway, Route, processor},
    http1::{Fields, Reader, chunk, last_chunk, sides},
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

/// Where a message is: before the upstream, or after it.
#[derive(Clone, Copy)]
enum Side {
    Request,
    Response,
}

/// What a body of an exchange is changed with, in one direction.
fn key(id: u64, side: Side) -> u8 {
    let [low, ..] = (id * 31).to_le_bytes();
    match side {
        Side::Request => low | 1,
        Side::Response => low.wrapping_mul(7) | 2,
    }
}

fn stamp(id: u64, side: Side) -> String {
    match side {
        Side::Request => format!("request {}", id * 3 + 1),
        Side::Response => format!("response {}", id * 5 + 2),
    }
}

/// Bytes that no other request has, of a length between 1 byte and 8 KiB.
fn body_of(id: u64) -> Vec<u8> {
    let mut state = id;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..=id * 997 % 8192).map(next).collect()
}

/// Changes everything it sees by the id of the request.
struct Stamp {
    id: u64,
    duplex: bool,
}

fn value(headers: &HttpHeaders, name: &str) -> String {
    let headers = headers.headers.iter().flat_map(|map| &map.headers);
    let mut values = headers.filter(|header| header.key == name);
    values.next().map(|header| String::from_utf8_lossy(&header.raw_value).into_owned()).unwrap_or_default()
}

fn add(name: &str, value: String) -> CommonResponse {
    let header = HeaderValue { key: name.into(), raw_value: value.into(), ..Default::default() };
    let set_headers = vec![HeaderValueOption { header: Some(header), ..Default::default() }];
    let header_mutation = Some(HeaderMutation { set_headers, ..Default::default() });
    CommonResponse { header_mutation, ..Default::default() }
}

impl Processor for Stamp {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        let part = request.request.as_ref().ok_or_else(|| Status::invalid_argument("empty"))?;
        let change = |body: &[u8], end_of_stream, side| {
            let changed: Vec<u8> = body.iter().map(|byte| byte ^ key(self.id, side)).collect();
            let mutation = if self.duplex {
                let body = changed.into();
                Mutation::StreamedResponse(StreamedBodyResponse { body, end_of_stream, ..Default::default() })
            } else {
                Mutation::Body(changed.into())
            };
            let body_mutation = Some(BodyMutation { mutation: Some(mutation) });
            CommonResponse { body_mutation, ..Default::default() }
        };
        let response = match part {
            Request::RequestHeaders(headers) => {
                self.id = value(headers, "x-id").parse().map_err(|_| Status::invalid_argument("no id"))?;
                self.duplex = value(headers, ":path") == "/duplex";
                add("x-request", stamp(self.id, Side::Request))
            }
            Request::ResponseHeaders(_) => add("x-response", stamp(self.id, Side::Response)),
            Request::RequestBody(body) => change(&body.body, body.end_of_stream, Side::Request),
            Request::ResponseBody(body) => change(&body.body, body.end_of_stream, Side::Response),
            Request::RequestTrailers(_) => add("x-request-trailer", stamp(self.id, Side::Request)),
            Request::ResponseTrailers(_) => add("x-response-trailer", stamp(self.id, Side::Response)),
        };
        continue_with(&request, response)
    }
}

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
    let (processor, _serving) = processor(|_| Stamp { id: 0, duplex: false }).await;
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
