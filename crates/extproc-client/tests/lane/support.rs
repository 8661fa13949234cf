//! A network of pipes, and a processor that reads and writes single frames.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use extproc_client::{
    Call, Client, ClientSettings, ConnectError, Connecting, Connector, Endpoint, EndpointSettings, Endpoints,
    Event, GrpcStatus, Io, PickError,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};

/// Longest wait for anything. With paused time it passes at once when nothing else can happen.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) async fn within<F: Future>(what: F) -> F::Output {
    timeout(DEADLINE, what).await.expect("nothing happened")
}

/// Connects by making pipes whose other ends are accepted here.
pub(crate) struct Network {
    accepted: mpsc::Receiver<Box<dyn Io>>,
    pub(crate) attempts: Rc<Cell<usize>>,
    /// What the next attempts end with, instead of a pipe.
    pub(crate) failures: Rc<RefCell<Vec<ConnectError>>>,
}

struct Pipes {
    accepting: mpsc::Sender<Box<dyn Io>>,
    attempts: Rc<Cell<usize>>,
    failures: Rc<RefCell<Vec<ConnectError>>>,
    capacity: usize,
}

impl Connector for Pipes {
    fn connect(&self) -> Connecting {
        self.attempts.set(self.attempts.get() + 1);
        let failure = self.failures.borrow_mut().pop();
        let (near, far) = tokio::io::duplex(self.capacity);
        let accepting = self.accepting.clone();
        Box::pin(async move {
            if let Some(failure) = failure {
                return Err(failure);
            }
            // Without a receiver the attempt never ends, as with a host that does not answer.
            match accepting.send(Box::new(far)).await {
                Ok(()) => Ok(Box::new(near) as Box<dyn Io>),
                Err(_) => std::future::pending().await,
            }
        })
    }
}

impl Network {
    pub(crate) fn new(capacity: usize) -> (Self, Rc<dyn Connector>) {
        let (accepting, accepted) = mpsc::channel(1024);
        let attempts = Rc::<Cell<usize>>::default();
        let failures = Rc::<RefCell<Vec<ConnectError>>>::default();
        let pipes = Pipes { accepting, attempts: attempts.clone(), failures: failures.clone(), capacity };
        (Self { accepted, attempts, failures }, Rc::new(pipes))
    }

    /// The next connection, with its greeting done.
    pub(crate) async fn accept(&mut self) -> Peer {
        self.accept_with(&[]).await
    }

    /// The next connection, greeted with settings.
    pub(crate) async fn accept_with(&mut self, settings: &[(u16, u32)]) -> Peer {
        Peer::greet(self.accept_raw().await, settings).await
    }

    pub(crate) async fn accept_raw(&mut self) -> Box<dyn Io> {
        within(self.accepted.recv()).await.expect("nobody connects")
    }

    /// The next connection, whenever it comes.
    pub(crate) async fn accept_forever(&mut self) -> Box<dyn Io> {
        match self.accepted.recv().await {
            Some(io) => io,
            None => std::future::pending().await,
        }
    }

    /// Connections that nobody has accepted.
    pub(crate) fn pending(&self) -> usize {
        self.accepted.len()
    }
}

/// A processor with one endpoint, or with several that are picked in turn.
pub(crate) struct InTurn {
    endpoints: Vec<Rc<Endpoint>>,
    next: Cell<usize>,
}

impl Endpoints for InTurn {
    fn pick(&self) -> Result<Rc<Endpoint>, PickError> {
        let next = self.next.replace(self.next.get() + 1);
        match self.endpoints.len() {
            0 => Err(PickError::NoHealthyUpstream),
            length => Ok(self.endpoints[next % length].clone()),
        }
    }
}

pub(crate) fn client_of(endpoints: Vec<Rc<Endpoint>>, settings: ClientSettings) -> Client {
    Client::new(Rc::new(InTurn { endpoints, next: Cell::new(0) }), settings)
}

/// A client and the network it connects to.
pub(crate) fn client(endpoint: EndpointSettings, settings: ClientSettings) -> (Client, Network) {
    let (network, connector) = Network::new(16 * 1024 * 1024);
    (client_of(vec![Endpoint::new(connector, endpoint)], settings), network)
}

pub(crate) fn default_client() -> (Client, Network) {
    client(EndpointSettings::default(), ClientSettings::default())
}

pub(crate) fn request() -> http::Request<()> {
    http::Request::post("http://processor/envoy.service.ext_proc.v3.ExternalProcessor/Process")
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

/// A message with its prefix.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
    bytes.extend_from_slice(message);
    bytes.into()
}

/// Polls a call once and expects nothing.
pub(crate) async fn idle(call: &mut Call) {
    let event = poll_fn(|cx| Poll::Ready(call.poll(cx))).await;
    assert!(event.is_pending(), "{event:?}");
}

pub(crate) async fn event(call: &mut Call) -> Event {
    within(poll_fn(|cx| call.poll(cx))).await
}

/// The next event, a message; its window is given back.
pub(crate) async fn message(call: &mut Call) -> Bytes {
    match event(call).await {
        Event::Message(message) => {
            call.credit(message.len());
            message.into_bytes()
        }
        Event::Closed(result) => panic!("closed: {result:?}"),
    }
}

/// The next event, the end.
pub(crate) async fn closed(call: &mut Call) -> Result<(), GrpcStatus> {
    match event(call).await {
        Event::Message(message) => panic!("message: {message:?}"),
        Event::Closed(result) => {
            idle(call).await;
            result
        }
    }
}

/// Opens a call on a client with a connection, up to the processor having seen its head.
pub(crate) async fn open(client: &Client, peer: &mut Peer) -> (Call, u32) {
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"hello"));
    idle(&mut call).await;
    let head = peer.expect(HEADERS).await;
    (call, head.stream)
}

/// A client, a call of its, and the processor that has seen the call's head.
pub(crate) async fn opened() -> (Client, Network, Call, Peer) {
    let (client, mut network) = default_client();
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"hello"));
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    assert_eq!(peer.expect(HEADERS).await.stream, 1);
    (client, network, call, peer)
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn is_end(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The number in a frame that consists of one, e.g. an error code.
    pub(crate) fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }
}

pub(crate) struct Peer {
    pub(crate) io: Box<dyn Io>,
    /// Written with the next flush.
    pub(crate) out: Vec<u8>,
}

impl Peer {
    pub(crate) async fn greet(mut io: Box<dyn Io>, settings: &[(u16, u32)]) -> Self {
        let mut preface = [0; 24];
        within(io.read_exact(&mut preface)).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut peer = Self { io, out: Vec::new() };
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        peer.put(SETTINGS, 0, 0, &payload).flush().await;
        peer
    }

    /// The next frame. Settings are acknowledged.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within(self.io.read_exact(&mut head)).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        within(self.io.read_exact(&mut payload)).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        if frame.kind == SETTINGS && frame.flags == 0 {
            self.put(SETTINGS, 1, 0, &[]).try_flush().await.ok()?;
        }
        Some(frame)
    }

    /// The next frame of a kind; others are passed over.
    pub(crate) async fn expect(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection has ended");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The next frame that says something about a stream.
    pub(crate) async fn expect_stream(&mut self) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection has ended");
            if matches!(frame.kind, DATA | HEADERS | RST_STREAM) {
                return frame;
            }
        }
    }

    pub(crate) fn put(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> &mut Self {
        self.out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        self.out.extend_from_slice(&[kind, flags]);
        self.out.extend_from_slice(&stream.to_be_bytes());
        self.out.extend_from_slice(payload);
        self
    }

    /// A head or trailers, none of it compressed.
    pub(crate) fn fields(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) -> &mut Self {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                assert!(text.len() < 127);
                block.push(text.len() as u8);
                block.extend_from_slice(text.as_bytes());
            }
        }
        self.put(HEADERS, 4 | u8::from(end), stream, &block)
    }

    pub(crate) fn head(&mut self, stream: u32) -> &mut Self {
        self.fields(stream, &[(":status", "200"), ("content-type", "application/grpc")], false)
    }

    pub(crate) fn data(&mut self, stream: u32, payload: &[u8]) -> &mut Self {
        self.put(DATA, 0, stream, payload)
    }

    pub(crate) fn reply(&mut self, stream: u32, message: &[u8]) -> &mut Self {
        self.data(stream, &framed(message))
    }

    pub(crate) fn trailers(&mut self, stream: u32, code: &str) -> &mut Self {
        self.fields(stream, &[("grpc-status", code)], true)
    }

    pub(crate) fn reset(&mut self, stream: u32, code: u32) -> &mut Self {
        self.put(RST_STREAM, 0, stream, &code.to_be_bytes())
    }

    pub(crate) fn go_away(&mut self, last: u32, code: u32) -> &mut Self {
        self.put(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
    }

    pub(crate) fn window(&mut self, stream: u32, more: u32) -> &mut Self {
        self.put(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
    }

    /// Writes everything at once.
    pub(crate) async fn flush(&mut self) {
        self.try_flush().await.unwrap();
    }

    pub(crate) async fn try_flush(&mut self) -> std::io::Result<()> {
        let out = std::mem::take(&mut self.out);
        within(self.io.write_all(&out)).await
    }
}
