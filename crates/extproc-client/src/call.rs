//! One exchange with a processor.

use std::{
    fmt,
    future::Future,
    iter,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use extproc::Slices;
use tokio::time::{Instant, Sleep, sleep};

use crate::{
    answer,
    client::ClientSettings,
    payload::{Backlog, Payload},
    pool::{Checkout, DetachedRequest, Ending, Endpoint, Endpoints, PendingRequest, PickError, StreamPermit},
    replay::Replay,
    reset::ResetReason,
    status::GrpcStatus,
    stream::{End, Progress, Stream},
    wire_size,
};

/// What [`Call::poll`] reports.
#[derive(Debug)]
pub enum Event {
    /// A whole reply, freed of its gRPC framing. Its bytes count against the flow-control window until they are given
    /// back with [`Call::credit`].
    Message(Slices),
    /// The exchange is over, and nothing follows. `Ok` is a clean end (F-11).
    Closed(Result<(), GrpcStatus>),
}

/// How an exchange is ended by this side (L-5, V-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Half-close, then reset (L-5 a).
    Reset,
    /// Half-close, then wait this long for the processor's own end before resetting (L-5 b). The caller does not wait.
    Graceful(Duration),
    /// Leave the stream open this long so that the processor can read what is in flight, then half-close and give it
    /// another second (V-6). An exchange that waits for a connection keeps waiting that long.
    Deferred(Duration),
}

/// One exchange with a processor: a gRPC stream that is opened when it is first polled. Dropping it is
/// [`Close::Reset`].
pub struct Call {
    endpoints: Rc<dyn Endpoints>,
    settings: Rc<ClientSettings>,
    endpoint: Rc<Endpoint>,
    state: State,
    /// The head of the stream, until it is certain that it is not needed again.
    request: Option<http::Request<()>>,
    /// What was queued since the last poll.
    outgoing: Payload,
    backlog: Rc<Backlog>,
    /// What was sent, while the exchange may be tried again.
    replay: Option<Replay>,
    retried: bool,
    /// Wire bytes of heads and messages.
    sent: u64,
    /// Bytes of messages that wait for a connection. They will share frames.
    waiting: usize,
    /// Wire bytes of streams that have ended.
    received: u64,
}

enum State {
    /// There is a connection to open the stream on.
    Ready(StreamPermit),
    Pending(PendingRequest),
    /// There is no connection, and it is too early to make one.
    Failed(ResetReason),
    Open(Box<Stream>),
    /// The exchange is tried again after a pause.
    Paused(Pin<Box<Sleep>>),
    Over,
}

impl From<Checkout> for State {
    fn from(checkout: Checkout) -> Self {
        match checkout {
            Checkout::Permit(permit) => Self::Ready(permit),
            Checkout::Pending(pending) => Self::Pending(pending),
            Checkout::Failed(reason) => Self::Failed(reason),
        }
    }
}

impl Call {
    /// Asks for a connection.
    ///
    /// # Errors
    ///
    /// The queue of exchanges that wait for one is full.
    pub(crate) fn new(
        endpoints: Rc<dyn Endpoints>,
        settings: Rc<ClientSettings>,
        endpoint: Rc<Endpoint>,
        request: http::Request<()>,
    ) -> Result<Self, PickError> {
        let backlog = Rc::<Backlog>::default();
        Ok(Self {
            state: endpoint.acquire()?.into(),
            endpoints,
            endpoint,
            request: Some(request),
            outgoing: Payload::new(backlog.clone()),
            backlog,
            replay: settings.retry.is_some().then(Replay::default),
            settings,
            retried: false,
            sent: 0,
            waiting: 0,
            received: 0,
        })
    }

    /// Queues a framed message (gRPC prefix included). It is sent at the next [`poll`](Self::poll), together with
    /// everything else that is queued by then. Without effect once the exchange is over.
    pub fn send(&mut self, frame: Bytes) {
        self.send_parts(frame, Slices::new());
    }

    /// As [`send`](Self::send), for a message whose last part is elsewhere: a large body is not copied behind its prefix.
    pub fn send_parts(&mut self, prefix: Bytes, body: Slices) {
        if matches!(self.state, State::Over) {
            return;
        }
        let length = prefix.len() + body.len();
        if matches!(self.state, State::Ready(_) | State::Open(_)) {
            self.sent += wire_size::data_frames(length);
        } else {
            self.waiting += length;
        }
        for piece in iter::once(prefix).chain(body) {
            if let (Some(replay), Some(policy)) = (&mut self.replay, &self.settings.retry)
                && !replay.keep(&piece, policy)
            {
                self.replay = None;
            }
            self.outgoing.push(piece);
        }
    }

    /// Whether less than 128 KiB are queued: above that the caller pauses what feeds the exchange (N-9). When half of
    /// that is left the task that last polled is woken.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.backlog.is_writable()
    }

    /// Bytes that were queued and have not been handed to the connection yet.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.backlog.queued()
    }

    /// Gives window back for this many bytes of the messages received: they have been forwarded or dropped, and the
    /// processor may send as many more. Framing is accounted for internally.
    pub fn credit(&mut self, bytes: usize) {
        if let State::Open(stream) = &mut self.state {
            stream.credit(bytes);
        }
    }

    /// Drives the exchange: connects, opens, sends, receives. Ready with each event, so it has to be called until it
    /// is pending. After [`Event::Closed`] always pending.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            match &mut self.state {
                State::Ready(_) => {
                    let State::Ready(permit) = std::mem::replace(&mut self.state, State::Over) else {
                        continue;
                    };
                    if let Err(status) = self.open(permit) {
                        return Poll::Ready(self.close_with(Err(status)));
                    }
                }
                State::Pending(pending) => match pending.poll(cx) {
                    Poll::Ready(Ok(permit)) => self.state = State::Ready(permit),
                    Poll::Ready(Err(reason)) => self.state = State::Failed(reason),
                    Poll::Pending => {
                        self.backlog.register(cx);
                        return Poll::Pending;
                    }
                },
                State::Failed(reason) => {
                    let reason = reason.clone();
                    if let Some(event) = self.failed(&reason) {
                        return Poll::Ready(event);
                    }
                }
                State::Open(stream) => {
                    stream.send(&mut self.outgoing);
                    let progress = match stream.poll(cx) {
                        Poll::Ready(progress) => progress,
                        Poll::Pending => {
                            self.backlog.register(cx);
                            return Poll::Pending;
                        }
                    };
                    if let Some(event) = self.progress(progress) {
                        return Poll::Ready(event);
                    }
                }
                State::Paused(pause) => {
                    if pause.as_mut().poll(cx).is_pending() {
                        self.backlog.register(cx);
                        return Poll::Pending;
                    }
                    if let Err(status) = self.reopen() {
                        return Poll::Ready(self.close_with(Err(status)));
                    }
                }
                State::Over => return Poll::Pending,
            }
        }
    }

    /// Ends the exchange. What is queued is still sent, except where [`Close::Reset`] finds no room for it or the
    /// stream could not be opened yet.
    pub fn close(mut self, close: Close) {
        self.leave(close);
    }

    /// Where the processor is, for logs.
    #[must_use]
    pub fn address(&self) -> &str {
        self.endpoint.address()
    }

    /// Whether it has the stream it waited for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Wire bytes sent for this exchange, or about to be: HTTP/2 frames with heads and messages, of all tries (G-7). What
    /// ends the exchange is not counted, so this is the final number when it is about to be closed.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.sent
    }

    /// Wire bytes received for this exchange (G-7).
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.received + if let State::Open(stream) = &self.state { stream.received() } else { 0 }
    }

    /// Opens the stream, or asks for another connection if this one has gone meanwhile.
    fn open(&mut self, permit: StreamPermit) -> Result<(), GrpcStatus> {
        if !permit.is_usable() {
            drop(permit);
            self.state = self.endpoint.acquire()?.into();
            return Ok(());
        }
        let request = if self.replay.is_some() { self.request.clone() } else { self.request.take() };
        let request = request.ok_or_else(|| answer::local(13))?;
        let size = permit.connection().requests.borrow_mut().request(&request);
        // The connection takes streams, so the request must be one that HTTP/2 cannot carry.
        let (response, send) = permit.open(request).map_err(|_| answer::local(13))?;
        self.sent += size;
        match std::mem::take(&mut self.waiting) {
            0 => {}
            waiting => self.sent += wire_size::data_frames(waiting),
        }
        let stream = Stream::new(permit, response, send, self.settings.max_receive_message_length);
        self.state = State::Open(Box::new(stream));
        Ok(())
    }

    /// Tries the exchange again on whatever endpoint is picked now.
    fn reopen(&mut self) -> Result<(), GrpcStatus> {
        self.endpoint = self.endpoints.pick()?;
        self.state = self.endpoint.acquire()?.into();
        Ok(())
    }

    fn progress(&mut self, progress: Progress) -> Option<Event> {
        match progress {
            Progress::Message(message) => Some(Event::Message(message)),
            Progress::Answered { status, grpc_status } => {
                let covered = self
                    .settings
                    .retry
                    .as_ref()
                    .is_some_and(|policy| policy.covers_answer(status, grpc_status));
                if !(covered && self.pause()) {
                    self.replay = None;
                    self.request = None;
                }
                None
            }
            Progress::End(End::ResetBeforeHead(reason)) => self.failed(&reason),
            Progress::End(End::ResetAfterHead(reason)) => Some(self.close_with(Err(reason.after_headers()))),
            Progress::End(End::Local(status)) => {
                self.leave(Close::Reset);
                Some(self.close_with(Err(status)))
            }
            Progress::End(End::Remote(result)) => {
                if let Some(stream) = self.take_stream() {
                    stream.end(&mut self.outgoing);
                }
                Some(self.close_with(result))
            }
        }
    }

    /// The stream broke, or there was none, before the processor answered.
    fn failed(&mut self, reason: &ResetReason) -> Option<Event> {
        let covered = self.settings.retry.as_ref().is_some_and(|policy| policy.covers_reset(reason));
        if covered && self.pause() {
            return None;
        }
        Some(self.close_with(Err(reason.before_headers(self.retried))))
    }

    /// Gives the stream up and waits before the next try. False if there is none.
    fn pause(&mut self) -> bool {
        let (Some(mut replay), Some(policy)) = (self.replay.take(), &self.settings.retry) else {
            return false;
        };
        let Some(pause) = replay.next(policy) else { return false };
        self.retried = true;
        self.leave(Close::Reset);
        self.outgoing.split();
        replay.fill(&mut self.outgoing);
        self.waiting = self.outgoing.remaining();
        self.replay = Some(replay);
        self.state = State::Paused(Box::pin(sleep(pause)));
        true
    }

    fn take_stream(&mut self) -> Option<Stream> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Open(stream) => {
                self.received += stream.received();
                Some(*stream)
            }
            _ => None,
        }
    }

    fn close_with(&mut self, result: Result<(), GrpcStatus>) -> Event {
        // What is left of a stream has ended, or is reset with its last handle.
        drop(self.take_stream());
        self.replay = None;
        self.outgoing.split();
        Event::Closed(result)
    }

    fn leave(&mut self, close: Close) {
        if !self.outgoing.is_empty()
            && close != Close::Reset
            && let State::Ready(_) = &self.state
            && let State::Ready(permit) = std::mem::replace(&mut self.state, State::Over)
        {
            // An error leaves nothing to close.
            let _ = self.open(permit);
        }
        if let Some(stream) = match &self.state {
            State::Open(_) => self.take_stream(),
            _ => None,
        } {
            let ending = match close {
                Close::Reset => Ending::Reset,
                Close::Graceful(timeout) => Ending::End(Instant::now() + timeout),
                Close::Deferred(timeout) => Ending::HalfClose(Instant::now() + timeout),
            };
            stream.leave(&mut self.outgoing, ending);
        }
        if let State::Pending(pending) = std::mem::replace(&mut self.state, State::Over)
            && let Close::Deferred(timeout) = close
            && let Some(request) = self.request.take()
            && !self.outgoing.is_empty()
        {
            let outgoing = self.outgoing.split();
            pending.detach(Box::new(DetachedRequest::new(request, outgoing, Instant::now() + timeout)));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.leave(Close::Reset);
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
