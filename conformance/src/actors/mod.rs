//! The scripted parties of a scenario: client, upstreams, processors.

pub(crate) mod client;
pub(crate) mod http2;
pub(crate) mod processor;
pub(crate) mod replies;
pub(crate) mod sender;
pub(crate) mod upstream;

#[cfg(test)]
mod tests;
