//! The exchange against scripted processors, with a clock of its own.

mod bodies;
mod failures;
mod headers;
mod legal;
mod overrides;
mod properties;
