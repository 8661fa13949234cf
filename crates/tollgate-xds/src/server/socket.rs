//! A management server on a socket: gRPC, one stream at a time, on a thread of its own.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::{Said, Server};
use crate::{Kind, Variant};

/// What a client does not do in this time it will not do.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running management server. Dropping it closes its stream and its socket.
#[derive(Debug)]
pub struct Management {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    server: Mutex<Server>,
    said: Mutex<Vec<Said>>,
    heard: Condvar,
    /// There is something to send, or an end.
    wake: Notify,
    stopped: AtomicBool,
    /// The present stream is to end.
    cut: AtomicBool,
    /// Whether wishes are answered at once.
    answers: AtomicBool,
    streams: AtomicUsize,
    /// Of the last stream.
    authorization: Mutex<Option<String>>,
}

impl Management {
    /// Listens on a port of the kernel's choice, or on the one of an earlier server.
    ///
    /// # Errors
    /// When the system refuses the port.
    pub fn start(variant: Variant, address: Option<SocketAddr>) -> io::Result<Self> {
        let state = Arc::new(State {
            server: Mutex::new(Server::new(variant)),
            said: Mutex::default(),
            heard: Condvar::new(),
            wake: Notify::new(),
            stopped: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            answers: AtomicBool::new(true),
            streams: AtomicUsize::new(0),
            authorization: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind(address.unwrap_or_else(|| ([127, 0, 0, 1], 0).into()))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let of_thread = state.clone();
        let thread = std::thread::spawn(move || runtime.block_on(serve(listener, of_thread)));
        Ok(Self { address, state, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        lock(&self.state.server)
    }

    /// Adds a resource, or changes it. Nobody is told yet.
    pub fn put(&self, kind: Kind, name: &str, body: Bytes) {
        self.server().put(kind, name, body);
    }

    /// Removes a resource. Nobody is told yet.
    pub fn remove(&self, kind: Kind, name: &str) {
        self.server().remove(kind, name);
    }

    /// Sends the changes of a kind. Gives the nonce of the response; of the last one if everything was sent, and nothing if nobody
    /// has asked.
    pub fn push_kind(&self, kind: Kind) -> Option<String> {
        let mut server = self.server();
        let nonce = server.push_kind(kind).or_else(|| server.last_nonce(kind));
        drop(server);
        self.state.wake.notify_one();
        nonce
    }

    /// Waits for the answer to a response: why it was refused, if it was.
    ///
    /// # Errors
    /// What was said instead.
    pub fn answer(&self, kind: Kind, nonce: &str) -> Result<Option<String>, String> {
        Ok(self.wait_for(|said| said.kind == kind && said.nonce == nonce)?.refused)
    }

    /// Whether wishes are answered at once. Otherwise only what is pushed is sent.
    pub fn set_answers(&self, answers: bool) {
        self.state.answers.store(answers, SeqCst);
    }

    /// Ends the present stream.
    pub fn cut(&self) {
        self.state.cut.store(true, SeqCst);
        self.state.wake.notify_one();
    }

    /// How many streams there were.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.state.streams.load(SeqCst)
    }

    /// The header `authorization` of the last stream.
    #[must_use]
    pub fn authorization(&self) -> Option<String> {
        lock(&self.state.authorization).clone()
    }

    /// Waits until the client has said such a thing.
    ///
    /// # Errors
    /// What it has said instead.
    pub fn wait_for(&self, wanted: impl Fn(&Said) -> bool) -> Result<Said, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = lock(&self.state.said);
        loop {
            if let Some(found) = said.iter().find(|said| wanted(said)) {
                return Ok(found.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("the client has said only: {said:#?}"));
            }
            said = self.state.heard.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Management {
    fn drop(&mut self) {
        self.state.stopped.store(true, SeqCst);
        self.state.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, state: Arc<State>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while !state.stopped.load(SeqCst) {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((socket, _)) = accepted {
                    serve_connection(socket, &state).await;
                }
            }
            () = state.wake.notified() => {}
        }
    }
}

/// One stream; the connection ends with it.
async fn serve_connection(socket: TcpStream, state: &State) {
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    let first = loop {
        tokio::select! {
            first = connection.accept() => break first,
            () = state.wake.notified() => {
                if state.stopped.load(SeqCst) {
                    return;
                }
            }
        }
    };
    let Some(Ok((request, mut respond))) = first else { return };
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    *lock(&state.authorization) = authorization.map(str::to_owned);
    lock(&state.server).reset();
    state.cut.store(false, SeqCst);
    state.streams.fetch_add(1, SeqCst);
    let response = http::Response::builder().header("content-type", "application/grpc").body(());
    let Ok(response) = response else { return };
    let Ok(mut send) = respond.send_response(response, false) else { return };
    let mut body = request.into_body();
    let mut buffer = BytesMut::new();
    loop {
        if state.stopped.load(SeqCst) || state.cut.swap(false, SeqCst) {
            return;
        }
        while let Some(message) = next_message(state) {
            send.reserve_capacity(message.len());
            if send.send_data(message, false).is_err() {
                return;
            }
        }
        tokio::select! {
            data = body.data() => {
                let Some(Ok(data)) = data else { return };
                let _ = body.flow_control().release_capacity(data.len());
                buffer.extend_from_slice(&data);
                while let Some(message) = take_message(&mut buffer) {
                    // Who does not keep to the protocol loses the stream.
                    if !hear(state, message) {
                        return;
                    }
                }
            }
            // It moves the connection.
            other = connection.accept() => {
                if other.is_none() {
                    return;
                }
            }
            () = state.wake.notified() => {}
        }
    }
}

fn hear(state: &State, message: Bytes) -> bool {
    let mut server = lock(&state.server);
    let Ok(said) = server.handle(message) else { return false };
    if state.answers.load(SeqCst) {
        server.push_kind(said.kind);
    }
    drop(server);
    lock(&state.said).push(said);
    state.heard.notify_all();
    true
}

fn next_message(state: &State) -> Option<Bytes> {
    let message = lock(&state.server).next_message()?;
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    Some(framed.freeze())
}

fn take_message(buffer: &mut BytesMut) -> Option<Bytes> {
    if buffer.len() < 5 {
        return None;
    }
    let length = u32::from_be_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]) as usize;
    if buffer.len() < 5 + length {
        return None;
    }
    buffer.advance(5);
    Some(buffer.split_to(length).freeze())
}
