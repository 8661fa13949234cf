//! The processor's side of one HTTP exchange: the mirror of [`exchange`](crate::exchange).
//!
//! A [`Session`] does no I/O and reads no clock. Its driver hands in what the gateway sends
//! ([`receive`](Session::receive)), shows the handler each [`Event`], and sends every message that
//! [`poll_response`](Session::poll_response) gives. The handler says what it wants of a message; the session knows which
//! replies that takes in the mode that is in force: their kind and order, the cut of pieces, `end_of_stream`,
//! `content-length`, and when a route is chosen again. What a mode cannot give is [`NotPossible`] at once, with the setting
//! that would make it possible.
//!
//! | | headers changed after reading the body | body rewritten whole | body rewritten in pieces | body replaced unread |
//! |---|---|---|---|---|
//! | `NONE` | – | – | – | [`replace`](Session::replace) |
//! | `BUFFERED` | in the reply to the body | yes | as whole | `replace` |
//! | `BUFFERED_PARTIAL` | in the reply to the body | the first part of it ([`Event::Cut`]) | as whole | `replace` |
//! | `STREAMED` | – | on the last piece, unless trailers end the body | the same | `replace` |
//! | `FULL_DUPLEX_STREAMED` | yes: the headers may wait | yes | yes | `replace` |
//!
//! ```
//! use bytes::Bytes;
//! use extproc::{BodySendMode, Direction, sim::{self, World}};
//! use extproc::session::{Event, Head, Rest, Session};
//!
//! let mut world = World::with_mode(sim::mode(|mode| mode.request_body_mode = BodySendMode::Buffered));
//! let mut session = Session::new();
//! world.headers(Direction::Request, false);
//! session.receive(world.sent.remove(0));
//! assert!(matches!(session.poll_event(), Some(Event::Headers { .. })));
//! session.proceed(Direction::Request, Head::default(), Rest::Rewrite)?;
//! world.message(&session.poll_response().expect("the reply to the headers"));
//!
//! world.data(Direction::Request, b"a secret", true);
//! session.receive(world.sent.remove(0));
//! assert!(matches!(session.poll_event(), Some(Event::Data { data, .. }) if data == "a secret"));
//! assert_eq!(session.poll_event(), Some(Event::End { direction: Direction::Request }));
//! session.write(Direction::Request, Bytes::from_static(b"a ***"))?;
//! session.finish(Direction::Request);
//! world.message(&session.poll_response().expect("the reply to the body"));
//! assert_eq!(world.body(Direction::Request), b"a ***");
//! # Ok::<(), extproc::session::NotPossible>(())
//! ```

mod duplex;
mod reply;
mod respond;
mod side;
#[cfg(test)]
mod tests;
mod wish;
mod wishes;

use std::time::Duration;

use bytes::Bytes;

use self::side::Side;
pub use self::wish::{Event, Head, NotPossible, Rest};
use crate::{
    BodySendMode, Direction, HeaderSendMode, Queue,
    messages::{
        self, HeaderMutation, Metadata, ProcessingRequest, ProcessingResponse, Struct, Value,
        processing_request::Request, processing_response::Response, value::Kind,
    },
};

/// The processor's side of one HTTP exchange.
#[derive(Debug)]
pub struct Session {
    request: Side,
    response: Side,
    link: Link,
}

/// What both directions share.
#[derive(Debug, Default)]
struct Link {
    /// Nothing is answered: the gateway sends copies.
    observed: bool,
    /// The processor has answered the client, or the stream has ended.
    over: bool,
    /// The processor answers the client itself, piece by piece: no reply to anything else is possible.
    responding: bool,
    /// Bodies are sent while the headers are not answered; then no mode can be changed.
    sends_early: bool,
    metadata_context: Option<Metadata>,
    /// Goes with the next reply.
    dynamic_metadata: Option<Struct>,
    responses: Queue<ProcessingResponse>,
    events: Queue<Event>,
}

impl Link {
    const fn is_empty(&self) -> bool {
        self.events.is_empty() && self.responses.is_empty()
    }

    fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    fn reply(&mut self, response: Response) {
        self.message(ProcessingResponse { response: Some(response), ..ProcessingResponse::default() });
    }

    fn message(&mut self, mut message: ProcessingResponse) {
        if self.observed || self.over || self.responding {
            return;
        }
        if message.response.is_some() {
            message.dynamic_metadata = self.dynamic_metadata.take();
        }
        self.responses.push_back(message);
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A session whose stream was opened.
    #[must_use]
    pub fn new() -> Self {
        Self {
            request: Side::new(Direction::Request),
            response: Side::new(Direction::Response),
            link: Link::default(),
        }
    }

    /// A message of the gateway arrived.
    pub fn receive(&mut self, message: ProcessingRequest) {
        let link = &mut self.link;
        link.observed |= message.observability_mode;
        if message.metadata_context.is_some() {
            link.metadata_context = message.metadata_context;
        }
        if let Some(config) = message.protocol_config {
            let mode = |number| BodySendMode::try_from(number).ok();
            self.request.mode = mode(config.request_body_mode);
            self.response.mode = mode(config.response_body_mode);
            link.sends_early = config.send_body_without_waiting_for_header_response;
        }
        let Some(request) = message.request else { return };
        let attributes = message.attributes;
        match request {
            Request::RequestHeaders(head) => self.request.on_headers(link, head, attributes),
            Request::ResponseHeaders(head) => self.response.on_headers(link, head, attributes),
            Request::RequestBody(body) => self.request.on_body(link, body.body, body.end_of_stream),
            Request::ResponseBody(body) => self.response.on_body(link, body.body, body.end_of_stream),
            Request::RequestTrailers(trailers) => self.request.on_trailers(link, trailers),
            Request::ResponseTrailers(trailers) => self.response.on_trailers(link, trailers),
        }
    }

    /// Headers of a message arrived, which the driver has read itself and keeps: as [`receive`](Self::receive), without an event.
    /// `has_length`: `content-length` is among them. What else the message says is received as one without a part.
    pub fn receive_headers(&mut self, direction: Direction, has_length: bool) {
        self.at(direction).0.on_kept_headers(has_length);
    }

    /// The next thing for the handler to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.link.events.pop_front()
    }

    /// The next message to send.
    pub fn poll_response(&mut self) -> Option<ProcessingResponse> {
        self.link.responses.pop_front()
    }

    /// Whether there is a message to send.
    #[must_use]
    pub fn has_responses(&self) -> bool {
        !self.link.responses.is_empty()
    }

    /// The stream has ended, or will: nothing more is received or sent.
    pub fn end(&mut self) {
        self.link.over = true;
        self.link.responses.clear();
    }

    /// Answers the headers, and says what becomes of the rest of the message.
    ///
    /// # Errors
    ///
    /// If the mode does not show the body that is to be rewritten, or no other mode can be asked for. Nothing was done then.
    pub fn proceed(&mut self, direction: Direction, head: Head, rest: Rest) -> Result<(), NotPossible> {
        self.side(direction).check_headers_owed()?;
        let modes = head.modes.map(|modes| self.checked(direction, modes)).transpose()?;
        let mode = match (&modes, direction) {
            (None, _) => self.side(direction).mode,
            (Some(modes), Direction::Request) => BodySendMode::try_from(modes.request_body_mode).ok(),
            (Some(modes), Direction::Response) => BodySendMode::try_from(modes.response_body_mode).ok(),
        };
        rest.check(direction, mode)?;
        if let Some(modes) = &modes {
            self.request.mode = BodySendMode::try_from(modes.request_body_mode).ok();
            self.response.mode = BodySendMode::try_from(modes.response_body_mode).ok();
        }
        let (side, link) = self.at(direction);
        side.answer_headers(link, head, modes, rest);
        Ok(())
    }

    /// Answers the headers with another body, whatever the mode. The original is dropped unread, with its trailers.
    ///
    /// # Errors
    ///
    /// If the headers were answered already, or not shown.
    pub fn replace(&mut self, direction: Direction, head: Head, body: Bytes) -> Result<(), NotPossible> {
        let (side, link) = self.at(direction);
        side.replace(link, head, body)
    }

    /// Says what becomes of a message whose headers were not shown ([`Event::Undecided`]), or changes what was said.
    ///
    /// # Errors
    ///
    /// If the mode does not show the body that is to be rewritten.
    pub fn decide(&mut self, direction: Direction, rest: Rest) -> Result<(), NotPossible> {
        let (side, link) = self.at(direction);
        rest.check(direction, side.mode)?;
        side.decide(link, rest);
        Ok(())
    }

    /// Changes the headers when the body was read.
    ///
    /// # Errors
    ///
    /// If they were passed on already, which they are with the reply to them in NONE, STREAMED and FULL_DUPLEX_STREAMED.
    pub fn change_headers(
        &mut self,
        direction: Direction,
        mutation: HeaderMutation,
    ) -> Result<(), NotPossible> {
        self.at(direction).0.change_headers(mutation)
    }

    /// Has the route chosen again with the reply to the body that was read.
    ///
    /// # Errors
    ///
    /// If the route cannot be chosen any more: only a collected body of a request is answered before it is.
    pub fn reroute(&mut self, direction: Direction) -> Result<(), NotPossible> {
        self.at(direction).0.reroute()
    }

    /// Writes a part of the new body, under [`Rest::Rewrite`].
    ///
    /// # Errors
    ///
    /// If nothing is left that could carry it: in STREAMED behind the last piece, and where the message has no body.
    pub fn write(&mut self, direction: Direction, data: Bytes) -> Result<(), NotPossible> {
        let (side, link) = self.at(direction);
        side.write(link, data)
    }

    /// The handler has done with the data it was shown and wants more: in STREAMED the piece is answered with what was
    /// written since the last one.
    pub fn next(&mut self, direction: Direction) {
        let (side, link) = self.at(direction);
        side.next(link);
    }

    /// The new body is complete. What still arrives of the original is dropped.
    pub fn finish(&mut self, direction: Direction) {
        let (side, link) = self.at(direction);
        side.finish(link);
    }

    /// Answers the trailers. The body must be finished, or is passed on when it is.
    pub fn trailers(&mut self, direction: Direction, mutation: Option<HeaderMutation>) {
        let (side, link) = self.at(direction);
        side.answer_trailers(link, mutation);
    }

    /// Asks for more time until the reply that is due. The gateway grants it once for each reply, and only up to its
    /// `max_message_timeout`, which is zero unless it is set.
    pub fn extend(&mut self, time: Duration) {
        let timeout = messages::Duration {
            seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(time.subsec_nanos()).unwrap_or(0),
        };
        self.link.message(ProcessingResponse {
            override_message_timeout: Some(timeout),
            ..ProcessingResponse::default()
        });
    }

    /// Dynamic metadata that goes with the next reply.
    pub fn set_metadata(&mut self, metadata: Struct) {
        self.link.dynamic_metadata = Some(metadata);
    }

    /// Adds a value to the dynamic metadata that goes with the next reply.
    pub fn add_metadata(&mut self, namespace: &str, key: &str, value: Value) {
        let metadata = self.link.dynamic_metadata.get_or_insert_default();
        let namespace = metadata.fields.entry(namespace.to_owned()).or_default();
        let values = match &mut namespace.kind {
            Some(Kind::StructValue(values)) => values,
            other => {
                *other = Some(Kind::StructValue(Struct::default()));
                let Some(Kind::StructValue(values)) = other else { return };
                values
            }
        };
        values.fields.insert(key.to_owned(), value);
    }

    /// The dynamic metadata that the gateway sent last.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.link.metadata_context.as_ref()
    }

    /// The body mode of a direction, where the gateway has said it: not before Envoy 1.32, and not in observability mode.
    #[must_use]
    pub fn mode(&self, direction: Direction) -> Option<BodySendMode> {
        self.side(direction).mode
    }

    /// Whether other modes can be asked for with the reply to the headers of `direction`.
    ///
    /// # Errors
    ///
    /// If the gateway would not consider them.
    pub fn check_modes(&self, direction: Direction) -> Result<(), NotPossible> {
        self.side(direction).check_headers_owed()?;
        self.checked(direction, messages::ProcessingMode::default()).map(|_| ())
    }

    /// Whether the headers of a message were shown and are not answered yet.
    #[must_use]
    pub fn owes_headers(&self, direction: Direction) -> bool {
        self.side(direction).headers == side::Headers::Owed
    }

    /// Bytes of bodies in events and messages that were not taken out, and in pieces that are not answered.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        let event = |event: &Event| match event {
            Event::Data { data, .. } => data.len(),
            _ => 0,
        };
        let link = &self.link;
        if !(self.request.has_bytes() || self.response.has_bytes()) && link.is_empty() {
            return 0;
        }
        self.request.buffered_bytes()
            + self.response.buffered_bytes()
            + link.events.iter().map(event).sum::<usize>()
            + link.responses.iter().map(reply::body_length).sum::<usize>()
    }

    /// Whether the gateway sends copies only, and awaits no answer.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.link.observed
    }

    /// Whether a reply is owed to the gateway.
    #[must_use]
    pub fn owes(&self) -> bool {
        !self.link.observed && !self.link.over && (self.request.owes() || self.response.owes())
    }

    /// The modes to ask for. A mode of the other direction stays as it is unless its headers are still to come.
    fn checked(
        &self,
        direction: Direction,
        mut modes: messages::ProcessingMode,
    ) -> Result<messages::ProcessingMode, NotPossible> {
        let duplex = Some(BodySendMode::FullDuplexStreamed);
        if self.link.sends_early || self.request.mode == duplex || self.response.mode == duplex {
            return Err(NotPossible {
                wanted: "ask for another mode",
                mode: self.side(direction).mode,
                setting: "neither body in FULL_DUPLEX_STREAMED, \
                    send_body_without_waiting_for_header_response: false",
            });
        }
        // These headers were sent already. A gateway that is told to skip them would refuse a new `content-length`.
        match direction {
            Direction::Request => modes.request_header_mode = HeaderSendMode::Default as i32,
            Direction::Response => {
                modes.response_header_mode = HeaderSendMode::Default as i32;
                if let Some(mode) = self.request.mode {
                    modes.request_body_mode = mode as i32;
                }
            }
        }
        Ok(modes)
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    fn at(&mut self, direction: Direction) -> (&mut Side, &mut Link) {
        match direction {
            Direction::Request => (&mut self.request, &mut self.link),
            Direction::Response => (&mut self.response, &mut self.link),
        }
    }
}
