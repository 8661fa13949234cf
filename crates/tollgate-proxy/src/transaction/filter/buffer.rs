//! Requests go on only when they are there as a whole.

use std::collections::VecDeque;

use extproc::{Direction, Slices};
use http::{HeaderValue, header::CONTENT_LENGTH};
use tollgate_model::filter::Buffer as Settings;

use super::{Action, Context, Filter, FilterPlace};
use crate::transaction::{chain::Part, core::Core};

/// The filter at work on one request.
#[derive(Debug)]
pub(in crate::transaction) struct Buffer {
    limit: usize,
    state: State,
    /// What has come and may not pass yet.
    waiting: VecDeque<Part>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Collecting,
    Open,
    /// Whether that was said.
    TooLarge(bool),
}

impl Buffer {
    pub(super) fn begin(settings: &Settings, _place: FilterPlace, _core: &Core) -> Self {
        Self {
            limit: settings.max_request_bytes,
            state: State::Collecting,
            waiting: VecDeque::new(),
            bytes: 0,
        }
    }

    fn request(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        if self.state != State::Collecting {
            return matches!(self.state, State::Open).then_some(Action::Forward(Direction::Request, part));
        }
        let ends = part.ends_stream();
        if let Part::Data { data, .. } = &part {
            self.bytes += data.len();
        }
        self.waiting.push_back(part);
        if self.bytes > self.limit {
            self.waiting.clear();
            self.state = State::TooLarge(false);
        } else if ends {
            self.state = State::Open;
            // The length is known now.
            if self.waiting.len() > 1 {
                let fields = &mut cx.core.messages.request.fields;
                fields.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(self.bytes));
            }
        }
        self.next_action(cx)
    }
}

impl Filter for Buffer {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        let head = Part::Headers { end_stream };
        match direction {
            Direction::Request => {
                // What follows an upgrade has no end that could be waited for.
                if end_stream || cx.core.is_upgrade_asked() {
                    self.state = State::Open;
                }
                self.request(head, cx)
            }
            Direction::Response => Some(Action::Forward(direction, head)),
        }
    }

    fn data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        cx: &mut Context<'_>,
    ) -> Option<Action> {
        let piece = Part::Data { data, end_stream };
        match direction {
            Direction::Request => self.request(piece, cx),
            Direction::Response => Some(Action::Forward(direction, piece)),
        }
    }

    fn trailers(&mut self, direction: Direction, cx: &mut Context<'_>) -> Option<Action> {
        match direction {
            Direction::Request => self.request(Part::Trailers, cx),
            Direction::Response => Some(Action::Forward(direction, Part::Trailers)),
        }
    }

    fn next_action(&mut self, _cx: &mut Context<'_>) -> Option<Action> {
        match self.state {
            State::Open => {
                let part = self.waiting.pop_front()?;
                Some(Action::Forward(Direction::Request, part))
            }
            State::TooLarge(false) => {
                self.state = State::TooLarge(true);
                Some(Action::PayloadTooLarge(Direction::Request))
            }
            State::Collecting | State::TooLarge(true) => None,
        }
    }

    fn held(&self) -> usize {
        if self.waiting.is_empty() { 0 } else { self.bytes }
    }

    fn end(&mut self, _cx: &mut Context<'_>) {
        self.state = State::Open;
        self.waiting.clear();
    }
}
