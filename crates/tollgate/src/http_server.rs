//! A small HTTP/1.1 server for what is not the data plane: the admin server and the echo upstream.

use std::{
    convert::Infallible,
    future::{pending, ready},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Most connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// How long a connection that has reached the end of its life may go on with a response.
const LAST_RESPONSE: Duration = Duration::from_secs(10);
/// After a failed accept: the process may be out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For the head of a request, and while idle.
    pub(crate) head: Duration,
    /// In all; `None` = any time.
    pub(crate) life: Option<Duration>,
}

impl Limits {
    /// For clients that behave.
    pub(crate) const DEFAULT: Self = Self { head: Duration::from_secs(60), life: None };
}

/// Answers every request by `answer`, which gets the address of the client and does not look at bodies. Ends when it is
/// dropped; connections then end with their runtime.
pub(crate) async fn serve<A>(listener: TcpListener, limits: Limits, answer: A) -> Infallible
where
    A: Fn(&Request<Incoming>, SocketAddr) -> Response<String> + Send + Sync + 'static,
{
    serve_with(listener, limits, move |request, peer| ready(answer(&request, peer))).await
}

/// As [`serve`], by an `answer` that takes its time.
pub(crate) async fn serve_with<A, R>(listener: TcpListener, limits: Limits, answer: A) -> Infallible
where
    A: Fn(Request<Incoming>, SocketAddr) -> R + Send + Sync + 'static,
    R: Future<Output = Response<String>> + Send,
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
                    serve_connection(stream, limits, |request| answer(request, peer)).await;
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

async fn serve_connection<R: Future<Output = Response<String>>>(
    stream: TcpStream,
    limits: Limits,
    answer: impl Fn(Request<Incoming>) -> R,
) {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(request).await));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let life = async {
        match limits.life {
            Some(life) => sleep(life).await,
            None => pending().await,
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = life => {
            connection.as_mut().graceful_shutdown();
            // Dropped if that is not enough.
            timeout(LAST_RESPONSE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection failed");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A client that sends slowly and one that does not read are not waited for.
    #[tokio::test]
    async fn slow_connections_are_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits { head: Duration::from_millis(100), life: Some(Duration::from_millis(300)) };
        tokio::spawn(serve(listener, limits, |_, _| Response::new("x".to_owned())));
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(Duration::from_secs(20), slow.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "it is still open");
        let mut busy = TcpStream::connect(address).await.unwrap();
        let asking = async {
            loop {
                if busy.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.is_err() {
                    return;
                }
                let mut piece = [0; 1024];
                if busy.read(&mut piece).await.unwrap_or(0) == 0 {
                    return;
                }
            }
        };
        timeout(Duration::from_secs(20), asking).await.expect("a connection has an end");
    }
}
