//! `tollgate record`, and `tollgate try --replay`.

use tollgate_testing as support;

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path};

use extproc_server::{Body, Next, Request, Response, Result, Server};
use http::HeaderValue;
use support::{
    gateway::{Gateway, Route},
    http1::sides,
    process::Running,
    scratch, texts, tollgate,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const DUPLEX: &str = "processing_mode: {request_body_mode: FULL_DUPLEX_STREAMED, request_trailer_mode: SEND, \
                      response_body_mode: BUFFERED}";

/// A build of a processor: it sets its number, and changes bodies.
async fn build(number: &'static str, change: fn(Body) -> Body) -> SocketAddr {
    let handler = move |mut request: Request, next: Next| async move {
        request.headers_mut().insert("x-build", HeaderValue::from_static(number));
        let response = next.run(request.map(change)).await?;
        Result::<Response>::Ok(response.map(change))
    };
    let server = Server::new(handler).bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_address().to_string().parse().expect("a TCP address");
    tokio::spawn(server.serve(std::future::pending()));
    address
}

fn pieces(body: Body) -> Body {
    body.map_chunks(|piece| piece.to_ascii_uppercase().into())
}

fn whole(body: Body) -> Body {
    body.map_text(|text| text.to_uppercase())
}

fn reversed(body: Body) -> Body {
    body.map_text(|text| text.chars().rev().collect())
}

/// Requests until `recording` has enough of them.
async fn requests_until_it_ends(gateway: &str, recording: Running) -> (Option<i32>, String) {
    let ended = tokio::task::spawn_blocking(|| recording.wait());
    while !ended.is_finished() {
        let (mut reader, mut writer) = sides(TcpStream::connect(gateway).await.expect("a connection"));
        let body = "a body of some length. ".repeat(4000);
        let head = format!("POST /a HTTP/1.1\r\nhost: app\r\ncontent-length: {}\r\n\r\n", body.len());
        writer.write_all((head + &body).as_bytes()).await.expect("a request");
        let head = reader.head().await.expect("a response").expect("a response");
        assert_eq!((head.status(), head.values("x-build")), (200, vec!["1"]));
        assert!(reader.body().await.expect("a body") == body.to_uppercase().into_bytes());
    }
    let (status, output) = ended.await.expect("it does not panic");
    (status.code(), output)
}

async fn replayed(processor: SocketAddr, file: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = tollgate();
    command.args(["try", &processor.to_string(), "--replay"]).arg(file).args(more);
    let output =
        tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs");
    let (out, errors) = texts(&output);
    (output.status.code(), out + &errors)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_is_played_to_other_builds() {
    let first = build("1", pieces).await;
    let route = Route { path: "/a", processor: first, overrides: DUPLEX.to_owned() };
    let gateway = Gateway::start("record", "30s", &[route]).await;
    let file = scratch("recorded").join("exchanges.jsonl");
    let mut command = tollgate();
    command
        .args(["record", "--admin-address", &gateway.admin, "--seconds", "60", "--exchanges", "3"])
        .arg(&file);
    let (status, output) = requests_until_it_ends(&gateway.address, Running::spawn(&mut command)).await;
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains("3 exchanges in "), "{output}");
    assert_eq!(fs::metadata(&file).expect("it is written").permissions().mode() & 0o777, 0o600);

    // The same, and one that gives bodies back in other pieces.
    for processor in [first, build("1", whole).await] {
        let (status, output) = replayed(processor, &file, &[]).await;
        assert_eq!((status, output.as_str()), (Some(0), "3 exchanges, 0 with other answers\n"));
    }
    let (status, output) = replayed(build("2", pieces).await, &file, &[]).await;
    assert_eq!(status, Some(1), "{output}");
    for line in
        ["\n- request_headers set x-build: 1", "\n+ request_headers set x-build: 2", "\n  response_headers"]
    {
        assert!(output.contains(line), "{line}: {output}");
    }
    assert!(output.contains("3 exchanges, 3 with other answers"), "{output}");
    let (status, output) = replayed(build("1", reversed).await, &file, &["-o", "json"]).await;
    assert_eq!(status, Some(1), "{output}");
    let report: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(report["differences"].as_array().map(Vec::len), Some(3), "{output}");

    let nobody = "127.0.0.1:1".parse().expect("an address");
    let (status, output) = replayed(nobody, &file, &[]).await;
    assert_eq!(status, Some(2), "{output}");
    let (status, output) = replayed(first, Path::new("/nowhere"), &[]).await;
    assert_eq!(status, Some(2), "{output}");
    assert!(output.contains("/nowhere"), "{output}");
}

#[test]
fn a_gateway_that_cannot_be_asked_is_named() {
    let file = scratch("record_nobody").join("exchanges.jsonl");
    let output =
        tollgate().args(["record", "--admin-address", "127.0.0.1:1"]).arg(file).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.contains("admin server at 127.0.0.1:1"), "{output:?}");
}
