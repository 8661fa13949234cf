//! `Server::into_service`, mounted in the servers of others.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use extproc_server::{
    ListenAddress, Next, ProcessorService, Request, Response, Result, Server, test::TestGateway,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Where gateways ask processors.
const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

async fn redact(request: Request, next: Next) -> Result<Response> {
    Ok(next.run(request).await?.map(|body| body.map_text(|text| text.replace("secret", "***"))))
}

fn service() -> ProcessorService {
    Server::new(redact).into_service()
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// Everything goes as with a server of its own.
async fn plays(address: SocketAddr) {
    let address: ListenAddress = address.to_string().parse().expect("an address");
    let gateway = TestGateway::at(&address).await.expect("somebody listens");
    let played = gateway.every_mode().post("/a", "body").upstream("a secret").report().await;
    assert_eq!(played.len(), 4 * 3 * 2);
    for played in played {
        assert!(played.problems().is_empty(), "{played}");
        assert_eq!(played.client().text(), "a ***", "{played}");
    }
}

#[tokio::test]
async fn hyper_serves_it() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service()));
        }
    });
    plays(address).await;
}

#[tokio::test]
async fn axum_serves_it_beside_other_routes() {
    let (listener, address) = listener().await;
    let router = Router::new().route("/hello", get(|| async { "hello" })).route_service(PROCESS, service());
    tokio::spawn(async move { axum::serve(listener, router).await });
    plays(address).await;

    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = b"GET /hello HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("an answer");
    assert!(response.ends_with("hello"), "{response}");
}

#[tokio::test]
async fn tonic_serves_it() {
    let (listener, address) = listener().await;
    let routes = tonic::service::Routes::from(Router::new().route_service(PROCESS, service()));
    tokio::spawn(async move {
        let accepted = futures_util::stream::unfold(listener, async |listener| {
            let accepted = listener.accept().await.map(|(stream, _)| stream);
            Some((accepted, listener))
        });
        tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(accepted).await
    });
    plays(address).await;
}
