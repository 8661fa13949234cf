//! The upstream behind the gateways, and the client before them.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    cases::Case,
    support::{
        DEADLINE,
        http1::{Head, sides},
    },
};

/// Fields that gateways set themselves, each in its way.
const OF_GATEWAYS: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "host",
    "server",
    "transfer-encoding",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-upstream-service-time",
    "x-forwarded-proto",
    "x-request-id",
];

/// A response, without what differs between gateways.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// Fields and body.
    pub(crate) text: String,
}

/// What processors can see and change.
fn fields(head: &Head) -> BTreeMap<&str, &str> {
    let fields = head.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    fields.filter(|(name, _)| !OF_GATEWAYS.contains(name)).collect()
}

/// Serves an upstream until the test ends: JSON, events, or what it got.
pub(crate) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(answer(stream));
        }
    });
    address
}

async fn answer(stream: TcpStream) {
    let (mut reader, mut writer) = sides(stream);
    // A gateway that closes its connection ends this one.
    while let Ok(Some(head)) = reader.head().await {
        let Ok(body) = reader.body().await else { return };
        let path = head.line.split(' ').nth(1).unwrap_or_default();
        let (kind, body) = match path {
            "/json" => ("application/json", r#"{"users":[{"name":"ann","password":"p"}]}"#.to_owned()),
            "/events" => ("text/event-stream", "id: 1\ndata: a secret\n\ndata: b\n\n".to_owned()),
            _ => {
                let body = String::from_utf8_lossy(&body);
                ("text/plain", json!({ "fields": fields(&head), "body": body }).to_string())
            }
        };
        let length = body.len();
        let response =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}");
        if writer.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Sends the request of a case.
pub(crate) async fn request(gateway: SocketAddr, case: &Case) -> Seen {
    let method = if case.body.is_empty() { "GET" } else { "POST" };
    let mut text = format!("{method} {} HTTP/1.1\r\nhost: example.com\r\n", case.path);
    for (name, value) in case.headers.iter().chain(&[("user-agent", "test")]) {
        text += &format!("{name}: {value}\r\n");
    }
    if !case.body.is_empty() {
        text += &format!("content-length: {}\r\n", case.body.len());
    }
    text += &format!("\r\n{}", case.body);
    let exchange = async {
        let (mut reader, mut writer) = sides(TcpStream::connect(gateway).await?);
        writer.write_all(text.as_bytes()).await?;
        let head = reader.head().await?.ok_or_else(|| std::io::Error::other("no response"))?;
        let body = reader.body().await?;
        let fields = fields(&head).into_iter().map(|(name, value)| format!("{name}: {value}\n"));
        let text = fields.collect::<String>() + &String::from_utf8_lossy(&body);
        std::io::Result::Ok(Seen { status: head.status(), text })
    };
    let seen = timeout(DEADLINE, exchange).await.unwrap_or_else(|_| panic!("{}: no response", case.name));
    seen.unwrap_or_else(|error| panic!("{}: {error}", case.name))
}
