//! A message leaves the handler: which wish of the session that is.

use std::sync::Arc;

use bytes::Bytes;
use extproc::{
    BodySendMode, Direction,
    messages::HeaderMutation,
    session::{Head, NotPossible, Rest},
};
use http::{request, response};

use super::{
    head,
    pump::{Pump, Purpose},
    shared::{Shared, State},
};
use crate::{
    Body,
    body::{Kind, OnTrailers},
};

/// The head of a message that is passed on.
#[derive(Debug)]
pub(crate) enum Passing<'h> {
    Request(&'h request::Parts),
    Response(&'h response::Parts),
}

impl Passing<'_> {
    const fn direction(&self) -> Direction {
        match self {
            Self::Request(_) => Direction::Request,
            Self::Response(_) => Direction::Response,
        }
    }

    /// `length`: the new length of the body counts.
    fn difference(&self, state: &mut State, length: bool) -> Option<HeaderMutation> {
        let direction = self.direction();
        let hidden;
        let original = match &state.side(direction).head {
            Some(head) => head,
            None => {
                hidden = head::hidden(direction);
                &hidden
            }
        };
        match self {
            Self::Request(head) => head::request_difference(original, head, length),
            Self::Response(head) => head::response_difference(original, head, length),
        }
    }

    /// Passes a message on. What has to be written of its body is the driver's to do.
    ///
    /// # Errors
    ///
    /// If the mode cannot give it. The message can be passed on otherwise then.
    pub(crate) fn pass(self, shared: &Arc<Shared>, body: Body) -> Result<Option<Pump>, NotPossible> {
        // Dropped when the lock is not held any more: a body tells the exchange that nobody reads it.
        let mut body = Some(body);
        let mut state = shared.lock();
        match self.pass_locked(shared, &mut state, &mut body) {
            Err(_) if state.session.is_observed() => Ok(None),
            passed => passed,
        }
    }

    fn pass_locked(
        self,
        shared: &Arc<Shared>,
        state: &mut State,
        body: &mut Option<Body>,
    ) -> Result<Option<Pump>, NotPossible> {
        let direction = self.direction();
        if state.side(direction).passed {
            return Err(not_possible(state, direction, "pass a message on twice", "one call of next"));
        }
        let own =
            matches!(body, Some(Body { kind: Kind::Reader(reader), .. }) if reader.is_of(shared, direction));
        let untouched = own && !state.side(direction).reading;
        let mutation = self.difference(state, untouched);
        let owed = state.session.owes_headers(direction);
        if mutation.is_some() && state.side(direction).head.is_none() {
            let setting = match direction {
                Direction::Request => "request_header_mode: SEND",
                Direction::Response => "response_header_mode: SEND",
            };
            return Err(not_possible(state, direction, "change headers that are not shown", setting));
        }
        let on_trailers = body.as_mut().map(|body| std::mem::take(&mut body.on_trailers)).unwrap_or_default();
        let reroute = direction == Direction::Request && state.reroute;
        let head = Head { mutation, reroute, modes: state.modes };
        let pump = if untouched {
            untouched_body(state, direction, head, on_trailers)?;
            None
        } else if owed && !state.side(direction).reading && !is_derived(state, direction) {
            unread_body(state, direction, head, body)?
        } else {
            let pump = rewritten_body(state, direction, head, body)?;
            state.side(direction).on_trailers = on_trailers;
            pump
        };
        state.modes = None;
        state.side(direction).passed = true;
        state.take_events();
        state.wake_driver();
        Ok(pump)
    }
}

fn not_possible(
    state: &State,
    direction: Direction,
    wanted: &'static str,
    setting: &'static str,
) -> NotPossible {
    NotPossible { wanted, mode: state.session.mode(direction), setting }
}

/// Whether the new body can be made of the original one: somebody still has it. A message without a body has nothing to read.
fn is_derived(state: &mut State, direction: Direction) -> bool {
    let side = state.side(direction);
    !side.abandoned && !side.end_stream
}

fn untouched_body(
    state: &mut State,
    direction: Direction,
    head: Head,
    on_trailers: Vec<OnTrailers>,
) -> Result<(), NotPossible> {
    let rest = if on_trailers.is_empty() { Rest::Pass } else { Rest::PassBody };
    if state.session.owes_headers(direction) {
        state.session.proceed(direction, head, rest)?;
    } else {
        state.session.decide(direction, rest)?;
    }
    state.passed(direction, on_trailers);
    Ok(())
}

/// Another body instead of one that nobody has read.
fn unread_body(
    state: &mut State,
    direction: Direction,
    head: Head,
    body: &mut Option<Body>,
) -> Result<Option<Pump>, NotPossible> {
    if let Some(Body { kind: Kind::Full(bytes), .. }) = body {
        replace(state, direction, head, bytes.clone())?;
        return Ok(None);
    }
    let duplex = state.session.mode(direction) == Some(BodySendMode::FullDuplexStreamed);
    if duplex && !state.side(direction).end_stream {
        return rewritten_body(state, direction, head, body);
    }
    Ok(body.take().map(|body| Pump::new(body, Purpose::Replace(direction, Box::new(head)))))
}

/// Replaces the body without a look at it, in any mode.
pub(super) fn replace(
    state: &mut State,
    direction: Direction,
    head: Head,
    body: Bytes,
) -> Result<(), NotPossible> {
    if body.is_empty() && state.side(direction).end_stream {
        state.session.proceed(direction, head, Rest::Pass)?;
    } else {
        state.session.replace(direction, Head { modes: None, ..head }, body)?;
    }
    state.side(direction).written = true;
    Ok(())
}

fn rewritten_body(
    state: &mut State,
    direction: Direction,
    head: Head,
    body: &mut Option<Body>,
) -> Result<Option<Pump>, NotPossible> {
    if state.session.owes_headers(direction) {
        state.session.proceed(direction, head, Rest::Rewrite)?;
    } else if state.side(direction).head.is_none() {
        state.session.decide(direction, Rest::Rewrite)?;
    } else {
        if let Some(mutation) = head.mutation {
            state.session.change_headers(direction, mutation)?;
        }
        if head.reroute {
            state.session.reroute(direction)?;
        }
    }
    state.side(direction).reading = true;
    Ok(body.take().map(|body| Pump::new(body, Purpose::Write(direction))))
}
