//! The answers of one exchange on their way to the gateway.

use std::task::{Context, Poll};

use bytes::Bytes;
use extproc::messages::ProcessingResponse;
use http_body::Frame;

use super::{Exchanger, Inbound, framed, trailers};
use crate::{Code, Status, failure::caught, limits::Place};

/// Reads messages when the exchange takes them, and asks it for answers when the gateway takes them: no queue, and no task
/// beside the stream's own.
pub(crate) struct Replies {
    /// Gone at the end of the stream, and with it the handler.
    exchange: Option<Box<dyn Exchanger>>,
    inbound: Inbound,
    place: Place,
    max_message_size: usize,
    /// The rest of the message that was sent last.
    payload: Option<Bytes>,
    /// Bytes of the message that is on its way.
    sending: usize,
    closed: bool,
}

/// How much was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// What the exchange wants. There may be more.
    Enough,
    /// All that has arrived.
    Everything,
}

impl Replies {
    pub(crate) fn new(
        exchange: Box<dyn Exchanger>,
        inbound: Inbound,
        place: Place,
        max_message_size: usize,
    ) -> Self {
        let exchange = Some(exchange);
        Self { exchange, inbound, place, max_message_size, payload: None, sending: 0, closed: false }
    }

    pub(crate) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if let Some(payload) = self.payload.take() {
            return Poll::Ready(Some(Frame::data(payload)));
        }
        self.sending = 0;
        match self.poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(frame)),
            Poll::Ready(Some(Err(status))) => {
                self.exchange = None;
                Poll::Ready(Some(trailers(&status)))
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            let read = match self.read(context) {
                Ok(read) => read,
                Err(status) => return Poll::Ready(Some(Err(status))),
            };
            let Some(exchange) = &mut self.exchange else { return Poll::Ready(None) };
            match caught(|| exchange.poll_reply(context)) {
                Err(failure) => return Poll::Ready(Some(Err(Status::internal(failure.to_string())))),
                Ok(Poll::Ready(None)) => return Poll::Ready(Some(Err(Status::ok()))),
                Ok(Poll::Ready(Some(Err(status)))) => return Poll::Ready(Some(Err(status))),
                Ok(Poll::Ready(Some(Ok(message)))) => return Poll::Ready(Some(self.framed(message))),
                Ok(Poll::Pending) => {}
            }
            // What nobody wanted before may be wanted now; what has not arrived wakes this task when it does.
            let reads_on = read == Read::Enough && !self.closed && exchange.wants_input();
            if !reads_on {
                return match self.charge() {
                    Ok(()) => Poll::Pending,
                    Err(status) => Poll::Ready(Some(Err(status))),
                };
            }
        }
    }

    /// Hands in what has arrived, as far as the exchange wants it.
    fn read(&mut self, context: &mut Context<'_>) -> Result<Read, Status> {
        let Some(exchange) = &mut self.exchange else { return Ok(Read::Enough) };
        while !self.closed && exchange.wants_input() {
            if let Some(message) = self.inbound.next_encoded()? {
                exchange.receive_encoded(message)?;
                self.place.hold(self.inbound.buffered() + exchange.buffered())?;
                continue;
            }
            match self.inbound.poll_arrived(context)? {
                Poll::Pending => return Ok(Read::Everything),
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) => {
                    self.closed = true;
                    exchange.close();
                }
            }
        }
        Ok(Read::Enough)
    }

    /// A message on its way.
    fn framed(&mut self, message: ProcessingResponse) -> Result<Frame<Bytes>, Status> {
        let (message, payload) = framed(message);
        let bytes = message.len() + payload.as_ref().map_or(0, Bytes::len);
        if bytes > self.max_message_size.saturating_add(5) {
            let text = format!("an answer of {bytes} bytes is larger than the limit");
            return Err(Status::new(Code::OutOfRange, text));
        }
        self.payload = payload;
        self.sending = bytes;
        self.charge()?;
        Ok(Frame::data(message))
    }

    /// Counts what lies in memory for the exchange.
    fn charge(&self) -> Result<(), Status> {
        let exchange = self.exchange.as_ref().map_or(0, |exchange| exchange.buffered());
        self.place.hold(self.inbound.buffered() + exchange + self.sending)
    }
}
