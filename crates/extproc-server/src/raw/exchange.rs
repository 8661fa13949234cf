//! The stream of a raw processor.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use extproc::messages::{ProcessingRequest, ProcessingResponse};
use prost::Message;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Raw;
use crate::{
    Failure, Outcome, Status,
    body::Kind,
    counters::count,
    exchange::{DriverSettings, immediate},
    failure::caught,
    service::Exchanger,
};

/// Messages that may wait to be sent.
const OUTBOX: usize = 4;

/// The gateway has ended the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway has ended the exchange")]
pub struct Gone;

/// The stream of one exchange: messages come and go.
#[derive(Debug, Clone)]
pub struct RawExchange(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    message: Option<ProcessingRequest>,
    outbox: VecDeque<ProcessingResponse>,
    closed: bool,
    /// It waits for the next message.
    asks: bool,
    waits: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    driver: Option<Waker>,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("State").field("closed", &self.closed).finish_non_exhaustive()
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl RawExchange {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message of the gateway; `None` when it sends nothing more.
    pub async fn next(&self) -> Option<ProcessingRequest> {
        poll_fn(|context| {
            let mut state = self.lock();
            match state.message.take() {
                Some(message) => {
                    wake(&mut state.driver);
                    Poll::Ready(Some(message))
                }
                None if state.closed => Poll::Ready(None),
                None => {
                    state.reader = Some(context.waker().clone());
                    (state.asks, state.waits) = (true, true);
                    wake(&mut state.driver);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Sends a message, when the gateway has room for it.
    ///
    /// # Errors
    ///
    /// If the gateway has ended the exchange.
    pub async fn send(&self, message: ProcessingResponse) -> Result<(), Gone> {
        let mut message = Some(message);
        poll_fn(|context| {
            let mut state = self.lock();
            if state.outbox.len() < OUTBOX {
                state.outbox.extend(message.take());
                wake(&mut state.driver);
                return Poll::Ready(Ok(()));
            }
            state.writer = Some(context.waker().clone());
            state.waits = true;
            Poll::Pending
        })
        .await
    }
}

type Running = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// Drives one raw exchange.
pub(crate) struct RawDriver {
    exchange: RawExchange,
    running: Option<Running>,
    /// How it ends when everything is sent.
    ended: Option<Result<(), Status>>,
    settings: Arc<DriverSettings>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl RawDriver {
    pub(crate) fn new<R: Raw>(make: impl FnOnce() -> R, settings: Arc<DriverSettings>) -> Self {
        let exchange = RawExchange(Arc::default());
        let mut driver =
            Self { exchange: exchange.clone(), running: None, ended: None, settings, timer: None };
        match caught(make) {
            Ok(raw) => driver.running = Some(Box::pin(raw.run(exchange))),
            Err(failure) => driver.fail(&failure),
        }
        driver
    }

    fn fail(&mut self, failure: &Failure) {
        self.running = None;
        self.timer = None;
        let counters = &self.settings.counters;
        count(match failure {
            Failure::TimedOut(_) => &counters.timeouts,
            _ => &counters.panics,
        });
        if let Some(suppressed) = self.settings.warnings.pass() {
            tracing::error!(suppressed, "{failure}");
        }
        self.ended = Some(match self.settings.on_error.decide(failure) {
            Outcome::Status(status) => Err(status),
            Outcome::Respond(response) => {
                let (head, body) = response.into_parts();
                match body.kind {
                    Kind::Full(bytes) => {
                        self.exchange.lock().outbox.push_back(immediate(&head, bytes));
                        Ok(())
                    }
                    _ => Err(Status::internal("a failure can be answered with a whole body only")),
                }
            }
        });
    }
}

impl Exchanger for RawDriver {
    fn wants_input(&self) -> bool {
        let state = self.exchange.lock();
        self.ended.is_none() && state.asks && !state.closed
    }

    fn receive(&mut self, message: ProcessingRequest) -> Result<(), Status> {
        self.timer = None;
        let mut state = self.exchange.lock();
        state.message = Some(message);
        state.asks = false;
        wake(&mut state.reader);
        Ok(())
    }

    fn close(&mut self) {
        let mut state = self.exchange.lock();
        state.closed = true;
        wake(&mut state.reader);
    }

    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<ProcessingResponse, Status>>> {
        loop {
            {
                let mut state = self.exchange.lock();
                if let Some(message) = state.outbox.pop_front() {
                    wake(&mut state.writer);
                    drop(state);
                    self.timer = None;
                    return Poll::Ready(Some(Ok(message)));
                }
                // It is looked at again below, so that nobody has to wake it meanwhile.
                state.driver = None;
                state.waits = false;
            }
            match self.ended.take() {
                Some(Ok(())) => return Poll::Ready(None),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => {}
            }
            let Some(running) = &mut self.running else { return Poll::Ready(None) };
            match caught(|| running.as_mut().poll(context)) {
                Ok(Poll::Ready(result)) => {
                    self.running = None;
                    self.timer = None;
                    if let Err(status) = &result {
                        count(&self.settings.counters.errors);
                        if let Some(suppressed) = self.settings.warnings.pass() {
                            tracing::error!(suppressed, "the processor failed: {status}");
                        }
                    }
                    self.ended = Some(result);
                }
                Ok(Poll::Pending) => {
                    let mut state = self.exchange.lock();
                    state.driver = Some(context.waker().clone());
                    let (sends, waits, room) =
                        (!state.outbox.is_empty(), state.waits, state.message.is_none());
                    drop(state);
                    if sends {
                        continue;
                    }
                    if waits && room {
                        self.timer = None;
                        return Poll::Pending;
                    }
                    let timeout = self.settings.handler_timeout;
                    let timer =
                        self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + timeout)));
                    if timer.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    self.fail(&Failure::TimedOut(timeout));
                }
                Err(failure) => self.fail(&failure),
            }
        }
    }

    fn buffered(&self) -> usize {
        let state = self.exchange.lock();
        state.message.as_ref().map_or(0, Message::encoded_len)
            + state.outbox.iter().map(Message::encoded_len).sum::<usize>()
    }
}
