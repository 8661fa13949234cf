//! Drives one exchange: hands what the gateway sends to the handler, and the handler's wishes to the gateway.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use extproc::{
    Direction,
    messages::{ProcessingRequest, ProcessingResponse},
};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::Span;

use super::{
    End, Exchange, InPieces, answer, head,
    pass::Passing,
    pump::{Pump, Purpose},
    shared::Shared,
    shown::HeadMessage,
};
use crate::{
    Body, BoxError, Failure, Next, Outcome, Request, Response, Status,
    body::{Kind, Reader},
    counters::{Counters, count},
    failure::{OnError, caught},
    handler::{BoxHandler, HandlerFuture},
    service::{Exchanger, decoded},
    throttle::Throttle,
    trace::MakeSpan,
};

/// Bytes of bodies that may lie here unread before no more is read for the exchange.
const QUEUE: usize = 64 << 10;

/// What all exchanges of a server have in common.
#[derive(Debug)]
pub(crate) struct DriverSettings {
    pub(crate) handler_timeout: Duration,
    pub(crate) on_error: OnError,
    pub(crate) span: MakeSpan,
    pub(crate) counters: Arc<Counters>,
    pub(crate) warnings: Throttle,
}

/// How far the handler is.
enum Phase {
    /// Nothing has arrived.
    Idle,
    Running(HandlerFuture),
    /// It has returned; its bodies may still be under way.
    Returned,
    /// Nothing more will be said.
    Over,
}

/// One exchange.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    /// Wakes the handler: the exchange itself.
    waker: Waker,
    handler: Arc<BoxHandler>,
    settings: Arc<DriverSettings>,
    phase: Phase,
    pumps: Vec<Pump>,
    /// The response was given to the handler, and what is returned is made of it.
    end: End,
    failure: Option<Status>,
    timer: Option<Pin<Box<Sleep>>>,
    span: Span,
}

impl fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Driver").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Driver {
    pub(crate) fn new(handler: Arc<BoxHandler>, settings: Arc<DriverSettings>) -> Self {
        let shared = Shared::new();
        Self {
            waker: Waker::from(shared.clone()),
            shared,
            handler,
            settings,
            phase: Phase::Idle,
            pumps: Vec::new(),
            end: End::Closed,
            failure: None,
            timer: None,
            span: Span::none(),
        }
    }

    /// Lets everybody work. True if something was done, so that there may be an answer, or an end.
    fn step(&mut self) -> bool {
        let waker = self.waker.clone();
        let context = &mut Context::from_waker(&waker);
        match &mut self.phase {
            Phase::Idle => return self.start(),
            Phase::Running(handler) => {
                self.shared.lock().waits = false;
                let span = &self.span;
                match caught(|| span.in_scope(|| handler.as_mut().poll(context))) {
                    Ok(Poll::Pending) => {
                        if !self.shared.lock().waits {
                            self.arm();
                        } else if self.shared.lock().closed {
                            self.over(End::Closed);
                            return true;
                        } else {
                            self.timer = None;
                        }
                    }
                    Ok(Poll::Ready(Ok(response))) => {
                        self.timer = None;
                        self.phase = Phase::Returned;
                        self.end = End::Completed;
                        if let Err(error) = self.returned(response) {
                            self.fail(&Failure::Error(error));
                        }
                        return self.again();
                    }
                    Ok(Poll::Ready(Err(error))) => {
                        self.fail(&Failure::Error(error));
                        return true;
                    }
                    Err(failure) => {
                        self.fail(&failure);
                        return true;
                    }
                }
            }
            Phase::Returned | Phase::Over => {}
        }
        self.take_pumps();
        let due = self.shared.lock().due_trailers();
        if let Some(due) = due {
            let (shared, span) = (&self.shared, &self.span);
            if let Err(failure) = caught(|| span.in_scope(|| due.change(shared))) {
                self.fail(&failure);
            }
            return self.again();
        }
        self.pump(context)
    }

    /// Everybody is to be asked again, although nobody is woken.
    fn again(&self) -> bool {
        self.shared.lock().look = true;
        true
    }

    /// Starts the handler when something of the request or of the response has arrived.
    fn start(&mut self) -> bool {
        let mut state = self.shared.lock();
        if !state.has_arrived() {
            let closed = state.closed;
            drop(state);
            if closed {
                self.over(End::Closed);
            }
            return closed;
        }
        let hidden;
        let side = state.side(Direction::Request);
        side.given = true;
        let shown = match &side.head {
            Some(head) => head,
            None => {
                hidden = head::hidden(Direction::Request);
                &hidden
            }
        };
        let parts = head::request(shown);
        drop(state);
        let parts = match parts {
            Ok(parts) => parts,
            Err(error) => {
                self.fail(&Failure::Error(error));
                return true;
            }
        };
        match caught(|| self.settings.span.of(&parts)) {
            Ok(span) => self.span = span,
            Err(failure) => {
                self.fail(&failure);
                return true;
            }
        }
        let reader = Reader::new(self.shared.clone(), Direction::Request);
        let mut request = Request::from_parts(parts, Kind::Reader(reader).into());
        request.extensions_mut().insert(Exchange { shared: self.shared.clone() });
        let next = Next::new(self.shared.clone());
        match caught(|| self.span.in_scope(|| (self.handler)(request, next))) {
            Ok(future) => self.phase = Phase::Running(future),
            Err(failure) => self.fail(&failure),
        }
        self.again()
    }

    /// The handler has returned a response: one that the gateway has shown, perhaps changed, or one of its own.
    fn returned(&mut self, response: Response) -> Result<(), BoxError> {
        let (parts, body) = response.into_parts();
        if !self.shared.lock().side(Direction::Response).given {
            return self.answer(parts, body);
        }
        let pump = Passing::Response(&parts).pass(&self.shared, body)?;
        self.pumps.extend(pump);
        Ok(())
    }

    /// Answers the client.
    fn answer(&mut self, parts: http::response::Parts, body: Body) -> Result<(), BoxError> {
        if self.shared.lock().session.is_observed() {
            return Ok(());
        }
        self.end = End::Responded;
        // What was under way is nobody's business any more.
        self.take_pumps();
        self.pumps.clear();
        if let Kind::Full(bytes) = body.kind {
            self.shared.lock().session.respond(answer::immediate(&parts, bytes));
        } else if parts.extensions.get::<InPieces>().is_some() {
            let head = head::written(parts.status, &parts.headers);
            self.shared.lock().session.respond_in_pieces(head)?;
            self.pumps.push(Pump::new(body, Purpose::AnswerInPieces));
        } else {
            self.pumps.push(Pump::new(body, Purpose::Answer(Box::new(parts))));
        }
        Ok(())
    }

    fn take_pumps(&mut self) {
        let mut state = self.shared.lock();
        if self.pumps.is_empty() {
            std::mem::swap(&mut self.pumps, &mut state.pumps);
        } else {
            self.pumps.append(&mut state.pumps);
        }
    }

    /// Writes bodies. True if one has ended.
    fn pump(&mut self, context: &mut Context<'_>) -> bool {
        let mut progress = false;
        let mut index = 0;
        while index < self.pumps.len() {
            self.shared.lock().waits = false;
            let (pump, shared, span) = (&mut self.pumps[index], &self.shared, &self.span);
            let polled = caught(|| span.in_scope(|| pump.poll(shared, context)));
            match polled {
                Ok(Poll::Pending) => {
                    let mut state = self.shared.lock();
                    let (waits, closed, sends) = (state.waits, state.closed, state.session.has_responses());
                    // The clock runs when that is sent.
                    state.look |= !waits && sends;
                    drop(state);
                    if waits && closed {
                        self.end = if self.end == End::Responded { End::Responded } else { End::Closed };
                        self.pumps.remove(index);
                        progress = true;
                        continue;
                    }
                    if !waits && !sends {
                        self.arm();
                    }
                    index += 1;
                }
                Ok(Poll::Ready(Ok(()))) => {
                    self.pumps.remove(index);
                    let is_at_work = self.timer.take().is_some();
                    let mut state = self.shared.lock();
                    state.look |= is_at_work || state.has_due_trailers();
                    progress = true;
                }
                Ok(Poll::Ready(Err(error))) => {
                    self.pumps.remove(index);
                    self.fail(&Failure::Error(error));
                    return true;
                }
                Err(failure) => {
                    self.pumps.remove(index);
                    self.fail(&failure);
                    return true;
                }
            }
        }
        progress
    }

    /// The author's code has work to do: from now on the clock runs.
    fn arm(&mut self) {
        if self.timer.is_none() && !self.shared.lock().session.is_observed() {
            self.timer = Some(Box::pin(sleep_until(Instant::now() + self.settings.handler_timeout)));
        }
    }

    fn fail(&mut self, failure: &Failure) {
        let counters = &self.settings.counters;
        count(match failure {
            Failure::Error(_) => &counters.errors,
            Failure::Panicked(_) => &counters.panics,
            Failure::TimedOut(_) => &counters.timeouts,
        });
        if let Some(suppressed) = self.settings.warnings.pass() {
            self.span.in_scope(|| tracing::error!(suppressed, "{failure}"));
        }
        self.again();
        let again = self.end == End::Failed;
        self.timer = None;
        self.pumps.clear();
        self.phase = Phase::Returned;
        self.end = End::Failed;
        if self.shared.lock().session.is_observed() {
            self.over(End::Failed);
            return;
        }
        let outcome = match again {
            true => Outcome::Status(Status::internal("the answer to a failure failed")),
            false => self.settings.on_error.decide(failure),
        };
        match outcome {
            Outcome::Status(status) => {
                self.failure = Some(status);
                self.over(End::Failed);
            }
            Outcome::Respond(response) => {
                let (mut parts, body) = response.into_parts();
                parts.extensions.remove::<InPieces>();
                if let Err(error) = self.answer(parts, body) {
                    tracing::error!("{error}");
                }
                self.end = End::Failed;
            }
        }
    }

    /// Nothing more is said.
    fn over(&mut self, end: End) {
        self.end = end;
        self.timer = None;
        self.pumps.clear();
        self.phase = Phase::Over;
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> bool {
        let expired = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready());
        if expired {
            self.fail(&Failure::TimedOut(self.settings.handler_timeout));
        }
        expired
    }
}

impl Exchanger for Driver {
    fn wants_input(&self) -> bool {
        let state = self.shared.lock();
        let asked = match self.phase {
            Phase::Idle => !state.has_arrived(),
            Phase::Running(_) => state.awaits_gateway(),
            Phase::Returned => self.pumps.is_empty() || state.awaits_gateway(),
            Phase::Over => false,
        };
        asked && !state.closed && !state.session.has_responses() && state.queued() < QUEUE
    }

    fn receive_encoded(&mut self, message: Bytes) -> Result<(), Status> {
        let Some(message) = HeadMessage::read(&message) else { return self.receive(decoded(message)?) };
        self.timer = None;
        self.shared.set_driven(true);
        self.shared.lock().receive_head(message);
        self.shared.set_driven(false);
        Ok(())
    }

    fn receive(&mut self, message: ProcessingRequest) -> Result<(), Status> {
        if message.request.is_none() {
            return Err(Status::invalid_argument("the message has no known part"));
        }
        self.timer = None;
        self.shared.set_driven(true);
        self.shared.lock().receive(message);
        self.shared.set_driven(false);
        Ok(())
    }

    fn close(&mut self) {
        self.shared.lock().close();
    }

    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<ProcessingResponse, Status>>> {
        loop {
            {
                let mut state = self.shared.lock();
                if let Some(status) = self.failure.take() {
                    return Poll::Ready(Some(Err(status)));
                }
                if state.session.has_responses()
                    && let Some(response) = state.session.poll_response()
                {
                    // The clock starts anew.
                    state.look |= self.timer.take().is_some();
                    return Poll::Ready(Some(Ok(response)));
                }
                if state.session.has_responded() || matches!(self.phase, Phase::Over) {
                    return Poll::Ready(None);
                }
                if state.closed && matches!(self.phase, Phase::Returned) && self.pumps.is_empty() {
                    return Poll::Ready(None);
                }
                if !state.driver.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    state.driver = Some(context.waker().clone());
                }
                self.shared.set_task(context.waker());
                let look = std::mem::take(&mut state.look);
                state.driven = self.shared.take_woken() || look;
                if !state.driven {
                    drop(state);
                    if self.poll_timer(context) {
                        continue;
                    }
                    return Poll::Pending;
                }
            }
            self.shared.set_driven(true);
            let progress = self.step();
            self.shared.set_driven(false);
            let mut state = self.shared.lock();
            state.driven = false;
            let sends = state.session.has_responses();
            drop(state);
            if !progress && !sends && !self.poll_timer(context) {
                if self.shared.is_woken() {
                    // By itself. Others may want to work before.
                    context.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
        }
    }

    fn buffered(&self) -> usize {
        self.shared.lock().buffered()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Bodies and callbacks may hold the exchange: nothing of it stays.
        let remains = self.shared.lock().end();
        let end = match (self.end, &self.phase) {
            (End::Completed, _) if !self.pumps.is_empty() => End::Closed,
            (end, _) => end,
        };
        for callback in remains.on_end {
            // One that panics takes nobody else along.
            let _ = caught(|| callback(end));
        }
    }
}
