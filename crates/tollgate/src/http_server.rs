//! A small HTTP/1.1 server for what is not the data plane: the admin server and the echo upstream.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};

/// Most connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// Time for the headers of a request, and for an idle connection.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// After a failed accept: the process may be out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers every request by `answer`, which is told the address of the client. Ends when it is dropped; connections
/// then end with their runtime.
pub(crate) async fn serve<A>(listener: TcpListener, answer: A) -> Infallible
where
    A: Fn(&Request<Incoming>, SocketAddr) -> Response<String> + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed, so always given.
        let permit = Arc::clone(&permits).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    serve_connection(stream, |request| answer(request, peer)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, answer: impl Fn(&Request<Incoming>) -> Response<String>) {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(&request)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = pin!(connection).await {
        tracing::debug!(%error, "connection failed");
    }
}
