//! The scripted HTTP/1.1 upstream.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

use super::{
    http2,
    sender::{self, Outgoing, Sent, Start},
};
use crate::{
    board::{Board, End, RequestSeen, State, Stop},
    http1::{Framing, Head, Reader},
    scenario::{
        Protocol, Respond, Upstream, Upstreams,
        steps::{SendAction, SendStep},
        text::{Payload, show},
    },
};

/// Bounded by the life of the scenario, which drops everything at its end.
const FOREVER: Duration = Duration::from_secs(3600);

/// Accepts connections and answers requests until it is dropped.
pub(crate) async fn run(board: Arc<Board>, name: String, answers: Upstreams, listener: TcpListener) {
    let answers = Arc::new(answers);
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        board.note(&name, "connection", |state| seen(state, &name).connections += 1);
        let connection =
            Connection { board: Arc::clone(&board), name: name.clone(), answers: Arc::clone(&answers) };
        match connection.answers.0.first().map(|answer| answer.protocol) {
            Some(Protocol::Http2) => connections.spawn(http2::upstream(connection, stream)),
            _ => connections.spawn(connection.run(stream)),
        };
    }
}

fn seen<'a>(state: &'a mut State, name: &str) -> &'a mut crate::board::UpstreamSeen {
    state.upstreams.entry(name.to_owned()).or_default()
}

/// One connection to an upstream.
pub(super) struct Connection {
    pub(super) board: Arc<Board>,
    pub(super) name: String,
    answers: Arc<Upstreams>,
}

impl Connection {
    pub(super) fn change<T>(&self, number: usize, what: &str, change: impl FnOnce(&mut RequestSeen) -> T) {
        self.board
            .note(&self.name, what, |state| seen(state, &self.name).requests.get_mut(number).map(change));
    }

    /// Writes down a request and returns its number at this upstream.
    pub(super) fn begin(&self, request: RequestSeen) -> usize {
        let what = format!("got {} {} {}", request.method, request.path, sender::describe(&request.headers));
        self.board.note(&self.name, &what, |state| {
            let requests = &mut seen(state, &self.name).requests;
            requests.push(request);
            requests.len() - 1
        })
    }

    /// Whether something holds for a request.
    pub(super) fn of(&self, number: usize, state: &State, holds: impl Fn(&RequestSeen) -> bool) -> bool {
        let request = state.upstreams.get(&self.name).and_then(|seen| seen.requests.get(number));
        request.is_some_and(holds)
    }

    /// Waits until the answer begins, and returns it.
    pub(super) async fn answer(&self, number: usize, method: &str) -> Outgoing {
        let last = self.answers.0.len() - 1;
        let answer = &self.answers.0[number.min(last)];
        if respond_when(answer) == Respond::Complete {
            let ended = |state: &State| {
                self.of(number, state, |request| request.end.is_some()) || !state.failures.is_empty()
            };
            self.board.until(FOREVER, ended).await;
        }
        let echoed = answer.echo.then(|| {
            self.board.look(|state| {
                let request = state.upstreams.get(&self.name).and_then(|seen| seen.requests.get(number));
                request.map(|request| Payload(request.body.bytes.clone())).unwrap_or_default()
            })
        });
        outgoing(answer, method, echoed)
    }

    async fn run(self, stream: TcpStream) {
        let (read, mut write) = stream.into_split();
        let mut reader = Reader::new(read);
        while let Ok(Some(head)) = reader.head().await {
            if self.exchange(&head, &mut reader, &mut write).await != Sent::Open {
                return;
            }
        }
        self.board.note(&self.name, "connection closed by the gateway", |_| ());
    }

    async fn exchange(
        &self,
        head: &Head,
        reader: &mut Reader<OwnedReadHalf>,
        write: &mut OwnedWriteHalf,
    ) -> Sent {
        let (method, path) = head.words();
        let number = self.begin(RequestSeen {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: head.fields.clone(),
            ..RequestSeen::default()
        });
        let responding = async {
            let out = self.answer(number, method).await;
            sender::play(&self.board, &self.name, write, &out).await
        };
        let mut reading = std::pin::pin!(self.read(number, head, reader));
        let sent = tokio::select! {
            biased;
            sent = responding => sent,
            () = &mut reading => {
                self.change(number, "the gateway went away", |request| request.response_cut = true);
                return Sent::Gone;
            }
        };
        match sent {
            Ok(Sent::Open) => {}
            Ok(Sent::Gone) | Err(Stop) => {
                self.change(number, "left", |request| request.left = true);
                return Sent::Gone;
            }
        }
        self.change(number, "answered", |request| request.done = true);
        let ended = |state: &State| self.of(number, state, |request| request.end.is_some());
        tokio::select! {
            biased;
            _ = self.board.until(FOREVER, ended) => Sent::Open,
            () = &mut reading => Sent::Gone,
        }
    }

    /// Reads the request to its end, then waits for more bytes or the end of the connection.
    async fn read(&self, number: usize, head: &Head, reader: &mut Reader<OwnedReadHalf>) {
        let body = match Framing::of_request(head) {
            Ok(framing) => {
                let on_data = |data: &[u8], new| {
                    self.change(number, &format!("got body {}", show(data)), |request| {
                        request.body.add(data, new);
                    });
                };
                reader.body(framing, on_data).await
            }
            Err(error) => Err(error),
        };
        match body {
            Ok(trailers) => {
                let what = format!("request complete {}", sender::describe(&trailers));
                self.change(number, &what, |request| {
                    request.trailers = trailers;
                    request.end = Some(End::Complete);
                });
                let answered = |state: &State| self.of(number, state, |request| request.done);
                let extra = |bytes: &[u8]| {
                    // What comes after the answer is the next request.
                    if !self.board.look(answered) {
                        let what = format!("got bytes after the request: {}", show(bytes));
                        self.change(number, &what, |request| request.after_end.extend_from_slice(bytes));
                    }
                };
                reader.closed(extra).await;
            }
            Err(why) => {
                self.change(number, &format!("request cut: {why}"), |request| {
                    request.end = Some(End::Cut(why));
                });
            }
        }
    }
}

/// A script has its own waits, so it begins with the head; the plain answer comes after the whole request.
fn respond_when(answer: &Upstream) -> Respond {
    match answer.respond {
        Some(when) => when,
        None if answer.send.is_some() => Respond::Head,
        None => Respond::Complete,
    }
}

/// The answer as a message to send.
fn outgoing(answer: &Upstream, method: &str, echoed: Option<Payload>) -> Outgoing {
    let bodyless = answer.status == 204 || answer.status == 304 || answer.status < 200;
    let steps = answer.send.clone().unwrap_or_else(|| {
        let body = echoed.unwrap_or_else(|| answer.body.clone());
        let body = (!bodyless).then(|| SendStep::act(SendAction::Body(body)));
        let end = [SendStep::act(SendAction::End)];
        std::iter::once(SendStep::act(SendAction::Head)).chain(body).chain(end).collect()
    });
    let mut out = Outgoing {
        start: Start::Response(answer.status),
        fields: answer.headers.0.clone(),
        chunked: answer.chunked || !answer.trailers.0.is_empty(),
        trailers: answer.trailers.0.clone(),
        no_body: method == "HEAD" || (bodyless && answer.status != 101),
        steps,
    };
    out.frame(!bodyless);
    out
}
