//! A gateway in a test: the rules of a real one, without a network.
//!
//! [`TestGateway`] plays a request and a response through a handler, again and again: in different modes, with bodies cut in
//! different ways, with an upstream that is fast or slow. What comes of each play is [`Played`]: what upstream and client see.
//! A play fails by itself where the exchange hangs, and where the gateway would refuse or ignore something that the handler
//! wants: authors learn here, and not in production, that `host` cannot be changed.
//!
//! ```
//! use extproc_server::{Next, Request, Response, Result, test::TestGateway};
//!
//! async fn redact(request: Request, next: Next) -> Result<Response> {
//!     Ok(next.run(request).await?.map(|body| body.map_text(|text| text.replace("secret", "***"))))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! for played in TestGateway::new(redact).every_mode().get("/a").upstream("a secret").play().await {
//!     assert_eq!(played.client().text(), "a ***", "{played}");
//! }
//! # });
//! ```

mod message;
mod play;
mod played;
mod remote;
mod script;

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use extproc::{Attributes, BodySendMode, HeaderSendMode, messages::Struct};
pub use extproc::{Plan, ProcessingMode, lint::Rule};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;
use tracing::Span;

pub use self::{
    message::Message,
    played::{Played, Step, describe},
    remote::{Connection, RemoteExchange},
};
use self::{
    play::Pace,
    script::{Cut, Script},
};
use crate::{
    Failure, Handler, ListenAddress, Outcome, Status,
    exchange::{Driver, DriverSettings, into_struct},
    failure::OnError,
    handler,
    raw::{Raw, RawDriver},
    service::Exchanger,
    throttle::Throttle,
    trace::MakeSpan,
};

type New = dyn Fn(&Arc<DriverSettings>) -> Box<dyn Exchanger> + Send + Sync;

type ChangePlan = dyn Fn(&mut Plan) + Send + Sync;

/// A gateway in a test.
pub struct TestGateway {
    new: Box<New>,
    settings: Arc<DriverSettings>,
    modes: Vec<ProcessingMode>,
    change_plan: Vec<Box<ChangePlan>>,
    allowed: Vec<Rule>,
    patience: Duration,
    pause: Duration,
    pieces: Option<usize>,
    script: Script,
}

impl fmt::Debug for TestGateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TestGateway").field("script", &self.script).finish_non_exhaustive()
    }
}

/// A part of a request or of a response, as [`TestGateway`] takes it.
fn field(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    (name.parse().expect("a name of a field"), value.parse().expect("a value of a field"))
}

impl TestGateway {
    /// A gateway in front of an upstream, with this handler. Its mode sends headers and no bodies.
    pub fn new(handler: impl Handler) -> Self {
        let handler = Arc::new(handler::boxed(handler));
        Self::making(Box::new(move |settings| Box::new(Driver::new(handler.clone(), settings.clone()))))
    }

    /// As [`new`](Self::new), with a [raw](crate::raw) processor.
    pub fn raw<R: Raw>(new: impl Fn(&HeaderMap) -> R + Send + Sync + 'static) -> Self {
        Self::making(Box::new(move |settings| {
            Box::new(RawDriver::new(|| new(&HeaderMap::new()), settings.clone()))
        }))
    }

    /// As [`new`](Self::new), with the processor at an address, whatever it is written in. Play with
    /// [`report`](Self::report): a runtime with a paused clock does not wait for the network.
    ///
    /// # Errors
    ///
    /// If nobody listens there, or does not speak HTTP/2.
    pub async fn at(address: &ListenAddress) -> io::Result<Self> {
        Ok(Self::through(&Connection::to(address).await?))
    }

    /// As [`at`](Self::at), over a connection that is there.
    #[must_use]
    pub fn through(connection: &Connection) -> Self {
        let connection = connection.clone();
        Self::making(Box::new(move |_| Box::new(connection.exchange())))
    }

    fn making(new: Box<New>) -> Self {
        let settings = DriverSettings {
            handler_timeout: Duration::from_secs(60),
            on_error: OnError::default(),
            span: MakeSpan::default(),
            counters: Arc::default(),
            warnings: Throttle::default(),
        };
        Self {
            new,
            settings: Arc::new(settings),
            modes: Vec::new(),
            change_plan: Vec::new(),
            allowed: Vec::new(),
            patience: Duration::from_secs(300),
            pause: Duration::ZERO,
            pieces: None,
            script: Script::default(),
        }
    }

    /// Nobody else has them before it plays.
    fn settings(&mut self) -> &mut DriverSettings {
        Arc::get_mut(&mut self.settings).expect("nothing plays yet")
    }

    /// Plays in every body mode that shows bodies: STREAMED, BUFFERED, BUFFERED_PARTIAL and FULL_DUPLEX_STREAMED.
    #[must_use]
    pub fn every_mode(self) -> Self {
        use BodySendMode::{Buffered, BufferedPartial, FullDuplexStreamed, Streamed};
        [Streamed, Buffered, BufferedPartial, FullDuplexStreamed].into_iter().fold(self, Self::bodies)
    }

    /// Plays with both bodies in this mode, beside the modes that were named before.
    #[must_use]
    pub fn bodies(self, mode: BodySendMode) -> Self {
        // FULL_DUPLEX_STREAMED needs the trailers; in the other modes they are shown if there are some.
        let has_trailers = |script: &Script, duplex| duplex || script.has_trailers();
        let duplex = mode == BodySendMode::FullDuplexStreamed;
        let trailers = match has_trailers(&self.script, duplex) {
            true => HeaderSendMode::Send,
            false => HeaderSendMode::Default,
        };
        self.mode(ProcessingMode {
            request_body_mode: mode,
            response_body_mode: mode,
            request_trailer_mode: trailers,
            response_trailer_mode: trailers,
            ..ProcessingMode::default()
        })
    }

    /// Plays in this mode, beside those that were named before.
    #[must_use]
    pub fn mode(mut self, mode: ProcessingMode) -> Self {
        self.modes.push(mode);
        self
    }

    /// Changes other settings of the gateway.
    #[must_use]
    pub fn plan(mut self, change: impl Fn(&mut Plan) + Send + Sync + 'static) -> Self {
        self.change_plan.push(Box::new(change));
        self
    }

    /// Sends copies, as in observability mode.
    #[must_use]
    pub fn observed(self) -> Self {
        self.plan(|plan| plan.observability_mode = true)
    }

    /// Lets a mistake pass, which would fail the test.
    #[must_use]
    pub fn allow(mut self, rule: Rule) -> Self {
        self.allowed.push(rule);
        self
    }

    /// As [`Server::handler_timeout`](crate::Server::handler_timeout).
    #[must_use]
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.settings().handler_timeout = timeout;
        self
    }

    /// As [`Server::on_error`](crate::Server::on_error).
    #[must_use]
    pub fn on_error(mut self, decide: impl Fn(&Failure) -> Outcome + Send + Sync + 'static) -> Self {
        self.settings().on_error = OnError::new(decide);
        self
    }

    /// As [`Server::span`](crate::Server::span).
    #[must_use]
    pub fn span(mut self, make: impl Fn(&http::request::Parts) -> Span + Send + Sync + 'static) -> Self {
        self.settings().span = MakeSpan::new(make);
        self
    }

    /// The request: `GET`, without a body. Its target is a path, or a URL with another host than `example.com`.
    #[must_use]
    pub fn get(self, target: &str) -> Self {
        self.method(Method::GET, target)
    }

    /// The request: `POST` with a body.
    #[must_use]
    pub fn post(mut self, target: &str, body: impl Into<Bytes>) -> Self {
        self.script.request.body = Some(body.into());
        self.method(Method::POST, target)
    }

    /// The request: this method; with a body, if it was given one.
    #[must_use]
    pub fn method(mut self, method: Method, target: &str) -> Self {
        self.script.method = method;
        self.script.set_target(target);
        self
    }

    /// A field of the request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.script.request.fields.extend([field(name, value)]);
        self
    }

    /// A trailer of the request. Name it before the modes, so that they show it.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.script.request.trailers.get_or_insert_default().extend([field(name, value)]);
        self
    }

    /// The body of the upstream's response. Default: none, with status 200.
    #[must_use]
    pub fn upstream(mut self, body: impl Into<Bytes>) -> Self {
        self.script.response.body = Some(body.into());
        self
    }

    /// The status of the upstream's response.
    #[must_use]
    pub fn upstream_status(mut self, status: u16) -> Self {
        self.script.status = StatusCode::from_u16(status).expect("a status");
        self
    }

    /// A field of the upstream's response.
    #[must_use]
    pub fn upstream_header(mut self, name: &str, value: &str) -> Self {
        self.script.response.fields.extend([field(name, value)]);
        self
    }

    /// A trailer of the upstream's response. Name it before the modes, so that they show it.
    #[must_use]
    pub fn upstream_trailer(mut self, name: &str, value: &str) -> Self {
        self.script.response.trailers.get_or_insert_default().extend([field(name, value)]);
        self
    }

    /// An attribute that the gateway sends.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = crate::exchange::into_value(value.into());
        self.script.attributes.fields.insert(name.to_owned(), value);
        let expression = name.to_owned();
        self.plan(move |plan| {
            let known = plan.request_attributes.expressions().map(ToOwned::to_owned);
            let all = Attributes::parse(known.chain([expression.clone()])).expect("an attribute");
            (plan.request_attributes, plan.response_attributes) = (all.clone(), all);
        })
    }

    /// Dynamic metadata of the request, which the gateway forwards.
    #[must_use]
    pub fn metadata(mut self, namespace: &str, values: impl Into<Value>) -> Self {
        let values: Struct = into_struct(values.into());
        self.script.metadata.fields.insert(namespace.to_owned(), values.into());
        let namespace = namespace.to_owned();
        self.plan(move |plan| plan.metadata_options.forwarding_namespaces.untyped.push(namespace.clone()))
    }

    /// The client goes when the handler has got so many messages.
    #[must_use]
    pub fn client_leaves_after(mut self, messages: usize) -> Self {
        self.script.leaves_after = Some(messages);
        self
    }

    /// Cuts bodies into pieces of so many bytes, and in no other way.
    #[must_use]
    pub fn pieces(mut self, bytes: usize) -> Self {
        self.pieces = Some(bytes.max(1));
        self
    }

    /// The gateway pauses before it takes each answer, as one does whose peers read slowly.
    #[must_use]
    pub fn reads_slowly(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// How long nothing may happen before an exchange is said to hang. Default 5 minutes, which do not pass in a test with a paused
    /// clock.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Plays in each mode, with bodies in one piece, in single bytes, and cut in the middle with an end of its own, and with
    /// messages that come as soon as they can, or one at a time.
    ///
    /// # Panics
    ///
    /// If an exchange hangs, or the gateway would refuse or ignore what the handler wants. The exchange is printed.
    pub async fn play(self) -> Vec<Played> {
        let played = self.report().await;
        for played in &played {
            if let Some(problem) = played.problems().first() {
                panic!("{problem}\n{played}");
            }
        }
        played
    }

    /// As [`play`](Self::play), without a panic: the problems are in what was [played](Played::problems).
    pub async fn report(self) -> Vec<Played> {
        let modes = if self.modes.is_empty() { &[ProcessingMode::default()][..] } else { &self.modes };
        let of_pieces = self.pieces.map(|bytes| [Cut::Pieces(bytes)]);
        let cuts: &[Cut] = match &of_pieces {
            Some(cuts) => cuts,
            None if self.script.has_bodies() => &Cut::ALL,
            None => &[Cut::Whole],
        };
        let mut played = Vec::new();
        for &mode in modes {
            for &cut in cuts {
                for eager in [true, false] {
                    played.push(self.play_one(mode, cut, eager, Instant::now()).await);
                }
            }
        }
        played
    }

    /// Plays once, in the first mode, with bodies in one piece, and messages as soon as they can come. Times count from when
    /// the request was `due`: what has kept it from beginning then belongs to the first answer.
    pub async fn once(&self, due: Instant) -> Played {
        let mode = self.modes.first().copied().unwrap_or_default();
        let cut = self.pieces.map_or(Cut::Whole, Cut::Pieces);
        self.play_one(mode, cut, true, due).await
    }

    async fn play_one(&self, mode: ProcessingMode, cut: Cut, eager: bool, due: Instant) -> Played {
        let mut plan = Plan {
            processing_mode: mode,
            filter_processing_mode: mode,
            ..Plan::new("envoy.filters.http.ext_proc")
        };
        self.change_plan.iter().for_each(|change| change(&mut plan));
        let pace = Pace { eager, due, pause: self.pause, patience: self.patience };
        let mut played = play::play((self.new)(&self.settings), plan, &self.script, cut, pace).await;
        played.findings.retain(|finding| !self.allowed.contains(&finding.rule));
        played
    }
}

/// A status that the stream of the processor has ended with.
pub(crate) fn details(status: &Status) -> String {
    let text = status.message().replace(char::is_whitespace, "_");
    format!("ext_proc_error_gRPC_error_{}{{{text}}}", status.code() as i32)
}

#[cfg(test)]
mod tests;
