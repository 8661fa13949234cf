//! A body of the handler's on its way to the gateway.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use extproc::{
    Direction,
    session::{Head, NotPossible},
};
use http::{HeaderMap, response};
use http_body::Body as _;

use super::{answer, head, pass, shared::Shared};
use crate::{Body, BoxError, TooLarge, body::DEFAULT_LIMIT};

/// Largest answer of a processor that is collected.
const LARGEST_ANSWER: usize = 16 << 20;

/// What a body is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// It is the new body of a message, piece by piece.
    Write(Direction),
    /// It takes the place of one that nobody reads, as a whole.
    Replace(Direction, Box<Head>),
    /// It answers the client, as a whole.
    Answer(Box<response::Parts>),
    /// It answers the client, piece by piece.
    AnswerInPieces,
}

/// A body, and what it is for.
#[derive(Debug)]
pub(crate) struct Pump {
    body: Body,
    purpose: Purpose,
    collected: BytesMut,
    trailers: Option<HeaderMap>,
}

impl Pump {
    pub(crate) fn new(body: Body, purpose: Purpose) -> Self {
        Self { body, purpose, collected: BytesMut::new(), trailers: None }
    }

    /// Takes pieces of the body, as long as nothing waits to be sent. Ready at its end.
    pub(crate) fn poll(
        &mut self,
        shared: &Arc<Shared>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), BoxError>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else {
                return Poll::Ready(self.finish(shared).map_err(Into::into));
            };
            match frame?.into_data() {
                Ok(data) if data.is_empty() => continue,
                Ok(data) => self.data(shared, data)?,
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
            let mut state = shared.lock();
            if state.session.has_responses() {
                // It is asked again when they are sent.
                state.look = true;
                return Poll::Pending;
            }
        }
    }

    fn data(&mut self, shared: &Arc<Shared>, data: Bytes) -> Result<(), BoxError> {
        let limit = match &self.purpose {
            Purpose::Write(direction) => {
                return shared.lock().session.write(*direction, data).map_err(Into::into);
            }
            Purpose::AnswerInPieces => {
                shared.lock().session.respond_piece(data, false);
                return Ok(());
            }
            Purpose::Replace(..) => DEFAULT_LIMIT,
            Purpose::Answer(_) => LARGEST_ANSWER,
        };
        if self.collected.len() + data.len() <= limit {
            self.collected.extend_from_slice(&data);
            shared.lock().collected += data.len();
            return Ok(());
        }
        Err(match &self.purpose {
            Purpose::Answer(_) => format!("the answer is larger than {limit} bytes; send it InPieces").into(),
            _ => TooLarge { limit }.into(),
        })
    }

    fn finish(&mut self, shared: &Arc<Shared>) -> Result<(), NotPossible> {
        let mut state = shared.lock();
        let body = std::mem::take(&mut self.collected).freeze();
        state.collected = state.collected.saturating_sub(body.len());
        match &mut self.purpose {
            Purpose::Write(direction) => state.finish(*direction, self.trailers.as_ref()),
            Purpose::Replace(direction, head) => {
                pass::replace(&mut state, *direction, std::mem::take(head), body)
            }
            Purpose::Answer(head) => {
                state.session.respond(answer::immediate(head, body));
                Ok(())
            }
            Purpose::AnswerInPieces => {
                match self.trailers.take() {
                    Some(trailers) => state.session.respond_trailers(head::written_fields(&trailers)),
                    None => state.session.respond_piece(Bytes::new(), true),
                }
                Ok(())
            }
        }
    }
}
