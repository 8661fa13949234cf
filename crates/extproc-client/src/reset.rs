//! Streams that ended without an answer, in the words of response code details.

use std::{borrow::Cow, io::ErrorKind};

use h2::Reason;

use crate::{connect::ConnectError, status::GrpcStatus};

/// Why a stream ended without a status from the processor. The texts are Envoy's (F-8, F-12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResetReason {
    /// The processor reset the stream.
    RemoteReset,
    /// The processor did not accept the stream: it said so, or it had announced to accept no more.
    RemoteRefusedStream,
    /// HTTP/2 was not obeyed, in its opinion or in ours.
    ProtocolError,
    /// The connection broke.
    ConnectionTermination,
    /// No connection could be established in time.
    ConnectionTimeout,
    /// No connection could be established; the transport's own words.
    RemoteConnectionFailure(String),
    /// Too many exchanges wait already.
    Overflow,
}

impl ResetReason {
    fn text(&self) -> &'static str {
        match self {
            Self::RemoteReset => "remote reset",
            Self::RemoteRefusedStream => "remote refused stream reset",
            Self::ProtocolError => "protocol error",
            Self::ConnectionTermination => "connection termination",
            Self::ConnectionTimeout => "connection timeout",
            Self::RemoteConnectionFailure(_) => "remote connection failure",
            Self::Overflow => "overflow",
        }
    }

    /// Whether there was no connection to begin with.
    pub(crate) fn is_connect_failure(&self) -> bool {
        matches!(self, Self::ConnectionTimeout | Self::RemoteConnectionFailure(_))
    }

    /// The status of an exchange that ends so before the processor answered.
    pub(crate) fn before_headers(&self, retried: bool) -> GrpcStatus {
        let introduction = if retried { "retried and the latest reset reason" } else { "reset reason" };
        let text = self.text();
        let transport: Cow<'_, str> = match self {
            Self::RemoteConnectionFailure(transport) if !transport.is_empty() => {
                format!("|{transport}").into()
            }
            _ => "".into(),
        };
        let details = format!("upstream_reset_before_response_started{{{text}{transport}}}");
        GrpcStatus {
            code: 14,
            message: format!(
                "upstream connect error or disconnect/reset before headers. {introduction}: {text}"
            ),
            details: details.replace(char::is_whitespace, "_"),
        }
    }

    /// The status of an exchange that ends so after the processor began to answer.
    pub(crate) fn after_headers(&self) -> GrpcStatus {
        let details = format!("upstream_reset_after_response_started{{{}}}", self.text());
        GrpcStatus { code: 13, message: String::new(), details: details.replace(' ', "_") }
    }
}

impl From<&h2::Error> for ResetReason {
    fn from(error: &h2::Error) -> Self {
        if error.is_reset() && error.is_remote() {
            match error.reason() {
                Some(Reason::REFUSED_STREAM) => Self::RemoteRefusedStream,
                Some(Reason::PROTOCOL_ERROR) => Self::ProtocolError,
                _ => Self::RemoteReset,
            }
        } else if error.is_go_away() && error.is_remote() {
            // Only streams the peer said it would not look at get this error.
            Self::RemoteRefusedStream
        } else if error.is_library() || is_flood(error) {
            Self::ProtocolError
        } else {
            Self::ConnectionTermination
        }
    }
}

/// The connection ended because the processor had sent too much of what moves nothing.
fn is_flood(error: &h2::Error) -> bool {
    error.get_io().is_some_and(|error| error.kind() == ErrorKind::InvalidData)
}

impl From<ConnectError> for ResetReason {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Remote(transport) => Self::RemoteConnectionFailure(transport),
            ConnectError::Timeout => Self::ConnectionTimeout,
        }
    }
}
