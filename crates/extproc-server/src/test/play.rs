//! One play.

use std::{future::poll_fn, task::Poll, time::Duration};

use bytes::Bytes;
use extproc::{
    Direction, Plan,
    exchange::StreamEnd,
    lint::Lint,
    messages::{ProcessingRequest, ProcessingResponse, processing_request::Request},
    sim::{Out, World, kind_of},
};

use super::{
    Message, Played, Step, details,
    message::excerpt,
    played,
    script::{Cut, Script, Sender},
};
use tokio::time::{Instant, sleep, timeout};

use crate::{exchange::from_struct, service::Exchanger};

/// How long a processor has to end a stream that the gateway has ended.
const LINGER: Duration = Duration::from_secs(1);

/// How fast it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Everything that can arrive does, instead of one part at a time.
    pub(super) eager: bool,
    /// When the request was to begin.
    pub(super) due: Instant,
    /// Before an answer is taken.
    pub(super) pause: Duration,
    /// How long nothing may happen.
    pub(super) patience: Duration,
}

struct Play<'s> {
    exchange: Option<Box<dyn Exchanger>>,
    world: World,
    lint: Lint,
    script: &'s Script,
    request: Sender,
    response: Sender,
    /// Messages that the processor has got.
    received: usize,
    /// It knows that there will be no more.
    closed: bool,
    begin: Instant,
    /// Messages that have no answer, and when they were sent.
    unanswered: Vec<(&'static str, Instant)>,
    pause: Duration,
    played: Played,
}

pub(super) async fn play(
    exchange: Box<dyn Exchanger>,
    plan: Plan,
    script: &Script,
    cut: Cut,
    pace: Pace,
) -> Played {
    let Pace { eager, due, pause, patience } = pace;
    let played = Played {
        mode: plan.processing_mode,
        cut,
        eager,
        request: script.request_message(),
        response: script.response_message(),
        client: Message::default(),
        upstream: None,
        metadata: Default::default(),
        rerouted: 0,
        status: None,
        details: None,
        failed: false,
        passed: false,
        hangs: false,
        steps: Vec::new(),
        took: Duration::ZERO,
        transcript: Vec::new(),
        findings: Vec::new(),
    };
    let lint = Lint::new(&plan);
    let mut world = World::new(plan);
    world.transaction.attributes = script.attributes.clone();
    let namespaces: Vec<_> = script.metadata.fields.keys().cloned().collect();
    assert!(world.transaction.metadata.merge(script.metadata.clone(), &namespaces), "too much metadata");
    let mut play = Play {
        exchange: Some(exchange),
        world,
        lint,
        script,
        request: Sender::new(Direction::Request, &script.request, cut),
        response: Sender::new(Direction::Response, &script.response, cut),
        received: 0,
        closed: false,
        begin: due,
        unanswered: Vec::new(),
        pause,
        played,
    };
    play.played.hangs = !play.run(eager, patience).await;
    if play.played.hangs {
        // What it waits for.
        let owed = play.lint.ended();
        play.played.findings.extend(owed);
    } else if play.received > 0 && script.leaves_after.is_none() && play.played.findings.is_empty() {
        play.linger(patience.min(LINGER)).await;
    }
    play.played.took = Instant::now().saturating_duration_since(due);
    play.finish();
    play.played
}

impl Play<'_> {
    /// True if it has come to an end.
    async fn run(&mut self, eager: bool, patience: Duration) -> bool {
        loop {
            let mut progress = false;
            // Everything that can arrive does, or one part at a time.
            while self.feed() {
                progress = true;
                self.look();
                if !eager {
                    break;
                }
            }
            while self.deliver() {
                progress = true;
            }
            match timeout(patience, self.replies(!progress)).await {
                Ok(replied) => progress |= replied,
                Err(_) => return false,
            }
            self.look();
            if self.script.leaves_after == Some(self.received) {
                self.exchange = None;
                self.world.end();
                self.say("client", "leaves");
                return true;
            }
            if !progress {
                return true;
            }
        }
    }

    /// The gateway needs nothing more, and the processor is to end the stream.
    async fn linger(&mut self, time: Duration) {
        if let (Some(exchange), false) = (&mut self.exchange, self.closed) {
            exchange.close();
        }
        while let Some(exchange) = &mut self.exchange {
            match timeout(time, poll_fn(|context| exchange.poll_reply(context))).await {
                Ok(Some(Ok(message))) => self.reply(&message),
                Ok(Some(Err(_)) | None) | Err(_) => self.exchange = None,
            }
        }
    }

    /// A part of a message arrives.
    fn feed(&mut self) -> bool {
        if self.world.is_answered() {
            return false;
        }
        if let Some(part) = self.request.feed(&mut self.world, self.script) {
            self.say("client", part);
            return true;
        }
        let upstream = !self.world.request.is_empty() && self.world.streamed.is_empty();
        if upstream && let Some(part) = self.response.feed(&mut self.world, self.script) {
            self.say("upstream", part);
            return true;
        }
        false
    }

    fn say(&mut self, who: &str, what: &str) {
        let time = Instant::now().duration_since(self.begin);
        self.played.transcript.push((time, format!("{who}: {what}")));
    }

    /// A message reaches the processor.
    fn deliver(&mut self) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        if self.script.leaves_after == Some(self.received) {
            return false;
        }
        let Some(message) = self.world.sent.get(self.received) else {
            if self.world.closed.is_none() || self.closed {
                return false;
            }
            exchange.close();
            self.closed = true;
            self.say("gateway", "ends the stream");
            return true;
        };
        if !exchange.wants_input() {
            return false;
        }
        let sent = if self.received == 0 { self.begin } else { Instant::now() };
        self.unanswered.push((kind_of(message.request.as_ref()), sent));
        self.received += 1;
        self.lint.sent(message);
        let message = message.clone();
        self.say("gateway", &shown(&message));
        let received = self.exchange.as_mut().map(|exchange| exchange.receive(message));
        if let Some(Err(status)) = received {
            self.end(Some(status));
        }
        true
    }

    /// The processor's messages, as far as there are some. `wait` for them, if nothing else happens.
    async fn replies(&mut self, wait: bool) -> bool {
        let closed = self.world.closed.is_some();
        if !self.pause.is_zero() {
            sleep(self.pause).await;
        }
        let Some(exchange) = &mut self.exchange else { return false };
        let awaited = wait && self.world.exchange.awaits_processor() && !closed
            || wait && self.world.exchange.is_replying();
        let arrived =
            self.received < self.world.sent.len() && self.script.leaves_after != Some(self.received);
        let reply = poll_fn(|context| match exchange.poll_reply(context) {
            Poll::Ready(reply) => Poll::Ready(Some(reply)),
            Poll::Pending if arrived && exchange.wants_input() => Poll::Ready(None),
            Poll::Pending if awaited => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        })
        .await;
        match reply {
            None => arrived && self.exchange.as_ref().is_some_and(|exchange| exchange.wants_input()),
            Some(None) => {
                self.end(None);
                true
            }
            Some(Some(Err(status))) => {
                self.end(Some(status));
                true
            }
            Some(Some(Ok(message))) => {
                self.reply(&message);
                true
            }
        }
    }

    fn reply(&mut self, message: &ProcessingResponse) {
        self.time(message);
        self.say("processor", &played::describe(message));
        // Not read by every gateway when the stream has ended, but wrong all the same. What follows another mistake is no
        // mistake of its own.
        let late = !self.world.is_open();
        if !late || self.played.findings.is_empty() {
            let found = self.lint.received(message);
            self.played.findings.extend(found);
        }
        if late {
            return;
        }
        if let Some(metadata) = &message.dynamic_metadata {
            let namespaces: Vec<_> = metadata.fields.keys().cloned().collect();
            let fits = self.played.metadata.merge(metadata.clone(), &namespaces);
            assert!(fits, "too much metadata");
        }
        self.world.message(message);
    }

    /// Which message was answered, and how fast.
    fn time(&mut self, message: &ProcessingResponse) {
        let Some(kind) = message.response.as_ref().map(played::kind_of_reply) else { return };
        // A response of the processor's own answers whatever came last.
        let own = kind.ends_with("immediate_response");
        let found = self.unanswered.iter().position(|(sent, _)| *sent == kind || own);
        if let Some(index) = found {
            let (kind, sent) = self.unanswered.remove(index);
            let time = Instant::now().saturating_duration_since(sent);
            self.played.steps.push(Step { kind, time });
        }
    }

    /// The processor ends the stream.
    fn end(&mut self, status: Option<crate::Status>) {
        self.exchange = None;
        let text = status
            .as_ref()
            .map_or_else(|| "ends the stream".to_owned(), |status| format!("ends the stream: {status}"));
        self.say("processor", &text);
        if self.world.is_open() {
            let end = match &status {
                None => {
                    let unsaid = self.lint.ended();
                    self.played.findings.extend(unsaid);
                    StreamEnd::Ok
                }
                Some(status) => {
                    StreamEnd::Error { code: status.code() as i32, details: details(status), started: true }
                }
            };
            self.world.stream_end(end);
        }
        self.played.status = status;
    }

    /// Looks at heads when they pass: what is changed later does not count.
    fn look(&mut self) {
        let messages = &self.world.transaction.messages;
        if self.played.upstream.is_none() && !self.world.request.is_empty() {
            let head = &messages.request;
            self.played.upstream = Some(Message {
                method: Some(head.method.clone()),
                authority: String::from_utf8_lossy(head.authority.as_bytes()).into_owned(),
                path: String::from_utf8_lossy(head.path.as_bytes()).into_owned(),
                headers: head.fields.clone(),
                ..Message::default()
            });
        }
        if self.played.client.status.is_none()
            && !self.world.response.is_empty()
            && let Some(head) = &messages.response
        {
            self.played.client.status = Some(head.status);
            self.played.client.headers = head.fields.clone();
        }
    }

    /// What has come of it.
    fn finish(&mut self) {
        self.look();
        self.exchange = None;
        let world = &self.world;
        let played = &mut self.played;
        if let Some(upstream) = &mut played.upstream {
            upstream.body = world.body(Direction::Request).into();
            upstream.complete = world.request.last().is_some_and(Out::ends);
            upstream.trailers =
                trailers(&world.request, world.transaction.messages.request_trailers.as_ref());
        }
        let client = &mut played.client;
        if let Some(reply) = &world.reply
            && client.status.is_none()
        {
            client.status = Some(reply.status);
            client.headers = reply.fields.clone();
            client.body = reply.body.clone();
            client.complete = true;
        } else if let Some(direction) = world.too_large
            && client.status.is_none()
        {
            let status = if direction == Direction::Request { 413 } else { 500 };
            client.status = http::StatusCode::from_u16(status).ok();
            client.complete = true;
        } else if let Some(head) = &world.streamed_head {
            client.status = Some(head.status);
            client.headers = head.fields.clone();
            client.body = body(&world.streamed);
            client.complete = world.streamed.last().is_some_and(Out::ends);
        } else {
            played.passed = client.status.is_some();
            client.body = world.body(Direction::Response).into();
            client.complete = world.reply.is_none() && world.response.last().is_some_and(Out::ends);
            client.trailers =
                trailers(&world.response, world.transaction.messages.response_trailers.as_ref());
        }
        played.details = world.reply.as_ref().map(|reply| reply.details.clone());
        played.rerouted = world.route_cleared;
        played.failed = !world.failed.is_empty();
        let fails: Vec<_> = world.failed.iter().map(|failed| format!("fails: {}", failed.details)).collect();
        fails.iter().for_each(|text| self.say("gateway", text));
    }
}

fn body(parts: &[Out]) -> Bytes {
    let data = parts.iter().filter_map(|part| match part {
        Out::Data { data, .. } => Some(&data[..]),
        Out::Headers { .. } | Out::Trailers => None,
    });
    data.collect::<Vec<_>>().concat().into()
}

fn trailers(parts: &[Out], trailers: Option<&http::HeaderMap>) -> Option<http::HeaderMap> {
    matches!(parts.last(), Some(Out::Trailers)).then(|| trailers.cloned()).flatten()
}

/// A message in a line.
fn shown(message: &ProcessingRequest) -> String {
    let kind = kind_of(message.request.as_ref());
    let mut line = match &message.request {
        Some(Request::RequestHeaders(head) | Request::ResponseHeaders(head)) => {
            let headers = head.headers.iter().flat_map(|map| &map.headers);
            let headers: Vec<_> = headers
                .map(|header| format!("{}: {}", header.key, String::from_utf8_lossy(&header.raw_value)))
                .collect();
            let end = if head.end_of_stream { ", the end" } else { "" };
            format!("{kind} {}{end}", headers.join(", "))
        }
        Some(Request::RequestBody(body) | Request::ResponseBody(body)) => {
            let end = if body.end_of_stream { ", the end" } else { "" };
            format!("{kind} {}{end}", excerpt(&body.body))
        }
        _ => kind.to_owned(),
    };
    for (namespace, values) in message.metadata_context.iter().flat_map(|context| &context.filter_metadata) {
        line += &format!(", metadata {namespace} {}", from_struct(values));
    }
    for values in message.attributes.values() {
        line += &format!(", attributes {}", from_struct(values));
    }
    line
}
