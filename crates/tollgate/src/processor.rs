//! Sample processors that come with Tollgate: each a handler of `extproc_server`, made by a function.

pub(crate) mod events;
pub(crate) mod instructions;
pub(crate) mod layers;
pub(crate) mod log;
pub(crate) mod mark;
pub(crate) mod pick;
pub(crate) mod redact;
pub(crate) mod route;
pub(crate) mod token;

#[cfg(test)]
mod tests;
