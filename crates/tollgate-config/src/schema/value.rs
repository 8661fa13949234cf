//! A value of the tree, and reading it as a type.

use std::{rc::Rc, time::Duration};

use super::{Context, Enumeration, Message, Schema, base64, duration, message::is_spelling, scalar};
use crate::{
    Severity,
    place::Place,
    yaml::{Content, Entry, Location, Node},
};

/// A value of the tree, with its path. It may be absent in the sense of protobuf only inside a list.
#[derive(Clone)]
pub(crate) struct Value<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) node: &'a Node,
    pub(crate) path: Rc<str>,
    /// The content of an `Any`: `@type` is not a field.
    pub(super) in_any: bool,
}

/// A JSON value; those inside of it are still to be read.
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(i64),
    String(String),
    List(Vec<Value<'a>>),
    Object(Vec<(&'a str, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The root of a document.
    pub(crate) fn root(context: Context<'a>, node: &'a Node) -> Self {
        Self { context, node, path: Rc::from(""), in_any: false }
    }

    /// A value that is part of another document, where it has this path.
    pub(crate) fn embedded(context: Context<'a>, node: &'a Node, path: &str) -> Self {
        Self { context, node, path: Rc::from(path), in_any: false }
    }

    pub(super) fn child(&self, node: &'a Node, path: String) -> Self {
        Self { context: self.context, node, path: Rc::from(path), in_any: false }
    }

    pub(crate) fn location(&self) -> Location {
        self.node.location
    }

    /// Reports a problem here.
    pub(crate) fn error(&self, message: impl Into<String>) {
        self.report(Severity::Error, message, None);
    }

    /// Reports a problem here because of which requests may pass what was to be put in front of them.
    pub(crate) fn error_exposing(&self, message: impl Into<String>, help: Option<String>) {
        self.context.report.mark_malformed();
        self.context.report.add_exposing(self.location(), &self.path, message.into(), help);
    }

    /// Reports a problem here, with a way to fix it.
    pub(crate) fn error_with_help(&self, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Error, message, Some(help.into()));
    }

    /// Reports what is accepted and probably not meant.
    pub(crate) fn warning(&self, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Warning, message, Some(help.into()));
    }

    /// Says what is good to know, once in a file.
    pub(crate) fn info_once(&self, message: &str) {
        if !self.context.report.has_said(message) {
            self.report(Severity::Info, message, None);
        }
    }

    /// Reports a problem at a character of this scalar, counted from zero.
    pub(crate) fn error_at(&self, position: usize, message: impl Into<String>) {
        let mut location = self.location();
        let quote = match &self.node.content {
            Content::Plain(text) if location.length == text.chars().count() => Some(0),
            // Without escapes only the quotes are more.
            Content::Quoted(text) if location.length == text.chars().count() + 2 => Some(1),
            _ => None,
        };
        if let Some(quote) = quote {
            location.column += quote + position;
            location.length = 1;
        }
        self.context.report.add(Severity::Error, location, &self.path, message.into(), None);
    }

    pub(super) fn report(&self, severity: Severity, message: impl Into<String>, help: Option<String>) {
        self.context.report.add(severity, self.location(), &self.path, message.into(), help);
    }

    /// Reports that this is not of its type.
    pub(super) fn malformed(&self, message: impl Into<String>) {
        self.context.report.mark_malformed();
        self.error(message);
    }

    /// Reports that this is not of its type, with a way to fix it.
    pub(super) fn malformed_with_help(&self, message: impl Into<String>, help: impl Into<String>) {
        self.context.report.mark_malformed();
        self.error_with_help(message, help);
    }

    pub(super) fn expected<T>(&self, what: &str) -> Option<T> {
        self.malformed(format!("expected {what}, found {}", self.node.content.describe()));
        None
    }

    /// A string. Plain numbers and booleans are none, as in Envoy: they have to be quoted.
    pub(crate) fn string(&self) -> Option<String> {
        match &self.node.content {
            Content::Quoted(text) => Some(text.clone()),
            Content::Plain(text) => match scalar::resolve(text) {
                scalar::Plain::Text => Some(text.clone()),
                scalar::Plain::Bool(_) | scalar::Plain::Integer(_) => {
                    self.malformed_with_help(
                        format!("expected a string, found {text}"),
                        format!("write it in quotes: \"{text}\""),
                    );
                    None
                }
            },
            _ => self.expected("a string"),
        }
    }

    /// A string for a header or a path: no line ends, no NUL.
    pub(crate) fn header_text(&self) -> Option<String> {
        let text = self.string()?;
        if text.contains(['\0', '\r', '\n']) {
            self.error("must not contain line ends or NUL");
            return None;
        }
        Some(text)
    }

    /// A string that is not empty.
    pub(crate) fn non_empty_string(&self) -> Option<String> {
        let text = self.header_text()?;
        if text.is_empty() {
            self.error("must not be empty");
            return None;
        }
        Some(text)
    }

    /// A boolean.
    pub(crate) fn boolean(&self) -> Option<bool> {
        scalar::boolean(&self.node.content).or_else(|| self.expected("true or false"))
    }

    /// An integer between two bounds, both included; written as a number or a string.
    pub(crate) fn integer(&self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let Some(number) = scalar::integer(&self.node.content) else {
            return self.expected("a whole number");
        };
        match i64::try_from(number) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.error(format!("{number} is not between {} and {}", range.start(), range.end()));
                None
            }
        }
    }

    /// An integer that fits.
    pub(crate) fn u32(&self) -> Option<u32> {
        u32::try_from(self.integer(0..=i64::from(u32::MAX))?).ok()
    }

    /// A number between two bounds, both included, which may have a fraction.
    pub(crate) fn number(&self, range: std::ops::RangeInclusive<f64>) -> Option<f64> {
        let number = match &self.node.content {
            Content::Plain(text) | Content::Quoted(text) => text.parse::<f64>().ok(),
            _ => None,
        };
        let Some(number) = number else { return self.expected("a number") };
        if range.contains(&number) {
            return Some(number);
        }
        self.error(format!("{number} is outside of {} to {}", range.start(), range.end()));
        None
    }

    /// A port that can be listened on or connected to.
    pub(crate) fn port(&self, lowest: u16) -> Option<u16> {
        u16::try_from(self.integer(i64::from(lowest)..=i64::from(u16::MAX))?).ok()
    }

    /// A duration, not negative: `0.2s`.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let text = match &self.node.content {
            Content::Plain(text) | Content::Quoted(text) => text,
            Content::Mapping(_) => return duration::from_message(self),
            _ => return self.expected("a duration such as \"0.2s\""),
        };
        match duration::parse(text) {
            Ok(duration) => Some(duration),
            Err(problem) => {
                self.context.report.mark_malformed();
                self.report(Severity::Error, problem.message, problem.help);
                None
            }
        }
    }

    /// Base64 in either alphabet.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        let text = self.string()?;
        base64::decode(&text).or_else(|| {
            self.malformed("expected base64");
            None
        })
    }

    /// An enum value, by name or number.
    pub(crate) fn enumeration<T: Copy>(&self, values: &Enumeration<T>) -> Option<T> {
        values.read(self)
    }

    /// The elements of a list. A single value stands for a list of one, as in Envoy.
    pub(crate) fn list(&self) -> Vec<Self> {
        match &self.node.content {
            Content::Sequence(items) => items
                .iter()
                .enumerate()
                .filter_map(|(index, node)| {
                    let value = self.child(node, format!("{}[{index}]", self.path));
                    if node.content == Content::Null { value.expected("a value") } else { Some(value) }
                })
                .collect(),
            _ if self.context.notation.is_kubernetes() => {
                let _: Option<()> = self.expected("a list");
                Vec::new()
            }
            _ => vec![self.clone()],
        }
    }

    /// The entries of a map; the key comes with its location.
    pub(crate) fn map(&self) -> Vec<(&'a str, Self)> {
        match &self.node.content {
            Content::Mapping(entries) => entries
                .iter()
                .filter(|entry| entry.value.content != Content::Null)
                .map(|entry| {
                    (
                        entry.key.as_str(),
                        self.child(&entry.value, format!("{}[\"{}\"]", self.path, entry.key)),
                    )
                })
                .collect(),
            _ => {
                let _: Option<()> = self.expected("a mapping");
                Vec::new()
            }
        }
    }

    /// Any JSON value (`google.protobuf.Struct` and its parts), as Envoy makes it from YAML.
    pub(crate) fn json(&self) -> Json<'a> {
        match &self.node.content {
            Content::Null => Json::Null,
            Content::Quoted(text) => Json::String(text.clone()),
            Content::Plain(text) => match scalar::resolve(text) {
                scalar::Plain::Bool(value) => Json::Bool(value),
                scalar::Plain::Integer(number) => Json::Number(number),
                scalar::Plain::Text => Json::String(text.clone()),
            },
            Content::Sequence(nodes) => Json::List(
                nodes
                    .iter()
                    .enumerate()
                    .map(|(index, node)| self.child(node, format!("{}[{index}]", self.path)))
                    .collect(),
            ),
            Content::Mapping(entries) => Json::Object(
                entries
                    .iter()
                    .map(|entry| {
                        let path = format!("{}[\"{}\"]", self.path, entry.key);
                        (entry.key.as_str(), self.child(&entry.value, path))
                    })
                    .collect(),
            ),
        }
    }

    /// A message.
    pub(crate) fn message(&self, schema: &'static Schema) -> Option<Message<'a>> {
        Message::open(self.clone(), schema)
    }

    /// Says that something accepted has no effect, and why; strict refuses it.
    pub(crate) fn no_effect(&self, what: impl std::fmt::Display, why: &str) {
        let help = Some(why.to_owned());
        if self.context.options.strict {
            self.report(Severity::Error, format!("{what} has no effect (refused by strict)"), help);
        } else {
            self.report(Severity::Info, format!("{what} has no effect"), help);
        }
    }

    /// A member of a message, in either spelling.
    pub(crate) fn member(&self, name: &str) -> Option<Self> {
        let Content::Mapping(entries) = &self.node.content else { return None };
        let is_it = |entry: &&Entry| is_spelling(name, &entry.key) && entry.value.content != Content::Null;
        let entry = entries.iter().find(is_it)?;
        Some(self.child(&entry.value, format!("{}.{}", self.path, entry.key)))
    }

    /// The elements of a member that is a list, without a word about anything else.
    pub(crate) fn member_list(&self, name: &str) -> Vec<Self> {
        match self.member(name) {
            Some(list) if matches!(list.node.content, Content::Sequence(_)) => list.list(),
            _ => Vec::new(),
        }
    }

    /// The values inside of a mapping or a list.
    pub(crate) fn children(&self) -> Vec<Self> {
        match &self.node.content {
            Content::Mapping(entries) => {
                let child =
                    |entry: &'a Entry| self.child(&entry.value, format!("{}.{}", self.path, entry.key));
                entries.iter().map(child).collect()
            }
            Content::Sequence(items) => {
                let child = |(index, node)| self.child(node, format!("{}[{index}]", self.path));
                items.iter().enumerate().map(child).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether this is a scalar with that text.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(&self.node.content, Content::Plain(own) | Content::Quoted(own) if own == text)
    }

    /// Whether this is a mapping.
    pub(crate) fn is_mapping(&self) -> bool {
        matches!(&self.node.content, Content::Mapping(_))
    }

    /// Whether this is a list without elements.
    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(&self.node.content, Content::Sequence(items) if items.is_empty())
    }

    /// Whether this is a mapping without entries.
    pub(crate) fn is_empty_message(&self) -> bool {
        matches!(&self.node.content, Content::Mapping(entries) if entries.is_empty())
    }
}

impl Place {
    /// The place of a value.
    pub(crate) fn of(value: &Value<'_>) -> Self {
        value.context.report.whole().place(value.location(), &*value.path)
    }
}
