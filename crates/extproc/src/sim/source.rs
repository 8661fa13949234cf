//! Messages that arrive in pieces, while there is room for them.

use std::collections::VecDeque;

use bytes::Bytes;

use super::World;
use crate::Direction;

/// A message that arrives: a head, pieces of a body, perhaps trailers.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The pieces that have not arrived yet.
    pub pieces: VecDeque<Bytes>,
    /// Trailers end it.
    pub trailers: bool,
    /// The last piece ends it, instead of an empty one behind it. Not with trailers.
    pub ends_with_piece: bool,
    next: Next,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Head,
    Body,
    Nothing,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// A part arrived.
    Part,
    /// There is no room for the next one.
    Blocked,
    /// Everything has arrived.
    Ended,
}

impl Source {
    /// A message of these pieces.
    #[must_use]
    pub fn new(pieces: impl IntoIterator<Item = Bytes>, trailers: bool) -> Self {
        Self { pieces: pieces.into_iter().collect(), trailers, ..Self::default() }
    }

    /// Whether its head has arrived.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.next != Next::Head
    }

    /// Whether everything has arrived.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.next == Next::Nothing
    }

    /// Nothing more arrives.
    pub fn end(&mut self) {
        self.next = Next::Nothing;
    }

    /// The next part arrives, if there is room.
    pub fn feed(&mut self, world: &mut World, direction: Direction) -> Fed {
        match self.next {
            Next::Nothing => Fed::Ended,
            Next::Head => {
                let end_stream = self.pieces.is_empty() && !self.trailers;
                self.next = if end_stream { Next::Nothing } else { Next::Body };
                world.headers(direction, end_stream);
                Fed::Part
            }
            Next::Body if !world.exchange.wants(direction) => Fed::Blocked,
            Next::Body => {
                let piece = self.pieces.pop_front();
                let last = self.pieces.is_empty();
                match piece {
                    Some(piece) => {
                        let end_stream = last && self.ends_with_piece && !self.trailers;
                        if end_stream {
                            self.next = Next::Nothing;
                        }
                        world.piece(direction, piece, end_stream);
                    }
                    None => {
                        self.next = Next::Nothing;
                        if self.trailers {
                            world.trailers(direction);
                        } else {
                            world.piece(direction, Bytes::new(), true);
                        }
                    }
                }
                Fed::Part
            }
        }
    }
}

/// A request, and the response that an upstream gives once the head of the request was passed on.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The client's message.
    pub request: Source,
    /// The upstream's.
    pub response: Source,
}

impl Sources {
    /// The next part of one message arrives, if there is one and room for it. A response arrives only when the head of the
    /// request was passed on, and only while neither the gateway nor the processor has answered itself.
    pub fn feed(&mut self, world: &mut World, direction: Direction) -> Fed {
        match direction {
            Direction::Request if world.is_answered() => Fed::Ended,
            Direction::Request => self.request.feed(world, direction),
            Direction::Response if world.is_answered() || !world.streamed.is_empty() => Fed::Ended,
            Direction::Response if world.request.is_empty() => Fed::Blocked,
            Direction::Response => self.response.feed(world, direction),
        }
    }

    /// Whether both have arrived.
    #[must_use]
    pub fn have_ended(&self) -> bool {
        self.request.has_ended() && self.response.has_ended()
    }
}
