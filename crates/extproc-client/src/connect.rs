//! How connections to a processor are made.

use std::{
    fmt::Display,
    future::Future,
    io::{Error, ErrorKind},
    pin::Pin,
};

use http2_io::{Flood, Io};

/// A connection attempt under way. Dropping it gives the attempt up.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, ConnectError>>>>;

/// Makes connections to one address: looks it up if need be, sets socket options, speaks TLS if that is configured.
/// The time it may take is limited by [`EndpointSettings::connect_timeout`](crate::EndpointSettings::connect_timeout),
/// not here.
pub trait Connector: 'static {
    /// Starts an attempt. Its end is an established byte stream on which the HTTP/2 preface is the next thing sent.
    fn connect(&self) -> Connecting;

    /// A connection was closed because the peer did not answer a PING. Does nothing by default.
    fn ping_unanswered(&self) {}

    /// A connection was closed because the peer sent too much of what moves nothing. Does nothing by default.
    fn flooded(&self, flood: Flood) {
        let _ = flood;
    }
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
    /// A TCP connection to `address` that could not be established. What the system notices without asking the peer
    /// is reported with the address, as Envoy does.
    #[must_use]
    pub fn tcp(error: &Error, address: impl Display) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::HostUnreachable
            | ErrorKind::TimedOut
            | ErrorKind::BrokenPipe => Self::Remote(format!("delayed connect error: {}", system_text(error))),
            _ => Self::immediate(error, address),
        }
    }

    /// A connection to the Unix socket at `path` that could not be established, which the system always knows at once.
    #[must_use]
    pub fn unix(error: &Error, path: impl Display) -> Self {
        Self::immediate(error, path)
    }

    /// TLS that could not be established.
    #[must_use]
    pub fn tls(error: impl Display) -> Self {
        Self::Remote(format!("TLS_error:|{error}:TLS_error_end"))
    }

    fn immediate(error: &Error, address: impl Display) -> Self {
        Self::Remote(format!("immediate connect error: {}|remote address:{address}", system_text(error)))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// F-8: as observed on Envoy 1.39.3.
    #[test]
    fn failures_have_envoys_words() {
        let refused = Error::from_raw_os_error(111);
        assert_eq!(
            ConnectError::tcp(&refused, "127.0.0.1:1"),
            ConnectError::Remote("delayed connect error: Connection refused".to_owned())
        );
        let missing = Error::from_raw_os_error(2);
        assert_eq!(
            ConnectError::unix(&missing, "/run/processor.sock"),
            ConnectError::Remote(
                "immediate connect error: No such file or directory|remote address:/run/processor.sock"
                    .to_owned()
            )
        );
        let unreachable = Error::from_raw_os_error(101);
        assert_eq!(
            ConnectError::tcp(&unreachable, "192.0.2.1:80"),
            ConnectError::Remote(
                "immediate connect error: Network is unreachable|remote address:192.0.2.1:80".to_owned()
            )
        );
    }
}
