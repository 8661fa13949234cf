//! What a handler can learn and ask beside the messages themselves.

use std::{sync::Arc, time::Duration};

use extproc::{BodySendMode, Direction, HeaderSendMode, messages::ProcessingMode, session::NotPossible};
use serde_json::Value;

use super::{shared::Shared, value};

/// One HTTP request and its response, with what the gateway knows about them. It is in the extensions of every
/// [`Request`](crate::Request), and [`Next::exchange`](crate::Next::exchange) gives it, too. Clones are the same exchange.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub(crate) shared: Arc<Shared>,
}

/// How an exchange has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// The handler has returned, and all that it wanted was said.
    Completed,
    /// The handler has answered the client itself.
    Responded,
    /// The handler failed.
    Failed,
    /// The gateway ended it before the handler returned: it needs nothing more, or the client has gone.
    Closed,
}

/// Modes to ask a gateway for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Modes {
    request_body: Option<BodySendMode>,
    response_headers: HeaderSendMode,
    response_body: Option<BodySendMode>,
    request_trailers: HeaderSendMode,
    response_trailers: HeaderSendMode,
}

impl Modes {
    /// Everything as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How the body of the request is sent.
    #[must_use]
    pub fn request_body(self, mode: BodySendMode) -> Self {
        Self { request_body: Some(mode), ..self }
    }

    /// How the body of the response is sent.
    #[must_use]
    pub fn response_body(self, mode: BodySendMode) -> Self {
        Self { response_body: Some(mode), ..self }
    }

    /// Whether the headers of the response are sent.
    #[must_use]
    pub fn response_headers(self, mode: HeaderSendMode) -> Self {
        Self { response_headers: mode, ..self }
    }

    /// Whether the trailers of the request are sent.
    #[must_use]
    pub fn request_trailers(self, mode: HeaderSendMode) -> Self {
        Self { request_trailers: mode, ..self }
    }

    /// Whether the trailers of the response are sent.
    #[must_use]
    pub fn response_trailers(self, mode: HeaderSendMode) -> Self {
        Self { response_trailers: mode, ..self }
    }
}

impl Exchange {
    /// An attribute, by the name that the gateway is configured to send (`request_attributes`, `response_attributes`). Those
    /// of the response are there when its head is.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Value> {
        self.shared.lock().attributes.fields.get(name).map(value::from)
    }

    /// Dynamic metadata of the request in a namespace that the gateway is configured to forward, as it was with the last
    /// message.
    #[must_use]
    pub fn metadata(&self, namespace: &str) -> Option<Value> {
        let state = self.shared.lock();
        state.session.metadata()?.filter_metadata.get(namespace).map(value::from_struct)
    }

    /// Adds a value to the dynamic metadata of the request. It goes with the next reply, so set it before a message is passed
    /// on. The gateway takes it if its `receiving_namespaces` has the namespace.
    pub fn set_metadata(&self, namespace: &str, key: &str, value: impl Into<Value>) {
        self.shared.lock().session.add_metadata(namespace, key, value::into(value.into()));
    }

    /// Has the gateway choose the route again when the request is passed on, by its changed head. The configuration of the
    /// gateway may forbid it (`route_cache_action: RETAIN`).
    pub fn reroute(&self) {
        self.shared.lock().reroute = true;
    }

    /// Asks for other modes, with the reply to the head of the request, or, once that is passed on, to that of the response.
    /// The gateway needs `allow_mode_override`, and does not say whether it granted them: what is not granted and waited for
    /// never comes.
    ///
    /// # Errors
    ///
    /// If the gateway would not consider it: the head is passed on already, or a body is in FULL_DUPLEX_STREAMED.
    pub fn wants(&self, modes: Modes) -> Result<(), NotPossible> {
        let mut state = self.shared.lock();
        let passed = state.side(Direction::Request).passed;
        let direction = if passed { Direction::Response } else { Direction::Request };
        state.session.check_modes(direction)?;
        let present = |direction| state.session.mode(direction).unwrap_or_default();
        let (request, response) = (present(Direction::Request), present(Direction::Response));
        state.modes = Some(ProcessingMode {
            request_header_mode: HeaderSendMode::Default as i32,
            response_header_mode: modes.response_headers as i32,
            request_body_mode: modes.request_body.unwrap_or(request) as i32,
            response_body_mode: modes.response_body.unwrap_or(response) as i32,
            request_trailer_mode: modes.request_trailers as i32,
            response_trailer_mode: modes.response_trailers as i32,
        });
        Ok(())
    }

    /// Asks the gateway to wait longer for the answer that it waits for now. It grants that once for each answer, and only up
    /// to its `max_message_timeout`, which is zero unless it is set.
    ///
    /// # Errors
    ///
    /// If no deadline runs: the gateway waits for nothing, or sends copies, or a body is in FULL_DUPLEX_STREAMED.
    pub fn extend(&self, time: Duration) -> Result<(), NotPossible> {
        let mut state = self.shared.lock();
        let direction =
            if state.side(Direction::Response).arrived { Direction::Response } else { Direction::Request };
        let mode = state.session.mode(direction);
        let duplex = mode == Some(BodySendMode::FullDuplexStreamed);
        if duplex || !state.session.owes() {
            let setting = "an answer that is due, in another mode than FULL_DUPLEX_STREAMED";
            return Err(NotPossible { wanted: "get more time", mode, setting });
        }
        state.session.extend(time);
        state.wake_driver();
        Ok(())
    }

    /// Whether the gateway sends copies only and awaits nothing (`observability_mode`). Whatever the handler does changes
    /// nothing then.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.shared.lock().session.is_observed()
    }

    /// Whether the gateway shows the head of the message of this direction. One that is not shown looks empty: `GET /`, or
    /// 200, without fields. Known when the message is there.
    #[must_use]
    pub fn shows_head(&self, direction: Direction) -> bool {
        self.shared.lock().side(direction).head.is_some()
    }

    /// The body mode of a direction, where the gateway says it (Envoy since 1.32, and not in observability mode).
    #[must_use]
    pub fn body_mode(&self, direction: Direction) -> Option<BodySendMode> {
        self.shared.lock().session.mode(direction)
    }

    /// Calls this when the exchange has ended, however that comes about.
    pub fn on_end(&self, callback: impl FnOnce(End) + Send + 'static) {
        self.shared.lock().on_end.0.push(Box::new(callback));
    }
}
