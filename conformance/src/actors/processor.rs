//! The scripted processor: a bare HTTP/2 server, so that it can also answer what no gRPC library would.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use h2::{
    Ping, PingPong, Reason, RecvStream, SendStream,
    server::{self, SendResponse},
};
use http::Response;
use prost::Message as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, Notify},
    task::JoinSet,
};

use super::{
    http2::header_map,
    replies::{frame, unchanged, unframe},
};
use crate::{
    board::{Board, SideEnd, State, Stop, StreamSeen},
    check::messages::first_difference,
    message::Message,
    scenario::{
        ProcessorScript,
        reply::{Reply, describe},
        steps::{Answer, GrpcClose, ProcessorAction, ProcessorStep},
        text::{Field, Fields, Payload, show},
    },
};

/// Accepts connections and plays the script on their streams until it is dropped.
pub(crate) async fn run(board: Arc<Board>, number: usize, script: ProcessorScript, listener: TcpListener) {
    let script = Arc::new(script);
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(Arc::clone(&board), number, Arc::clone(&script), stream));
    }
}

async fn connection(board: Arc<Board>, number: usize, script: Arc<ProcessorScript>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let who = name(number);
    let mut connection = match server::handshake(stream).await {
        Ok(connection) => connection,
        Err(error) => {
            board.note(&who, &format!("HTTP/2 handshake: {error}"), |_| ());
            return;
        }
    };
    let pings = Arc::new(Mutex::new(connection.ping_pong()));
    let disconnect = Arc::new(Notify::new());
    let mut streams = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = disconnect.notified() => return,
        };
        let Some(Ok((request, respond))) = accepted else { break };
        let (parts, body) = request.into_parts();
        let seen = StreamSeen { headers: pseudo_and_fields(&parts), ..StreamSeen::default() };
        let index = board.note(&who, "stream opened", |state| match state.processors.get_mut(number) {
            Some(processor) => {
                processor.streams.push(seen);
                processor.streams.len() - 1
            }
            None => 0,
        });
        let steps = script.streams.get(index).or_else(|| script.streams.last()).cloned().unwrap_or_default();
        let stream = Stream {
            board: Arc::clone(&board),
            who: who.clone(),
            number,
            index,
            respond,
            send: None,
            expected: 0,
            pings: Arc::clone(&pings),
            disconnect: Arc::clone(&disconnect),
            stop_reading: Arc::new(Notify::new()),
        };
        streams.spawn(stream.run(steps, body));
    }
    while streams.join_next().await.is_some() {}
}

fn name(number: usize) -> String {
    if number == 0 { "processor".to_owned() } else { format!("processor{}", number + 1) }
}

fn pseudo_and_fields(parts: &http::request::Parts) -> Vec<Field> {
    let mut all: Vec<Field> = vec![(":method".to_owned(), parts.method.as_str().as_bytes().to_vec())];
    let uri = &parts.uri;
    let pseudo = [
        (":scheme", uri.scheme_str()),
        (":authority", uri.authority().map(http::uri::Authority::as_str)),
        (":path", uri.path_and_query().map(http::uri::PathAndQuery::as_str)),
    ];
    for (name, value) in pseudo {
        all.extend(value.map(|value| (name.to_owned(), value.as_bytes().to_vec())));
    }
    all.extend(parts.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())));
    all
}

struct Stream {
    board: Arc<Board>,
    who: String,
    number: usize,
    index: usize,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    expected: usize,
    pings: Arc<Mutex<Option<PingPong>>>,
    disconnect: Arc<Notify>,
    stop_reading: Arc<Notify>,
}

fn stream_of(state: &State, number: usize, index: usize) -> Option<&StreamSeen> {
    state.processors.get(number).and_then(|processor| processor.streams.get(index))
}

fn change(board: &Board, at: (&str, usize, usize), what: &str, change: impl FnOnce(&mut StreamSeen)) {
    let (who, number, index) = at;
    board.note(who, what, |state| {
        if let Some(stream) = state.processors.get_mut(number).and_then(|p| p.streams.get_mut(index)) {
            change(stream);
        }
    });
}

fn end(board: &Board, at: (&str, usize, usize), end: SideEnd) {
    let what = match &end {
        SideEnd::HalfClosed => "stream half-closed by the gateway".to_owned(),
        SideEnd::Reset(why) => format!("stream reset by the gateway: {why}"),
        SideEnd::ByProcessor => "ends the stream".to_owned(),
    };
    change(board, at, &what, |stream| {
        stream.end.get_or_insert(end);
    });
}

/// Reads messages until the gateway ends the stream.
async fn receive(board: &Board, at: (&str, usize, usize), mut body: RecvStream, stop: &Notify) {
    let mut buffer = BytesMut::new();
    loop {
        let data = tokio::select! {
            data = body.data() => data,
            () = stop.notified() => std::future::pending().await,
        };
        match data {
            Some(Ok(data)) => {
                let _ = body.flow_control().release_capacity(data.len());
                buffer.extend_from_slice(&data);
            }
            Some(Err(error)) => return end(board, at, SideEnd::Reset(error.to_string())),
            None => return end(board, at, SideEnd::HalfClosed),
        }
        loop {
            let message = match unframe(&mut buffer) {
                Ok(None) => break,
                Ok(Some(bytes)) => ProcessingRequest::decode(bytes).map_err(|error| error.to_string()),
                Err(error) => Err(error),
            };
            match message {
                Ok(message) => {
                    let message = Message::new(&message);
                    if message.uses_value {
                        board.fail(at.0, "a header came in `value` (E-1)");
                    }
                    change(board, at, &format!("got {}", message.describe()), |stream| {
                        stream.messages.push(message);
                    });
                }
                Err(error) => {
                    board.fail(at.0, &format!("undecodable message: {error}"));
                    return;
                }
            }
        }
    }
}

impl Stream {
    async fn run(mut self, steps: Vec<ProcessorStep>, body: RecvStream) {
        let board = Arc::clone(&self.board);
        let who = self.who.clone();
        let at = (who.as_str(), self.number, self.index);
        let stop_reading = Arc::clone(&self.stop_reading);
        let playing = async {
            let played = self.play(&steps).await;
            // A script that names what it expects, and does not go on by itself, expects nothing more.
            let strict = steps.iter().any(|step| step.expect.is_some())
                && !steps.iter().any(|step| matches!(step.action, Some(ProcessorAction::Auto)));
            let expected = (strict && played.is_ok()).then_some(self.expected);
            let done = if played.is_ok() { "script done" } else { "script stopped" };
            change(&board, at, done, |stream| {
                stream.script_done = true;
                stream.expected = expected;
            });
            played
        };
        let (played, ()) = tokio::join!(playing, receive(&board, at, body, &stop_reading));
        if played.is_ok() {
            // Like any gRPC server: when the client has half-closed, the stream ends with OK.
            let open = board.look(|state| {
                stream_of(state, at.1, at.2).is_some_and(|stream| stream.end == Some(SideEnd::HalfClosed))
            });
            if open {
                let ok =
                    GrpcClose { status: Some("0".to_owned()), message: None, trailers: Fields::default() };
                self.close(&ok);
            }
        }
    }

    fn at(&self) -> (&str, usize, usize) {
        (&self.who, self.number, self.index)
    }

    async fn play(&mut self, steps: &[ProcessorStep]) -> Result<(), Stop> {
        for (number, step) in steps.iter().enumerate() {
            if let Some(expect) = &step.expect {
                let message = self.next(&expect.kind).await?;
                if let Some(difference) = first_difference(expect, &message) {
                    return Err(self.board.fail(&self.who, &format!("step {}: {difference}", number + 1)));
                }
            }
            if step.pause.signal.is_some() {
                self.taken().await;
            }
            self.board.pause(&self.who, &step.pause).await?;
            if let Some(action) = &step.action {
                self.act(action).await?;
            }
        }
        Ok(())
    }

    /// Waits until the gateway has read all that was sent: a ping is answered in the order of the frames. The first one
    /// may overtake data that still waits for the connection, the second one cannot.
    async fn taken(&self) {
        let Some(pings) = &mut *self.pings.lock().await else { return };
        for _ in 0..2 {
            // A connection that is gone takes nothing more.
            let _ = tokio::time::timeout(self.board.deadline(), pings.ping(Ping::opaque())).await;
        }
    }

    /// The next message that no step has taken yet.
    async fn next(&mut self, wanted: &str) -> Result<Message, Stop> {
        let (number, index, taken) = (self.number, self.index, self.expected);
        let mut ended = false;
        self.board
            .require(&self.who, &format!("expect {wanted}"), |state| {
                let stream = stream_of(state, number, index);
                let there = stream.is_some_and(|stream| stream.messages.len() > taken);
                ended = !there && stream.is_some_and(|stream| stream.end.is_some());
                there || ended
            })
            .await?;
        if ended {
            return Err(self.board.fail(&self.who, &format!("expect {wanted}: the stream has ended")));
        }
        self.expected += 1;
        let message = self.board.look(|state| {
            stream_of(state, number, index).and_then(|stream| stream.messages.get(taken)).cloned()
        });
        message.ok_or(Stop)
    }

    fn message(&self, at: usize) -> Message {
        self.board.look(|state| {
            let stream = stream_of(state, self.number, self.index);
            stream.and_then(|stream| stream.messages.get(at)).cloned().unwrap_or_default()
        })
    }

    async fn act(&mut self, action: &ProcessorAction) -> Result<(), Stop> {
        match action {
            ProcessorAction::Reply(replies) => {
                let replies: Vec<ProcessingResponse> = replies
                    .iter()
                    .map(|reply| match reply {
                        Reply::Continue => {
                            unchanged(&self.message(self.expected.saturating_sub(1)), &self.message(0))
                        }
                        Reply::Message(message) => (**message).clone(),
                    })
                    .collect();
                self.send_replies(&replies);
            }
            ProcessorAction::Auto => self.auto().await?,
            ProcessorAction::Answer(answer) => self.answer(answer),
            ProcessorAction::Data(Payload(bytes)) => {
                let what = format!("sends {}", show(bytes));
                self.data(&what, Bytes::copy_from_slice(bytes));
            }
            ProcessorAction::Close(close) => {
                self.close(close);
                end(&self.board, self.at(), SideEnd::ByProcessor);
            }
            ProcessorAction::Reset(code) => {
                let reason = Reason::from(*code);
                self.board.note(&self.who, &format!("resets with {reason}"), |_| ());
                match &mut self.send {
                    Some(send) => send.send_reset(reason),
                    None => self.respond.send_reset(reason),
                }
                end(&self.board, self.at(), SideEnd::ByProcessor);
            }
            ProcessorAction::Disconnect => {
                self.board.note(&self.who, "drops the connection", |_| ());
                end(&self.board, self.at(), SideEnd::ByProcessor);
                self.disconnect.notify_one();
            }
            ProcessorAction::AwaitEnd => {
                let (number, index) = (self.number, self.index);
                let ended = |state: &State| stream_of(state, number, index).is_some_and(|s| s.end.is_some());
                self.board.require(&self.who, "await the end of the stream", ended).await?;
            }
            ProcessorAction::AwaitReset => self.await_reset().await?,
            ProcessorAction::StopReading => self.stop_reading.notify_one(),
        }
        Ok(())
    }

    async fn await_reset(&mut self) -> Result<(), Stop> {
        let Some(send) = &mut self.send else {
            return Err(self.board.fail(&self.who, "await_reset needs an answer before it"));
        };
        let reset =
            tokio::time::timeout(self.board.deadline(), std::future::poll_fn(|cx| send.poll_reset(cx)));
        let what = match reset.await {
            Ok(Ok(reason)) => format!("stream reset by the gateway: {reason}"),
            Ok(Err(error)) => format!("connection of the stream gone: {error}"),
            Err(_) => return Err(self.board.fail(&self.who, "await_reset: not in time")),
        };
        self.board.note(&self.who, &what, |_| ());
        Ok(())
    }

    async fn auto(&mut self) -> Result<(), Stop> {
        let (number, index) = (self.number, self.index);
        loop {
            let taken = self.expected;
            let mut ended = false;
            let more = self
                .board
                .until(Duration::from_secs(3600), |state| {
                    let stream = stream_of(state, number, index);
                    let there = stream.is_some_and(|stream| stream.messages.len() > taken);
                    ended = !there && stream.is_none_or(|stream| stream.end.is_some());
                    there || ended
                })
                .await;
            if ended || !more {
                return Ok(());
            }
            self.expected += 1;
            let reply = unchanged(&self.message(taken), &self.message(0));
            self.send_replies(&[reply]);
        }
    }

    fn send_replies(&mut self, replies: &[ProcessingResponse]) {
        let what: Vec<String> = replies.iter().map(describe).collect();
        self.data(&format!("replies {}", what.join(" | ")), frame(replies));
    }

    fn data(&mut self, what: &str, bytes: Bytes) {
        if self.send.is_none() {
            self.answer(&Answer { status: 200, headers: None, body: None, end: false });
        }
        self.board.note(&self.who, what, |_| ());
        if let Some(send) = &mut self.send {
            let sent = send.send_data(bytes, false);
            self.judge(sent);
        }
    }

    /// What cannot be sent any more is a matter of what the gateway does, so it is noted, not judged.
    fn judge(&self, sent: Result<(), h2::Error>) {
        if let Err(error) = sent {
            self.board.note(&self.who, &format!("cannot send: {error}"), |_| ());
        }
    }

    fn answer(&mut self, answer: &Answer) {
        let grpc = Fields(vec![("content-type".to_owned(), b"application/grpc".to_vec())]);
        let fields = answer.headers.as_ref().unwrap_or(&grpc);
        self.board.note(&self.who, &format!("answers {}", answer.status), |_| ());
        let ends_here = answer.end && answer.body.is_none();
        self.head(answer.status, fields, ends_here);
        if let (Some(Payload(bytes)), Some(send)) = (&answer.body, &mut self.send) {
            let sent = send.send_data(Bytes::copy_from_slice(bytes), answer.end);
            self.judge(sent);
        }
        if answer.end {
            end(&self.board, self.at(), SideEnd::ByProcessor);
        }
    }

    fn head(&mut self, status: u16, fields: &Fields, end: bool) {
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::OK);
        *response.headers_mut() = header_map(&fields.0);
        match self.respond.send_response(response, end) {
            Ok(send) => self.send = Some(send),
            Err(error) => self.judge(Err(error)),
        }
    }

    fn close(&mut self, close: &GrpcClose) {
        let mut fields = Vec::new();
        fields.extend(close.status.iter().map(|s| ("grpc-status".to_owned(), s.as_bytes().to_vec())));
        fields.extend(close.message.iter().map(|m| ("grpc-message".to_owned(), m.as_bytes().to_vec())));
        fields.extend(close.trailers.0.iter().cloned());
        let status = close.status.as_deref().unwrap_or("none");
        self.board.note(&self.who, &format!("closes with grpc-status {status}"), |_| ());
        match &mut self.send {
            Some(send) => {
                let sent = send.send_trailers(header_map(&fields));
                self.judge(sent);
            }
            None => {
                fields.insert(0, ("content-type".to_owned(), b"application/grpc".to_vec()));
                self.head(200, &Fields(fields), true);
            }
        }
    }
}
