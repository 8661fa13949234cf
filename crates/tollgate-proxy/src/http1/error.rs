//! Why a message was refused.

use http::StatusCode;

/// A message that is not acceptable HTTP/1. The names are Envoy's response code details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodecError {
    /// The head or the trailers are larger than the limit.
    HeadersTooLarge,
    /// The head or the trailers have more fields than the limit.
    TooManyHeaders,
    /// Not HTTP/1.1, or HTTP/1.0 where that is not allowed.
    LowVersion,
    /// Not HTTP/1 syntax, or a `content-length` that is not one number.
    Malformed,
    /// A field value with a control character.
    InvalidCharacters,
    /// `content-length` together with `transfer-encoding`.
    ContentLengthAndChunked,
    /// `transfer-encoding` other than exactly one `chunked`.
    InvalidTransferEncoding,
    /// A CONNECT request with a body.
    BodyDisallowed,
    /// `content-length` in a response that cannot have a body.
    ContentLengthNotAllowed,
    /// `transfer-encoding` in a response that cannot have a body.
    TransferEncodingNotAllowed,
    /// A request target that is an absolute URL of another scheme than http or https.
    InvalidScheme,
    /// A request target of the wrong form for its method.
    InvalidUrl,
    /// A `host` or authority with characters that no authority has.
    InvalidAuthority,
}

impl CodecError {
    /// The response code details that logs show.
    pub(crate) const fn details(self) -> &'static str {
        match self {
            Self::HeadersTooLarge => "http1.headers_too_large",
            Self::TooManyHeaders => "http1.too_many_headers",
            Self::LowVersion => "low_version",
            Self::Malformed => "http1.codec_error",
            Self::InvalidCharacters => "http1.invalid_characters",
            Self::ContentLengthAndChunked => "http1.content_length_and_chunked_not_allowed",
            Self::InvalidTransferEncoding => "http1.invalid_transfer_encoding",
            Self::BodyDisallowed => "http1.body_disallowed",
            Self::ContentLengthNotAllowed => "http1.content_length_not_allowed",
            Self::TransferEncodingNotAllowed => "http1.transfer_encoding_not_allowed",
            Self::InvalidScheme => "http1.invalid_scheme",
            Self::InvalidUrl => "http1.invalid_url",
            Self::InvalidAuthority => "http.invalid_authority",
        }
    }

    /// The status a client gets; the body of the answer is the status's reason phrase.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::HeadersTooLarge | Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::LowVersion => StatusCode::UPGRADE_REQUIRED,
            Self::InvalidTransferEncoding => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
