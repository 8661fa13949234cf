//! How a stream ends.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident $text:literal = $number:literal;)*) => {
        /// A gRPC status code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])* $name = $number,)*
        }

        impl Code {
            /// The code with this number; [`Unknown`](Self::Unknown) if there is none.
            #[must_use]
            pub const fn from_number(number: i32) -> Self {
                match number {
                    $($number => Self::$name,)*
                    _ => Self::Unknown,
                }
            }

            /// Its name as gRPC writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// No error.
    Ok "OK" = 0;
    /// The caller has cancelled.
    Cancelled "CANCELLED" = 1;
    /// Anything.
    Unknown "UNKNOWN" = 2;
    /// What was sent makes no sense.
    InvalidArgument "INVALID_ARGUMENT" = 3;
    /// It took too long.
    DeadlineExceeded "DEADLINE_EXCEEDED" = 4;
    /// There is no such thing.
    NotFound "NOT_FOUND" = 5;
    /// There is one already.
    AlreadyExists "ALREADY_EXISTS" = 6;
    /// Not allowed.
    PermissionDenied "PERMISSION_DENIED" = 7;
    /// There is not enough of something.
    ResourceExhausted "RESOURCE_EXHAUSTED" = 8;
    /// Something else has to come first.
    FailedPrecondition "FAILED_PRECONDITION" = 9;
    /// Ended on purpose.
    Aborted "ABORTED" = 10;
    /// Larger than accepted.
    OutOfRange "OUT_OF_RANGE" = 11;
    /// No such method.
    Unimplemented "UNIMPLEMENTED" = 12;
    /// A mistake of the processor.
    Internal "INTERNAL" = 13;
    /// Try again later.
    Unavailable "UNAVAILABLE" = 14;
    /// Data are lost.
    DataLoss "DATA_LOSS" = 15;
    /// Who are you?
    Unauthenticated "UNAUTHENTICATED" = 16;
}

/// How an exchange ends that is not completed: the gateway then does as its failure mode says. The text is for the log of
/// the gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .code.name())]
pub struct Status {
    code: Code,
    message: String,
}

impl Status {
    /// An end with this code and text.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// [`Code::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// [`Code::InvalidArgument`].
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// [`Code::ResourceExhausted`].
    pub fn resource_exhausted(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, message)
    }

    pub(crate) fn ok() -> Self {
        Self::new(Code::Ok, "")
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Its text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The fields that say it.
    pub(crate) fn write(&self, fields: &mut HeaderMap) {
        let code = match self.code {
            Code::Ok => HeaderValue::from_static("0"),
            code => HeaderValue::from(code as u16),
        };
        fields.insert(GRPC_STATUS, code);
        if !self.message.is_empty()
            && let Ok(message) = HeaderValue::try_from(Encoded(&self.message).to_string())
        {
            fields.insert(GRPC_MESSAGE, message);
        }
    }
}

/// Text in percent encoding, as gRPC wants it.
struct Encoded<'t>(&'t str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'%' | 0..0x20 | 0x7f.. => write!(formatter, "%{byte:02X}")?,
                _ => fmt::Write::write_char(formatter, char::from(byte))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_encoded_for_fields() {
        let mut fields = HeaderMap::new();
        Status::new(Code::Aborted, "50 %\nü").write(&mut fields);
        assert_eq!(
            (&fields["grpc-status"], &fields["grpc-message"]),
            (&"10".parse().unwrap(), &"50 %25%0A%C3%BC".parse().unwrap())
        );
        let mut fields = HeaderMap::new();
        Status::ok().write(&mut fields);
        assert_eq!(fields.len(), 1);
    }
}
