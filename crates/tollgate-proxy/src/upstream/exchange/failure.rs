//! Why a request to an upstream failed, in Envoy's words.

use std::borrow::Cow;

use http::StatusCode;

/// Why an upstream gave no (complete) response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamFailure {
    /// The cluster has no endpoint that could be used (`UH`).
    #[error("no healthy upstream")]
    NoHealthyUpstream,
    /// A circuit breaker is open (`UO`).
    #[error("overflow")]
    Overflow,
    /// No connection could be established (`UF`).
    #[error("remote connection failure: {detail}")]
    ConnectionFailure {
        /// The transport failure reason, e.g. `delayed connect error: Connection refused`.
        detail: String,
    },
    /// A connection was not established within the cluster's connect timeout (`UF`).
    #[error("connection timeout")]
    ConnectTimeout,
    /// The connection was closed before the response began (`UC`).
    #[error("connection termination")]
    ConnectionTermination,
    /// The upstream reset the stream (`UR`).
    #[error("remote reset")]
    RemoteReset,
    /// The upstream refused the stream without having worked on it (`UR`).
    #[error("remote refused stream reset")]
    RemoteRefused,
    /// The upstream broke the protocol; a response that is cut off counts as such too (`UPE`).
    #[error("protocol error")]
    ProtocolError,
}

impl UpstreamFailure {
    /// Status of the local reply, if one can still be sent.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::ProtocolError => StatusCode::BAD_GATEWAY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Short name of the response flag.
    pub(crate) fn response_flag(&self) -> &'static str {
        match self {
            Self::NoHealthyUpstream => "UH",
            Self::Overflow => "UO",
            Self::ConnectionFailure { .. } | Self::ConnectTimeout => "UF",
            Self::ConnectionTermination => "UC",
            Self::RemoteReset | Self::RemoteRefused => "UR",
            Self::ProtocolError => "UPE",
        }
    }

    /// Response code details: `upstream_reset_before_response_started{…}`, or `…_after_…` once the head of a response
    /// has arrived.
    pub(crate) fn details(&self, response_started: bool) -> Cow<'static, str> {
        if *self == Self::NoHealthyUpstream {
            return Cow::Borrowed("no_healthy_upstream");
        }
        let when = if response_started { "after" } else { "before" };
        let mut text = format!("upstream_reset_{when}_response_started{{{}", self.reset_reason());
        if let Some(reason) = self.transport_failure_reason() {
            text.push('|');
            text.push_str(reason);
        }
        text.push('}');
        Cow::Owned(text.chars().map(|c| if c.is_ascii_whitespace() { '_' } else { c }).collect())
    }

    /// Body of the local reply.
    pub(crate) fn body(&self, retried: bool) -> Cow<'static, str> {
        match self {
            Self::NoHealthyUpstream => Cow::Borrowed("no healthy upstream"),
            _ => Cow::Owned(format!(
                "upstream connect error or disconnect/reset before headers. {} reason: {}",
                if retried { "retried and the latest reset" } else { "reset" },
                self.reset_reason()
            )),
        }
    }

    /// The local reply carries `x-envoy-overloaded: true`.
    pub(crate) fn overloaded(&self) -> bool {
        *self == Self::Overflow
    }

    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`, with its white space.
    pub(crate) fn transport_failure_reason(&self) -> Option<&str> {
        match self {
            Self::ConnectionFailure { detail } => Some(detail),
            _ => None,
        }
    }

    fn reset_reason(&self) -> &'static str {
        match self {
            Self::NoHealthyUpstream => "no healthy upstream",
            Self::Overflow => "overflow",
            Self::ConnectionFailure { .. } => "remote connection failure",
            Self::ConnectTimeout => "connection timeout",
            Self::ConnectionTermination => "connection termination",
            Self::RemoteReset => "remote reset",
            Self::RemoteRefused => "remote refused stream reset",
            Self::ProtocolError => "protocol error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Envoy 1.39.3 answers when the port is closed.
    #[test]
    fn refused_connection() {
        let failure =
            UpstreamFailure::ConnectionFailure { detail: "delayed connect error: Connection refused".into() };
        assert_eq!(failure.status(), 503);
        assert_eq!(failure.response_flag(), "UF");
        assert_eq!(
            failure.details(false),
            "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
        );
        assert_eq!(
            failure.body(false),
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
        );
    }

    /// As Envoy 1.39.3 answers when the upstream sends garbage.
    #[test]
    fn protocol_error() {
        assert_eq!(UpstreamFailure::ProtocolError.status(), 502);
        assert_eq!(
            UpstreamFailure::ProtocolError.details(true),
            "upstream_reset_after_response_started{protocol_error}"
        );
    }

    #[test]
    fn no_endpoint() {
        assert_eq!(UpstreamFailure::NoHealthyUpstream.details(false), "no_healthy_upstream");
        assert_eq!(UpstreamFailure::NoHealthyUpstream.body(true), "no healthy upstream");
    }
}
