//! How connections to a processor are made.

use std::{future::Future, io::Error, pin::Pin};

use crate::io::Io;

/// A connection attempt under way. Dropping it gives the attempt up.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, ConnectError>>>>;

/// Makes connections to one address: looks it up if need be, sets socket options, speaks TLS if that is configured.
/// The time it may take is limited by [`EndpointSettings::connect_timeout`](crate::EndpointSettings::connect_timeout),
/// not here.
pub trait Connector: 'static {
    /// Starts an attempt. Its end is an established byte stream on which the HTTP/2 preface is the next thing sent.
    fn connect(&self) -> Connecting;
}

/// Why a connection could not be established, in the words that end up in response code details (F-8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The peer or the way to it failed; the text is the transport failure reason, e.g.
    /// `delayed connect error: Connection refused` or `TLS_error:…`.
    #[error("remote connection failure: {0}")]
    Remote(String),
    /// It took longer than the connect timeout.
    #[error("connection timeout")]
    Timeout,
}

impl ConnectError {
    /// A connect that failed after it was under way, which is what a refused TCP connection amounts to.
    #[must_use]
    pub fn delayed(error: &Error) -> Self {
        Self::Remote(format!("delayed connect error: {}", system_text(error)))
    }

    /// A connect that the system refused at once, e.g. because the network is unreachable or a Unix socket is missing.
    #[must_use]
    pub fn immediate(error: &Error) -> Self {
        Self::Remote(format!("immediate connect error: {}", system_text(error)))
    }
}

/// The system's text of an error without the number the standard library appends.
fn system_text(error: &Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
