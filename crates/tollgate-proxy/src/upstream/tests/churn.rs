//! Many requests that come, go and break at once: nothing is lost, nobody waits for ever.

use std::{cell::Cell, rc::Rc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::spawn_local,
};
use tollgate_model::http_connection_manager::Http2Options;

use super::*;

/// Answers, closes without an answer, or answers and closes, at random.
async fn serve_http1(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {
        match fastrand::u8(..10) {
            0 => return,
            1 => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                return;
            }
            2 => tokio::time::sleep(Duration::from_millis(2)).await,
            _ => {}
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await.is_err() {
            return;
        }
    }
}

/// Answers, resets, answers late, or ends the connection, at random.
async fn serve_http2(stream: TcpStream) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(3);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    while let Some(Ok((_request, mut respond))) = connection.accept().await {
        match fastrand::u8(..20) {
            0 => return,
            1 => connection.graceful_shutdown(),
            2 => respond.send_reset(h2::Reason::INTERNAL_ERROR),
            roll => {
                spawn_local(async move {
                    if roll < 6 {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    if let Ok(mut body) = respond.send_response(http::Response::new(()), false) {
                        let _ = body.send_data(Bytes::from_static(b"abc"), true);
                    }
                });
            }
        }
    }
}

async fn churn<F: Future<Output = ()> + 'static>(
    protocol: UpstreamProtocol,
    serve: impl Fn(TcpStream) -> F + 'static,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = cluster(vec![EndpointAddress::Socket(listener.local_addr().unwrap())]);
    settings.protocol = protocol;
    settings.circuit_breakers.max_connections = 4;
    spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            spawn_local(serve(stream));
        }
    });
    let worker = Rc::new(Worker::new(settings));
    let served = Rc::new(Cell::new(0));
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let (worker, served) = (worker.clone(), served.clone());
            spawn_local(async move {
                for _ in 0..10 {
                    // Some give up, in every state a request can be in.
                    let patience = Duration::from_micros(fastrand::u64(..20_000));
                    let limit = if fastrand::u8(..10) == 0 { patience } else { Duration::from_secs(10) };
                    match timeout(limit, worker.get()).await {
                        Ok(Ok(response)) => {
                            assert_eq!(response.head.status, 200);
                            served.set(served.get() + 1);
                        }
                        Ok(Err(UpstreamFailure::Overflow | UpstreamFailure::NoHealthyUpstream)) => panic!(),
                        Ok(Err(_)) => {}
                        Err(_) => assert!(limit < Duration::from_secs(10), "a request hangs"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(served.get() > 1000, "{}", served.get());
    let cluster = worker.cluster();
    let counts = &cluster.shared().counts;
    assert_eq!((counts.pending_requests.count(), counts.requests.count()), (0, 0));
    assert!(counts.connections.count() <= 4);
    drop(worker);
    let shared = cluster.shared().clone();
    drop(cluster);
    eventually(|| shared.counts.connections.count() == 0).await;
}

#[test]
fn http1() {
    run(churn(UpstreamProtocol::Http1 { enable_trailers: false }, serve_http1));
}

#[test]
fn http2() {
    run(churn(UpstreamProtocol::Http2(Http2Options::default()), serve_http2));
}
