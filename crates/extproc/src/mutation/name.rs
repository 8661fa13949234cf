//! Header names of mutations.

use std::borrow::Cow;

use http::{HeaderName, header};

/// The name of a header a mutation speaks of.
#[derive(Debug, Clone)]
pub(super) enum Name<'n> {
    /// A pseudo-header: one of the five with a place in a message, or any other, which no message can carry on.
    Pseudo(Pseudo, Cow<'n, str>),
    /// An ordinary field.
    Field(HeaderName),
}

/// The pseudo-headers messages are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Status,
    Other,
}

/// Why a text is no header name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameError {
    /// It is empty.
    Empty,
    /// It has characters that are not of RFC 9110's `token`.
    InvalidCharacter,
    /// No message can hold a name this long.
    TooLong,
}

impl<'n> Name<'n> {
    /// Reads a name in any case.
    pub(super) fn parse(name: &'n str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        let Some(pseudo) = name.strip_prefix(':') else {
            if !is_token(name) {
                return Err(NameError::InvalidCharacter);
            }
            return HeaderName::from_bytes(name.as_bytes()).map(Self::Field).map_err(|_| NameError::TooLong);
        };
        if !is_token(pseudo) {
            return Err(NameError::InvalidCharacter);
        }
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        let pseudo = match &*name {
            ":method" => Pseudo::Method,
            ":scheme" => Pseudo::Scheme,
            ":authority" => Pseudo::Authority,
            ":path" => Pseudo::Path,
            ":status" => Pseudo::Status,
            _ => Pseudo::Other,
        };
        Ok(Self::Pseudo(pseudo, name))
    }

    /// The name in lower case.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Pseudo(_, name) => name,
            Self::Field(name) => name.as_str(),
        }
    }

    /// Whether this is `host`, which requests keep as `:authority` (M-18).
    pub(super) fn is_host(&self) -> bool {
        matches!(self, Self::Field(name) if name == header::HOST)
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_in_any_case() {
        assert_eq!(Name::parse("X-A").map(|name| name.as_str().to_owned()), Ok("x-a".to_owned()));
        assert_eq!(Name::parse(":PATH").map(|name| name.as_str().to_owned()), Ok(":path".to_owned()));
        for name in ["a b", "é", ":", ":a b", ":é", "a:", "a\0", "a\n", "\"", "a/"] {
            assert_eq!(Name::parse(name).err(), Some(NameError::InvalidCharacter), "{name:?}");
        }
        assert_eq!(Name::parse("").err(), Some(NameError::Empty));
        assert_eq!(Name::parse(&"a".repeat(1 << 17)).err(), Some(NameError::TooLong));
    }

    /// The same characters as the header map's own.
    #[test]
    fn every_token_is_a_field_name() {
        for byte in 0..=127_u8 {
            let text = char::from(byte).to_string();
            let field = HeaderName::from_bytes(text.as_bytes()).is_ok();
            assert_eq!(is_token(&text), field, "{text:?}");
        }
    }
}
