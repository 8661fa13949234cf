//! Typed reading of a tree: by the rules of protobuf's JSON mapping, as Envoy applies them (EN-2), or of Kubernetes.
//!
//! A [`Message`] reads the fields of its [`Schema`] and nothing else: a field that the schema does not list as read
//! is reported when the message is opened, so nothing can be accepted silently. Reading never stops at a problem:
//! it reports, and gives what can be had.

mod any;
pub(crate) mod base64;
#[cfg(test)]
pub(crate) mod coverage;
mod definition;
pub(crate) mod descriptors;
mod duration;
mod enumeration;
mod json;
mod message;
mod scalar;
mod value;
pub(crate) mod wire;

pub(crate) use self::{
    any::Any,
    definition::{Field, Schema, Support, bookkeeping, harmless, protects, read, refused, unimplemented},
    enumeration::Enumeration,
    json::{from_json, to_json},
    message::{Message, is_spelling},
    scalar::{is_number_or_boolean, plain_value},
    value::{Json, Value},
};
use crate::{Files, Options, diagnostic::Report};

/// What reading a document needs.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) report: &'a Report,
    pub(crate) files: &'a dyn Files,
    pub(crate) options: &'a Options,
    pub(crate) notation: Notation,
}

/// By which rules a tree is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notation {
    /// Protobuf's JSON mapping (EN-2, EN-3): two spellings of names, a single value stands for a list of one, and an
    /// unknown field is an error.
    Protobuf,
    /// The same of what a management server has delivered: what it refers to need not be there yet.
    Delivered,
    /// The same inside of a Kubernetes object.
    EmbeddedProtobuf,
    /// Objects of the APIs that gateways are configured with (CF-12): names as they are written, lists are lists, and an unknown
    /// field is an error: what it was meant to say may protect something.
    Kubernetes,
    /// Objects of Kubernetes itself, and what all objects have: the same, but an unknown field is a warning unless reading is
    /// strict.
    CoreKubernetes,
}

impl Notation {
    /// Whether these are the rules of Envoy's own configurations.
    pub(crate) fn is_native(self) -> bool {
        matches!(self, Self::Protobuf | Self::Delivered)
    }

    /// Whether these are the rules of Kubernetes objects.
    pub(crate) fn is_kubernetes(self) -> bool {
        matches!(self, Self::Kubernetes | Self::CoreKubernetes)
    }
}

impl Context<'_> {
    /// How bad it is what the original systems would let pass and strict reading does not.
    pub(crate) fn tolerable(&self) -> crate::Severity {
        if self.options.strict { crate::Severity::Error } else { crate::Severity::Warning }
    }
}

#[cfg(test)]
mod tests;
