//! The processor: answers as fast as it can, so that the gateway and not the processor is measured.

mod message;

use std::{cell::Cell, collections::HashMap, rc::Rc, sync::Arc, task::Context};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    task::spawn_local,
};
use tokio_rustls::TlsAcceptor;

use self::message::{Part, Reply, Request};
use crate::{
    Result,
    drive::{Peer, drive},
    http2::{Connection, Event},
};

/// Streams at a time on a connection.
const MAX_STREAMS: u32 = 1000;
/// `:status: 200`, `content-type: application/grpc`.
const HEADERS_BLOCK: &[u8] = b"\x88\x0f\x10\x10application/grpc";
/// `grpc-status: 0`.
const TRAILERS_BLOCK: &[u8] = b"\x00\x0bgrpc-status\x010";
const PREFIX: usize = 5;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// Two headers are set on requests; everything else goes on as it is.
    Continue,
    /// The same, and bodies come back in the manner of FULL_DUPLEX_STREAMED.
    Echo,
    /// Request headers are answered with a response.
    Immediate,
}

/// What it received, over all processors of a case.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) messages: Cell<u64>,
    pub(crate) body_bytes: Cell<u64>,
}

/// Where it listens.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<rustls::ServerConfig>),
    Unix(UnixListener),
}

/// Serves until the task is aborted. The connections are tasks of their own.
pub(crate) async fn serve(listener: Listener, behavior: Behavior, received: Rc<Received>) -> Result<()> {
    loop {
        let received = received.clone();
        match &listener {
            Listener::Tcp(listener) => {
                let socket = listener.accept().await?.0;
                socket.set_nodelay(true)?;
                spawn_local(serve_connection(socket, behavior, received));
            }
            Listener::Tls(listener, config) => {
                let socket = listener.accept().await?.0;
                socket.set_nodelay(true)?;
                let acceptor = TlsAcceptor::from(config.clone());
                spawn_local(async move {
                    match acceptor.accept(socket).await {
                        Ok(socket) => serve_connection(socket, behavior, received).await,
                        Err(error) => crate::warn(&format!("processor: {error}")),
                    }
                });
            }
            Listener::Unix(listener) => {
                spawn_local(serve_connection(listener.accept().await?.0, behavior, received));
            }
        }
    }
}

async fn serve_connection<S>(socket: S, behavior: Behavior, received: Rc<Received>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut processor = Processor {
        connection: Connection::server(MAX_STREAMS),
        behavior,
        streams: HashMap::new(),
        received,
        scratch: Vec::new(),
    };
    // A gateway that is killed at the end of a round resets its connections: no failure.
    if let Err(error) = drive(socket, &mut processor).await
        && !error.is::<std::io::Error>()
    {
        crate::warn(&format!("processor: {error}"));
    }
}

struct Processor {
    connection: Connection,
    behavior: Behavior,
    streams: HashMap<u32, Stream>,
    received: Rc<Received>,
    scratch: Vec<u8>,
}

#[derive(Default)]
struct Stream {
    answered: bool,
    ended: bool,
    /// The beginning of a message whose end has not arrived.
    partial: Vec<u8>,
}

impl Peer for Processor {
    fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn event(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Headers { stream, end, .. } => {
                self.streams.insert(stream, Stream::default());
                if end {
                    self.end(stream);
                }
            }
            Event::Data { stream, data, end } => {
                self.data(stream, data)?;
                if end {
                    self.end(stream);
                }
            }
            Event::Reset { stream } => {
                self.streams.remove(&stream);
            }
            Event::Goaway => {}
        }
        Ok(())
    }

    fn poll(&mut self, _cx: &mut Context<'_>) {}
}

impl Processor {
    fn data(&mut self, id: u32, mut data: &[u8]) -> Result<()> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let mut partial = std::mem::take(&mut stream.partial);
        while !data.is_empty() {
            if partial.is_empty()
                && let Some((message, rest)) = split_message(data)
            {
                self.message(id, message)?;
                data = rest;
                continue;
            }
            let wanted = match message_length(&partial) {
                Some(length) => PREFIX + length,
                None => PREFIX,
            };
            let taken = data.len().min(wanted - partial.len());
            partial.reserve(wanted - partial.len());
            partial.extend_from_slice(&data[..taken]);
            data = &data[taken..];
            if message_length(&partial).is_some_and(|length| partial.len() == PREFIX + length) {
                self.message(id, &partial[PREFIX..])?;
                partial.clear();
            }
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.partial = partial;
        }
        Ok(())
    }

    fn message(&mut self, id: u32, message: &[u8]) -> Result<()> {
        let request = Request::parse(message)?;
        self.received.messages.set(self.received.messages.get() + 1);
        if let Part::Body(_, body) = request.part {
            self.received.body_bytes.set(self.received.body_bytes.get() + body.len() as u64);
        }
        if request.observability {
            // Nothing is awaited from us, and with the response headers we have seen all.
            if matches!(request.part, Part::Headers(direction) if direction.is_response()) {
                self.answer(id);
                self.finish(id);
            }
            return Ok(());
        }
        self.answer(id);
        let reply = Reply::to(&request, self.behavior);
        self.scratch.clear();
        reply.head(&mut self.scratch);
        self.connection.send_data(id, [&self.scratch, reply.body()]);
        Ok(())
    }

    fn answer(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.answered
        {
            stream.answered = true;
            self.connection.send_headers(id, HEADERS_BLOCK, false);
        }
    }

    fn finish(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.ended
        {
            stream.ended = true;
            self.connection.end_with_trailers(id, TRAILERS_BLOCK);
        }
    }

    fn end(&mut self, id: u32) {
        self.answer(id);
        self.finish(id);
        self.streams.remove(&id);
        self.connection.forget_when_sent(id);
    }
}

fn message_length(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk::<PREFIX>().map(|p| u32::from_be_bytes([p[1], p[2], p[3], p[4]]) as usize)
}

fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = message_length(bytes)?;
    bytes[PREFIX..].split_at_checked(length)
}
