//! Exchanges over real sockets, with a processor that speaks HTTP/2 through the library.

use std::{cell::Cell, net::SocketAddr, rc::Rc};

use bytes::Bytes;
use extproc_client::{
    ClientSettings, Close, ConnectError, Connecting, Connector, Endpoint, EndpointSettings, Io,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinSet, spawn_local},
};

use crate::support::*;

struct Tcp(SocketAddr);

impl Connector for Tcp {
    fn connect(&self) -> Connecting {
        let address = self.0;
        Box::pin(async move {
            let stream =
                TcpStream::connect(address).await.map_err(|error| ConnectError::tcp(&error, address))?;
            stream.set_nodelay(true).map_err(|error| ConnectError::tcp(&error, address))?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

fn client_to(address: SocketAddr) -> extproc_client::Client {
    let endpoint = Endpoint::new(Rc::new(Tcp(address)), EndpointSettings::default());
    client_of(vec![endpoint], ClientSettings::default())
}

/// Answers each chunk with itself until the end of input, then with OK. Counts connections and clean ends.
async fn echo(listener: TcpListener, connections: Rc<Cell<usize>>, ends: Rc<Cell<usize>>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        connections.set(connections.get() + 1);
        let ends = ends.clone();
        spawn_local(async move {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let ends = ends.clone();
                spawn_local(async move {
                    let mut body = request.into_body();
                    let mut send = respond.send_response(http::Response::new(()), false).unwrap();
                    while let Some(chunk) = body.data().await {
                        let Ok(chunk) = chunk else { return };
                        body.flow_control().release_capacity(chunk.len()).unwrap();
                        // The frame that ends the input is empty. Others end nothing, and nobody takes many of them.
                        if !chunk.is_empty() && send.send_data(chunk, false).is_err() {
                            return;
                        }
                    }
                    ends.set(ends.get() + 1);
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", "0".parse().unwrap());
                    let _ = send.send_trailers(trailers);
                });
            }
        });
    }
}

/// Many exchanges at a time, each with messages of many sizes both ways at once.
#[tokio::test(flavor = "local")]
async fn many_exchanges_at_a_time() {
    const CALLS: usize = 200;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_to(listener.local_addr().unwrap());
    let (connections, ends) = (Rc::<Cell<usize>>::default(), Rc::<Cell<usize>>::default());
    spawn_local(echo(listener, connections.clone(), ends.clone()));
    let mut exchanges = JoinSet::new();
    for number in 0..CALLS {
        let client = client.clone();
        exchanges.spawn_local(async move {
            let mut call = client.open(request()).unwrap();
            let sizes = [1, 100, 20_000, 100_000, 0, 70_000, number];
            let messages: Vec<Bytes> = sizes.iter().map(|size| framed(&vec![number as u8; *size])).collect();
            for piece in &messages {
                call.send_parts(piece.slice(..5), piece.slice(5..).into());
            }
            for size in sizes {
                let reply = message(&mut call).await;
                assert_eq!(reply.len(), size);
                assert!(reply.iter().all(|byte| *byte == number as u8));
            }
            call.close(Close::Graceful(std::time::Duration::from_secs(5)));
        });
    }
    while let Some(result) = within(exchanges.join_next()).await {
        result.unwrap();
    }
    within(async {
        while ends.get() < CALLS {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // h2 servers take 200 streams at a time by default, or as many as there are.
    assert!(connections.get() <= 2, "{}", connections.get());
}

/// F-8: what the system says about a port where nobody listens.
#[tokio::test(flavor = "local")]
async fn a_port_where_nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_to(listener.local_addr().unwrap());
    drop(listener);
    let mut call = client.open(request()).unwrap();
    assert_eq!(
        closed(&mut call).await.unwrap_err().rcd(),
        "ext_proc_error_gRPC_error_14{upstream_connect_error_or_disconnect/reset_before_headers._reset_reason:\
         _remote_connection_failure{upstream_reset_before_response_started{remote_connection_failure|\
         delayed_connect_error:_Connection_refused}}}"
    );
}

/// A processor killed in the middle of an exchange.
#[tokio::test(flavor = "local")]
async fn a_connection_that_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_to(listener.local_addr().unwrap());
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"hello"));
    let (socket, _) = tokio::select! {
        event = event(&mut call) => panic!("{event:?}"),
        accepted = listener.accept() => accepted.unwrap(),
    };
    socket.set_zero_linger().unwrap();
    let mut peer = Peer::greet(Box::new(socket), &[]).await;
    tokio::select! {
        event = event(&mut call) => panic!("{event:?}"),
        _ = peer.expect(HEADERS) => {}
    }
    peer.head(1).reply(1, b"one").flush().await;
    assert_eq!(message(&mut call).await, "one");
    drop(peer);
    let status = closed(&mut call).await.unwrap_err();
    assert_eq!(
        status.rcd(),
        "ext_proc_error_gRPC_error_13{upstream_reset_after_response_started{connection_termination}}"
    );
}
