//! The message a mutation changes.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    fields::{FieldChanges, TooManyFields, push_joined},
    name::{Name, Pseudo},
    single_entry::is_single_entry,
    value,
};
use crate::http_message::{RequestHeaders, ResponseHeaders};

/// The part of a message a mutation changes.
#[derive(Debug)]
pub enum Target<'t> {
    /// Request headers.
    Request(&'t mut RequestHeaders),
    /// Response headers.
    Response(&'t mut ResponseHeaders),
    /// Trailers of either direction.
    Trailers(&'t mut HeaderMap),
}

/// The kinds of [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Request headers.
    Request,
    /// Response headers.
    Response,
    /// Trailers of either direction.
    Trailers,
}

impl Target<'_> {
    /// Entries and bytes as Envoy counts them against its limits: pseudo-headers included, a byte for every character
    /// of names and values (M-8).
    pub(super) fn size(&self) -> (usize, usize) {
        let (pseudo, pseudo_bytes, fields) = match self {
            Self::Request(request) => {
                let method = ":method".len() + request.method.as_str().len();
                let scheme = ":scheme".len() + request.scheme.len();
                let authority = ":authority".len() + request.authority.len();
                let path = ":path".len() + request.path.len();
                (4, method + scheme + authority + path, &request.fields)
            }
            Self::Response(response) => (1, ":status200".len(), &response.fields),
            Self::Trailers(trailers) => (0, 0, &**trailers),
        };
        let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        (pseudo + fields.len(), pseudo_bytes + bytes)
    }
}

/// A message under mutation.
#[derive(Debug)]
pub(super) struct Changes<'t> {
    pseudo: PseudoHeaders<'t>,
    fields: FieldChanges<'t>,
    header_prefix: &'t str,
}

#[derive(Debug)]
enum PseudoHeaders<'t> {
    Request {
        method: &'t mut Method,
        scheme: &'t mut HeaderValue,
        authority: &'t mut HeaderValue,
        path: &'t mut HeaderValue,
    },
    Response(&'t mut StatusCode),
    Trailers,
}

/// The message with that value would be malformed, so it was left as it is (decision 2).
#[derive(Debug)]
pub(super) struct Malformed;

impl<'t> Changes<'t> {
    pub(super) fn new(target: &'t mut Target<'_>, header_prefix: &'t str) -> Self {
        let (pseudo, fields) = match target {
            Target::Request(request) => {
                let RequestHeaders { method, scheme, authority, path, fields } = &mut **request;
                (PseudoHeaders::Request { method, scheme, authority, path }, fields)
            }
            Target::Response(response) => {
                (PseudoHeaders::Response(&mut response.status), &mut response.fields)
            }
            Target::Trailers(trailers) => (PseudoHeaders::Trailers, &mut **trailers),
        };
        Self { pseudo, fields: FieldChanges::new(fields), header_prefix }
    }

    /// Whether the header exists; `host` is a request's authority.
    pub(super) fn contains(&self, name: &Name<'_>) -> bool {
        match (name, &self.pseudo) {
            (Name::Pseudo(pseudo, _), PseudoHeaders::Request { .. }) => {
                !matches!(pseudo, Pseudo::Status | Pseudo::Other)
            }
            (Name::Pseudo(pseudo, _), PseudoHeaders::Response(_)) => *pseudo == Pseudo::Status,
            (Name::Pseudo(..), PseudoHeaders::Trailers) => false,
            (Name::Field(_), PseudoHeaders::Request { .. }) if name.is_host() => true,
            (Name::Field(name), _) => self.fields.contains(name),
        }
    }

    /// Removes an ordinary header; says whether it was there.
    pub(super) fn remove(&mut self, name: &Name<'_>) -> bool {
        match name {
            Name::Field(name) => self.fields.remove(name),
            Name::Pseudo(..) => false,
        }
    }

    /// Sets a header, or with `append` adds a value to it (M-4.7).
    pub(super) fn set(&mut self, name: &Name<'_>, value: HeaderValue, append: bool) -> Result<(), Malformed> {
        match name {
            Name::Field(field) if !(self.side() == Side::Request && name.is_host()) => {
                self.check_framing(field, &value, append)?;
                if !append {
                    self.fields.remove(field);
                    self.fields.append(field.clone(), value);
                } else if self.fields.contains(field)
                    && is_single_entry(self.side(), field.as_str(), self.header_prefix)
                {
                    self.fields.join(field, &value);
                } else {
                    self.fields.append(field.clone(), value);
                }
                Ok(())
            }
            Name::Field(_) => self.set_pseudo(Pseudo::Authority, value, append),
            Name::Pseudo(pseudo, _) => self.set_pseudo(*pseudo, value, append),
        }
    }

    /// Carries the changes to the fields out.
    pub(super) fn finish(self) -> Result<(), TooManyFields> {
        self.fields.finish()
    }

    fn side(&self) -> Side {
        match self.pseudo {
            PseudoHeaders::Request { .. } => Side::Request,
            PseudoHeaders::Response(_) => Side::Response,
            PseudoHeaders::Trailers => Side::Trailers,
        }
    }

    fn set_pseudo(&mut self, pseudo: Pseudo, value: HeaderValue, append: bool) -> Result<(), Malformed> {
        match (&mut self.pseudo, pseudo) {
            (PseudoHeaders::Request { method, .. }, Pseudo::Method) => {
                let old = HeaderValue::from_str(method.as_str()).map_err(|_| Malformed)?;
                let value = if append { joined(&old, &value)? } else { value };
                **method = value::method(value.as_bytes()).ok_or(Malformed)?;
            }
            (PseudoHeaders::Request { scheme, .. }, Pseudo::Scheme) => {
                let value = if append { joined(scheme, &value)? } else { value };
                **scheme = value;
            }
            (PseudoHeaders::Request { authority, .. }, Pseudo::Authority) => {
                let value = if append { joined(authority, &value)? } else { value };
                **authority = value;
            }
            (PseudoHeaders::Request { path, .. }, Pseudo::Path) => {
                let value = if append { joined(path, &value)? } else { value };
                if !value::is_path(value.as_bytes()) {
                    return Err(Malformed);
                }
                **path = value;
            }
            (PseudoHeaders::Response(_), Pseudo::Status) if append => return Err(Malformed),
            (PseudoHeaders::Response(status), Pseudo::Status) => {
                **status = value::status(value.as_bytes()).ok_or(Malformed)?;
            }
            // Allowed, and dropped when the message is written (6.3).
            (PseudoHeaders::Request { .. } | PseudoHeaders::Response(_), _) => {}
            (PseudoHeaders::Trailers, _) => return Err(Malformed),
        }
        Ok(())
    }

    /// A message may not say in two ways, or in a wrong way, how long it is (decision 2). A response's
    /// `transfer-encoding` does no harm, it is removed before the response is written.
    fn check_framing(
        &self,
        name: &http::HeaderName,
        value: &HeaderValue,
        append: bool,
    ) -> Result<(), Malformed> {
        let side = self.side();
        let malformed = if side == Side::Trailers {
            false
        } else if name == header::CONTENT_LENGTH {
            !value::is_content_length(value.as_bytes())
                || (append && self.fields.contains(name))
                || (side == Side::Request && self.fields.contains(&header::TRANSFER_ENCODING))
        } else {
            side == Side::Request
                && name == header::TRANSFER_ENCODING
                && self.fields.contains(&header::CONTENT_LENGTH)
        };
        if malformed { Err(Malformed) } else { Ok(()) }
    }
}

fn joined(old: &HeaderValue, value: &HeaderValue) -> Result<HeaderValue, Malformed> {
    let mut joined = BytesMut::with_capacity(old.len() + 1 + value.len());
    push_joined(&mut joined, old);
    push_joined(&mut joined, value);
    HeaderValue::from_maybe_shared(joined.freeze()).map_err(|_| Malformed)
}
