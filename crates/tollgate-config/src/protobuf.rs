//! Typed reading of a tree by the rules of protobuf's JSON mapping, as Envoy applies them (EN-2).
//!
//! A [`Message`] reads the fields of its [`Schema`] and nothing else: a field that the schema does not list as read
//! is reported when the message is opened, so nothing can be accepted silently. Reading never stops at a problem:
//! it reports, and gives what can be had.

mod any;
mod base64;
#[cfg(test)]
pub(crate) mod coverage;
mod duration;
mod enumeration;
mod message;
mod scalar;
mod schema;
mod value;

pub(crate) use self::{
    any::Any,
    enumeration::Enumeration,
    message::Message,
    schema::{Field, Schema, Support, no_effect, read, refused},
    value::{Json, Value},
};
use crate::{Files, Options, diagnostic::Report};

/// What reading a document needs.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) report: &'a Report,
    pub(crate) files: &'a dyn Files,
    pub(crate) options: Options,
}

#[cfg(test)]
mod tests;
