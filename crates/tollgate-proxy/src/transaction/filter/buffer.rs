//! Requests go on only when they are there as a whole.

use extproc::Direction;
use http::{HeaderValue, header::CONTENT_LENGTH};
use tollgate_model::filter::Buffer as Settings;

use super::{Action, Context, Filter, FilterPlace, held::HeldParts};
use crate::transaction::{chain::Part, core::Core};

/// The filter at work on one request.
#[derive(Debug)]
pub(in crate::transaction) struct Buffer {
    limit: usize,
    state: State,
    /// What has come and may not pass yet.
    waiting: HeldParts,
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
        Self { limit: settings.max_request_bytes, state: State::Collecting, waiting: HeldParts::default() }
    }

    fn request(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        if self.state != State::Collecting {
            return matches!(self.state, State::Open).then_some(Action::Forward(Direction::Request, part));
        }
        let ends = part.ends_stream();
        self.waiting.push(part);
        if self.waiting.bytes() > self.limit {
            self.waiting.clear();
            self.state = State::TooLarge(false);
        } else if ends {
            self.state = State::Open;
            // The length is known now.
            if self.waiting.len() > 1 {
                let fields = &mut cx.core.messages.request.fields;
                fields.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(self.waiting.bytes()));
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

    fn behind_request_headers(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        self.request(part, cx)
    }

    fn next_action(&mut self, _cx: &mut Context<'_>) -> Option<Action> {
        match self.state {
            State::Open => {
                let part = self.waiting.pop()?;
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
        self.waiting.bytes()
    }

    fn end(&mut self, _cx: &mut Context<'_>) {
        self.state = State::Open;
        self.waiting.clear();
    }
}
