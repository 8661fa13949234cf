//! How a kind of filter is made, from end to end: the header gate.
//!
//! It asks a guard about the value of a header, and lets the request pass when the guard says so. While it waits, the body
//! that has been read already waits with it, and no more is read. A guard that takes too long is an answer, too.
//!
//! 1. [`Settings`]: what a filter is configured with. For a filter of the gateway this type stands in `tollgate-model`
//!    with a variant of `FilterOverride`, and a schema in `tollgate-config` reads it.
//! 2. [`HeaderGate`]: what it does for one request.
//! 3. Its line in the [registry](super::super::registry).
//! 4. Tests.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    io::{self, BufRead, BufReader, Read, Write},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    task::{self, Poll},
    time::{Duration, Instant},
};

use extproc::{Direction, Slices};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    super::{Action, Context, Filter, Room},
    PATIENCE, Server, Stand, World, unique_name,
};
use crate::{local_reply::LocalReply, stream_info::ResponseFlags, transaction::chain::Part};

// 1. Settings.

/// What a header gate is configured with.
#[derive(Debug)]
pub(in crate::transaction) struct Settings {
    header: HeaderName,
    /// Who decides: a server that is sent the value and a line feed, and says `y` or something else.
    guard: SocketAddr,
    timeout: Duration,
}

impl Settings {
    /// A gate without a guard.
    pub(super) fn of_nobody() -> Arc<Self> {
        let guard = SocketAddr::from(([127, 0, 0, 1], 0));
        Arc::new(Self { header: HeaderName::from_static("x-gate"), guard, timeout: Duration::ZERO })
    }
}

static GATES: LazyLock<Mutex<HashMap<String, Arc<Settings>>>> = LazyLock::new(Mutex::default);

/// The settings of the filter with this name.
pub(super) fn named(filter: &str) -> Option<Arc<Settings>> {
    GATES.lock().unwrap().get(filter).cloned()
}

// 2. The filter.

/// A header gate at work on one request.
pub(in crate::transaction) struct HeaderGate {
    settings: Arc<Settings>,
    state: State,
    /// What has come of the request and may not pass yet.
    waiting: VecDeque<Part>,
}

enum State {
    /// No request head has come.
    New,
    Asking {
        answer: Pin<Box<dyn Future<Output = io::Result<bool>>>>,
        deadline: Instant,
    },
    Open,
    Shut {
        /// Whether the client has its answer.
        said: bool,
        status: StatusCode,
    },
}

impl fmt::Debug for HeaderGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderGate").field("settings", &self.settings).finish_non_exhaustive()
    }
}

async fn ask(guard: SocketAddr, value: HeaderValue) -> io::Result<bool> {
    let mut socket = tokio::net::TcpStream::connect(guard).await?;
    socket.write_all(value.as_bytes()).await?;
    socket.write_all(b"\n").await?;
    Ok(socket.read_u8().await? == b'y')
}

impl HeaderGate {
    pub(super) fn begin(settings: &Arc<Settings>) -> Self {
        Self { settings: settings.clone(), state: State::New, waiting: VecDeque::new() }
    }

    fn shut(&mut self, status: StatusCode) {
        self.state = State::Shut { said: false, status };
        self.waiting.clear();
    }

    /// A part of the request goes on, waits or is dropped.
    fn request(&mut self, part: Part) -> Option<Action> {
        match self.state {
            State::New | State::Asking { .. } => self.waiting.push_back(part),
            State::Open => return Some(Action::Forward(Direction::Request, part)),
            State::Shut { .. } => {}
        }
        None
    }
}

impl Filter for HeaderGate {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        let head = Part::Headers { end_stream };
        if direction == Direction::Response {
            return Some(Action::Forward(direction, head));
        }
        match cx.core.messages.request.fields.get(&self.settings.header) {
            Some(value) => {
                let answer = Box::pin(ask(self.settings.guard, value.clone()));
                self.state = State::Asking { answer, deadline: cx.now + self.settings.timeout };
                self.request(head)
            }
            None => {
                self.shut(StatusCode::UNAUTHORIZED);
                self.next_action(cx)
            }
        }
    }

    fn data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        _cx: &mut Context<'_>,
    ) -> Option<Action> {
        let piece = Part::Data { data, end_stream };
        match direction {
            Direction::Request => self.request(piece),
            Direction::Response => Some(Action::Forward(direction, piece)),
        }
    }

    fn trailers(&mut self, direction: Direction, _cx: &mut Context<'_>) -> Option<Action> {
        match direction {
            Direction::Request => self.request(Part::Trailers),
            Direction::Response => Some(Action::Forward(direction, Part::Trailers)),
        }
    }

    fn next_action(&mut self, _cx: &mut Context<'_>) -> Option<Action> {
        match &mut self.state {
            State::Open => Some(Action::Forward(Direction::Request, self.waiting.pop_front()?)),
            State::Shut { said: said @ false, status } => {
                *said = true;
                Some(Action::Reply(Box::new(LocalReply {
                    status: *status,
                    fields: HeaderMap::new(),
                    body: "the gate is shut".into(),
                    grpc_status: None,
                    details: "header_gate".into(),
                    flags: ResponseFlags::default(),
                })))
            }
            State::New | State::Asking { .. } | State::Shut { .. } => None,
        }
    }

    fn poll(&mut self, task: &mut task::Context<'_>, _room: Room, _cx: &mut Context<'_>) -> Poll<usize> {
        let State::Asking { answer, .. } = &mut self.state else { return Poll::Pending };
        answer.as_mut().poll(task).map(|answer| {
            match answer {
                Ok(true) => self.state = State::Open,
                Ok(false) => self.shut(StatusCode::FORBIDDEN),
                Err(_) => self.shut(StatusCode::BAD_GATEWAY),
            }
            0
        })
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Asking { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    fn deadline_passed(&mut self, _cx: &mut Context<'_>) {
        self.shut(StatusCode::GATEWAY_TIMEOUT);
    }

    fn has_room(&self, direction: Direction, _pressed: bool) -> bool {
        direction == Direction::Response || !matches!(self.state, State::Asking { .. })
    }

    fn held(&self) -> usize {
        self.waiting.iter().map(|part| if let Part::Data { data, .. } = part { data.len() } else { 0 }).sum()
    }

    fn waits(&self) -> Option<&'static str> {
        matches!(self.state, State::Asking { .. }).then_some("header_gate_idle")
    }

    fn end(&mut self, _cx: &mut Context<'_>) {
        // Nobody wants the answer any more.
        self.state = State::Open;
        self.waiting.clear();
    }
}

// 4. Tests.

/// Says yes to `open`, no to `shut`, nothing to `slow`.
fn guard() -> Server {
    Server::start(|socket, log| {
        let mut word = String::new();
        BufReader::new(socket.try_clone().unwrap()).read_line(&mut word).unwrap();
        let word = word.trim_end().to_owned();
        log.lock().unwrap().push(word.clone());
        match &*word {
            "open" => socket.write_all(b"y").unwrap(),
            "shut" => socket.write_all(b"n").unwrap(),
            // Until the gate hangs up.
            _ => assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0),
        }
    })
}

fn world(guard: SocketAddr, timeout: Duration, stand: Stand, statuses: &'static [u16]) -> World {
    let name = unique_name("header_gate");
    let settings = Settings { header: HeaderName::from_static("x-gate"), guard, timeout };
    GATES.lock().unwrap().insert(name.clone(), Arc::new(settings));
    World::start(&name, stand, statuses)
}

fn post(gate: &str, body: &str) -> String {
    let length = body.len();
    format!("POST /a HTTP/1.1\r\nhost: a\r\nx-gate: {gate}\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[test]
fn a_request_waits_for_the_guard_with_its_body() {
    for stand in [Stand::BeforeRouter, Stand::BehindRouter] {
        let guard = guard();
        let world = world(guard.address, PATIENCE, stand, &[200]);
        assert_eq!(world.ask(&post("open", "hello")), (200, "ok".to_owned()), "{stand:?}");
        assert_eq!(guard.seen(), ["open"], "{stand:?}");
        assert_eq!(world.upstream.seen(), ["POST /a HTTP/1.1 hello"], "{stand:?}");
    }
}

#[test]
fn the_upstream_sees_nothing_of_a_request_that_may_not_pass() {
    for stand in [Stand::BeforeRouter, Stand::BehindRouter] {
        let guard = guard();
        let world = world(guard.address, PATIENCE, stand, &[200]);
        assert_eq!(world.ask(&post("shut", "hello")), (403, "the gate is shut".to_owned()), "{stand:?}");
        let without = world.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(without, (401, "the gate is shut".to_owned()), "{stand:?}");
        assert_eq!(guard.seen(), ["shut"], "{stand:?}");
        assert!(world.upstream.seen().is_empty(), "{stand:?}");
    }
}

#[test]
fn a_guard_that_says_nothing_is_not_waited_for_longer_than_configured() {
    for stand in [Stand::BeforeRouter, Stand::BehindRouter] {
        let guard = guard();
        let world = world(guard.address, Duration::from_millis(50), stand, &[200]);
        assert_eq!(world.ask(&post("slow", "hello")), (504, "the gate is shut".to_owned()), "{stand:?}");
        assert!(world.upstream.seen().is_empty(), "{stand:?}");
    }
}

#[test]
fn a_guard_that_is_not_there_shuts_the_gate() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = world(address, PATIENCE, Stand::BeforeRouter, &[200]);
    assert_eq!(world.ask(&post("open", "")).0, 502);
    assert!(world.upstream.seen().is_empty());
}

#[test]
fn behind_the_router_every_try_has_a_gate_of_its_own() {
    let guard = guard();
    let behind = world(guard.address, PATIENCE, Stand::BehindRouter, &[503, 200]);
    assert_eq!(behind.ask(&post("open", "hello")), (200, "ok".to_owned()));
    assert_eq!(guard.seen(), ["open", "open"]);
    assert_eq!(behind.upstream.seen(), ["POST /a HTTP/1.1 hello"; 2]);

    // Before the router there is one for all tries.
    let guard = self::guard();
    let before = world(guard.address, PATIENCE, Stand::BeforeRouter, &[503, 200]);
    assert_eq!(before.ask(&post("open", "hello")), (200, "ok".to_owned()));
    assert_eq!(guard.seen(), ["open"]);
    assert_eq!(before.upstream.seen(), ["POST /a HTTP/1.1 hello"; 2]);
}
