//! A processor at an address, whatever it is written in.

use std::{
    convert::Infallible,
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use extproc::messages::{ProcessingRequest, ProcessingResponse};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::mpsc,
};

use crate::{
    Code, ListenAddress, Status,
    service::{Exchanger, Inbound, PROCESS, framed_whole},
};

/// Messages that may wait to be sent.
const QUEUE: usize = 64;
/// Largest message of a processor.
const MAX_MESSAGE_SIZE: usize = 64 << 20;

/// Bytes that a processor may send on a stream before they are taken: little enough to notice a gateway that reads slowly.
const STREAM_WINDOW: u32 = 64 << 10;
/// As [`STREAM_WINDOW`], for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A connection to a processor, whatever that is written in. Clones are the same connection.
#[derive(Clone)]
pub struct Connection(http2::SendRequest<Messages>);

impl Connection {
    /// Connects without TLS.
    ///
    /// # Errors
    ///
    /// If nobody listens there, or does not speak HTTP/2.
    pub async fn to(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Self::over(stream).await
            }
            ListenAddress::Unix(unix) => Self::over(UnixStream::connect(&unix.path).await?).await,
        }
    }

    /// Speaks HTTP/2 over a stream that is connected: one with TLS, for example.
    ///
    /// # Errors
    ///
    /// If the peer does not speak HTTP/2.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> io::Result<Self> {
        let connected = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = connected.map_err(io::Error::other)?;
        // Its errors are those of its streams.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Opens an exchange, to send messages by hand.
    #[must_use]
    pub fn open(&self) -> RemoteExchange {
        RemoteExchange(self.exchange())
    }

    /// Opens an exchange.
    pub(super) fn exchange(&self) -> Call {
        let (messages, receiver) = mpsc::channel(QUEUE);
        let request = Request::post(format!("http://processor{PROCESS}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Messages(receiver))
            .expect("a request of constant parts");
        let mut sender = self.0.clone();
        let response = Box::pin(async move {
            sender.ready().await?;
            sender.send_request(request).await
        });
        Call { messages: Some(messages), state: State::Opening(response) }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connection")
    }
}

/// An exchange with a processor, message by message. Dropping it resets the stream.
pub struct RemoteExchange(Call);

impl fmt::Debug for RemoteExchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RemoteExchange")
    }
}

impl RemoteExchange {
    /// Sends a message. Waits as long as too many have not been taken. Nothing happens if the stream has ended.
    pub async fn send(&mut self, message: &ProcessingRequest) {
        if let Some(messages) = &self.0.messages {
            let _ = messages.send(framed_whole(message)).await;
        }
    }

    /// Says that no message follows.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// The next message of the processor; `None` when it has ended the stream with OK.
    ///
    /// # Errors
    ///
    /// The status that it has ended the stream with.
    pub async fn next(&mut self) -> Option<Result<ProcessingResponse, Status>> {
        poll_fn(|context| self.0.poll_reply(context)).await
    }
}

/// Messages on their way to the processor.
pub(super) struct Messages(mpsc::Receiver<Bytes>);

impl Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|message| message.map(|message| Ok(Frame::data(message))))
    }
}

type Opening = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

/// One exchange.
pub(super) struct Call {
    messages: Option<mpsc::Sender<Bytes>>,
    state: State,
}

enum State {
    Opening(Opening),
    Open(Box<Open>),
    Ended,
}

struct Open {
    inbound: Inbound,
    /// The head of the answer, which has the status if there is nothing else.
    head: HeaderMap,
}

impl Exchanger for Call {
    fn wants_input(&self) -> bool {
        let ended = matches!(self.state, State::Ended);
        !ended && self.messages.as_ref().is_some_and(|messages| messages.capacity() > 0)
    }

    fn receive(&mut self, message: ProcessingRequest) -> Result<(), Status> {
        if let Some(messages) = &self.messages {
            // Full it is not, and what is closed says so by its status.
            let _ = messages.try_send(framed_whole(&message));
        }
        Ok(())
    }

    fn close(&mut self) {
        self.messages = None;
    }

    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<ProcessingResponse, Status>>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Opening(response) => match ready!(response.as_mut().poll(context)) {
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        if !head.status.is_success() {
                            let text = format!("HTTP status {}", head.status);
                            return self.end(Some(Status::new(Code::Unknown, text)));
                        }
                        let inbound = Inbound::new(body, MAX_MESSAGE_SIZE);
                        self.state = State::Open(Box::new(Open { inbound, head: head.headers }));
                    }
                    Err(error) => {
                        return self.end(Some(Status::new(Code::Unavailable, error.to_string())));
                    }
                },
                State::Open(open) => {
                    let Open { inbound, head } = &mut **open;
                    match inbound.next() {
                        Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                        Ok(None) => {}
                        Err(status) => return self.end(Some(status)),
                    }
                    match ready!(inbound.poll_arrived(context)) {
                        Ok(Some(())) => {}
                        Ok(None) => {
                            let trailers = inbound.trailers.take();
                            let status = status(trailers.as_ref().unwrap_or(head));
                            return self.end(status);
                        }
                        Err(status) => return self.end(Some(status)),
                    }
                }
            }
        }
    }

    fn buffered(&self) -> usize {
        0
    }
}

impl Call {
    fn end(&mut self, status: Option<Status>) -> Poll<Option<Result<ProcessingResponse, Status>>> {
        self.state = State::Ended;
        self.messages = None;
        Poll::Ready(status.map(Err))
    }
}

/// What the end of a stream says; nothing if it is OK.
fn status(fields: &HeaderMap) -> Option<Status> {
    let text = |name| fields.get(name).and_then(|value| value.to_str().ok());
    let Some(number) = text("grpc-status") else {
        return Some(Status::new(Code::Unknown, "the stream ended without a grpc-status"));
    };
    let code = Code::from_number(number.parse().unwrap_or(-1));
    (number != "0").then(|| Status::new(code, text("grpc-message").unwrap_or_default()))
}
