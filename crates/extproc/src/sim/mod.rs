//! A gateway around one exchange, without any I/O: with a clock of its own and a record of all that came out.
//!
//! [`World`] drives an [`Exchange`](crate::exchange::Exchange) as a data plane does, and checks on the way what a data plane
//! relies on: one stream, nothing sent on it before it was opened or after it was closed, heads first, nothing after an
//! end. [`Sources`] feed it with a request and a response, in pieces, while there is room. Time passes only when a test says
//! so.
//!
//! ```
//! use extproc::{BodySendMode, Direction, sim::{self, Out, World}};
//!
//! let mut world = World::with_mode(sim::bodies(BodySendMode::Streamed));
//! world.headers(Direction::Request, false);
//! world.answer(sim::continue_headers(Direction::Request));
//! world.data(Direction::Request, b"a secret", true);
//! world.answer(sim::body_reply(Direction::Request, sim::body("a ***")));
//! assert_eq!(world.kinds(), ["request_headers", "request_body"]);
//! assert_eq!(world.body(Direction::Request), b"a ***");
//! assert!(matches!(world.request.last(), Some(Out::Data { end_stream: true, .. })));
//! ```

mod host;
mod reply;
mod source;
mod world;

pub use self::{
    host::Transaction,
    reply::{
        body, body_reply, continue_headers, duplex_reply, headers_reply, kind_of, streamed_head,
        streamed_piece, trailers_reply,
    },
    source::{Fed, Source, Sources},
    world::{Out, World, bodies, mode, plan},
};
