//! YAML (and with it JSON) as a tree in which every node knows its place.
//!
//! Scalars keep their text: what a plain `on` or `010` means depends on the field, and a quoted `"10"` is not the
//! number.

mod parse;

pub(crate) use parse::{MAX_NODES, parse};

pub(crate) use crate::place::Location;
use std::sync::Arc;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) content: Content,
    pub(crate) location: Location,
}

impl Node {
    /// A member of a mapping.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Content::Mapping(entries) = &self.content else { return None };
        entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
    }

    /// A scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Plain(text) | Content::Quoted(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list; of anything else there are none.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.content {
            Content::Sequence(items) => items,
            _ => &[],
        }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// Nothing, `null` or `~`.
    Null,
    /// A scalar without quotes.
    Plain(String),
    /// A scalar in quotes or a block: always a string.
    Quoted(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the text; keys are unique.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_location: Location,
    pub(crate) value: Node,
}

impl Content {
    /// What it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Plain(text) | Self::Quoted(text) if text.chars().count() > 40 => "a long text".to_owned(),
            Self::Plain(text) => text.clone(),
            Self::Quoted(text) => format!("\"{text}\""),
            Self::Sequence(_) => "a list".to_owned(),
            Self::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// A document and the source that it stands in.
#[derive(Debug)]
pub(crate) struct Document {
    /// Name of its source.
    pub(crate) file: Arc<str>,
    pub(crate) node: Node,
}
