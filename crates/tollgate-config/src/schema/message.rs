//! A message with its fields.

use std::{collections::BTreeMap, time::Duration};

use super::{Context, Enumeration, Notation, Schema, Value, definition::Support};
use crate::{
    Severity,
    place::Place,
    suggestion::{did_you_mean, nearest},
    yaml::{Content, Entry},
};

/// A message: what it says was checked against its schema.
pub(crate) struct Message<'a> {
    value: Value<'a>,
    schema: &'static Schema,
    fields: BTreeMap<&'static str, &'a Entry>,
    /// Fields that something was said about already: refused ones, and those that a misspelt name was meant to be.
    explained: Vec<&'static str>,
}

impl<'a> Message<'a> {
    pub(super) fn open(value: Value<'a>, schema: &'static Schema) -> Option<Self> {
        let Content::Mapping(entries) = &value.node.content else { return value.expected("a mapping") };
        #[cfg(test)]
        super::coverage::open(schema, &value.path);
        let mut message = Self { value, schema, fields: BTreeMap::new(), explained: Vec::new() };
        for entry in entries {
            message.take(entry);
        }
        Some(message)
    }

    /// Sorts a field in: read, without effect, refused or unknown.
    fn take(&mut self, entry: &'a Entry) {
        if self.value.in_any && entry.key == "@type" {
            return;
        }
        let Some(name) = self.schema.names().find(|name| is_spelling(name, &entry.key)) else {
            let meant = nearest(&entry.key, self.schema.names());
            // After a mere warning what is missing is still to be said: that is what the object is refused for.
            if self.unknown(entry, meant) == Severity::Error {
                self.explained.extend(meant);
            }
            return;
        };
        if entry.value.content == Content::Null {
            return;
        }
        let (support, note) = match self.schema.field(name) {
            Some(field) => (field.support, field.note),
            None => (Support::Refused, ""),
        };
        match support {
            Support::Protects if self.value.context.notation.is_native() => {
                if !is_default(&entry.value.content) {
                    let message = format!("\"{name}\" is not implemented and must not be left out");
                    self.report(Severity::Error, entry, message, note);
                }
            }
            Support::Read | Support::Protects => {
                if let Some(first) = self.fields.insert(name, entry) {
                    let message = format!("\"{}\" and \"{}\" are the same field", first.key, entry.key);
                    self.value.context.report.mark_malformed();
                    self.report(Severity::Error, entry, message, "remove one of them");
                }
            }
            Support::Harmless | Support::Unimplemented => self.left_out(name, support, note, entry),
            Support::Bookkeeping => {}
            Support::Refused if is_default(&entry.value.content) => {}
            Support::Refused => {
                self.report(Severity::Error, entry, format!("\"{name}\" is not supported"), note);
                self.explained.push(name);
            }
        }
    }

    /// Says that a field is accepted and not carried out.
    fn left_out(&self, name: &str, support: Support, note: &str, entry: &Entry) {
        let Context { options, notation, .. } = self.value.context;
        let (is_harmless, strict) = (support == Support::Harmless, options.strict);
        let what = if is_harmless { "has no effect" } else { "is not implemented" };
        let severity = match notation {
            _ if strict => Severity::Error,
            Notation::Protobuf | Notation::Delivered if is_harmless => Severity::Info,
            _ => Severity::Warning,
        };
        let refused = if strict { " (refused by strict)" } else { "" };
        self.report(severity, entry, format!("\"{name}\" {what}{refused}"), note);
    }

    /// Reports at the name of a field.
    fn report(&self, severity: Severity, entry: &Entry, message: String, help: &str) {
        let help = (!help.is_empty()).then(|| help.to_owned());
        let path = self.path_of(&entry.key);
        self.value.context.report.add(severity, entry.key_location, &path, message, help);
    }

    /// Says how bad it is.
    fn unknown(&self, entry: &Entry, meant: Option<&str>) -> Severity {
        let help = meant.map(did_you_mean);
        let path = self.path_of(&entry.key);
        let report = self.value.context.report;
        let severity = match self.value.context.notation {
            Notation::CoreKubernetes => self.value.context.tolerable(),
            _ => Severity::Error,
        };
        let message = match self.value.context.notation {
            Notation::Protobuf | Notation::Delivered => {
                let short = self.schema.name.rsplit('.').next().unwrap_or(self.schema.name);
                format!("unknown field \"{}\" in {short}", entry.key)
            }
            _ => format!("unknown field \"{path}\""),
        };
        match self.value.context.notation {
            // A bootstrap with an error is refused as a whole.
            Notation::Protobuf | Notation::Delivered => {
                report.add(severity, entry.key_location, &path, message, help);
            }
            _ => {
                if severity == Severity::Error {
                    report.mark_malformed();
                    report.add_exposing(entry.key_location, &path, message, help);
                } else {
                    report.add(severity, entry.key_location, &path, message, help);
                }
            }
        }
        severity
    }

    /// Refuses what the message is for, if it sets a field that would protect or limit something and is not implemented.
    /// `help` says what that means and what to do.
    pub(crate) fn refuse_protections(&self, help: &str) {
        for (name, field) in self.schema.protecting_names().filter_map(|name| Some((name, self.get(name)?))) {
            field.error_with_help(format!("{name} is not implemented and must not be left out"), help);
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.value.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.value.path) }
    }

    /// The message itself, to report about it as a whole.
    pub(crate) fn value(&self) -> &Value<'a> {
        &self.value
    }

    /// A field that is present.
    pub(crate) fn get(&self, name: &'static str) -> Option<Value<'a>> {
        debug_assert!(
            self.schema.read_names().any(|read| read == name),
            "{} does not list {name} as read",
            self.schema.name
        );
        let entry = self.fields.get(name)?;
        #[cfg(test)]
        super::coverage::record(self.schema, name);
        Some(self.value.child(&entry.value, self.path_of(&entry.key)))
    }

    /// Where the fields that are present are written.
    pub(crate) fn places(&self) -> BTreeMap<&'static str, Place> {
        let place = |entry: &Entry| Place::of(&self.value.child(&entry.value, self.path_of(&entry.key)));
        self.fields.iter().map(|(name, entry)| (*name, place(entry))).collect()
    }

    /// Where these members of a message are written that is read by others.
    pub(crate) fn places_within(
        &self,
        path: &[&'static str],
        members: &'static [&'static str],
    ) -> impl Iterator<Item = (&'static str, Place)> {
        let mut value = Some(self.value.clone());
        for name in path {
            value = value.and_then(|value| value.member(name));
        }
        let places =
            members.iter().filter_map(move |name| Some((*name, Place::of(&value.as_ref()?.member(name)?))));
        places.collect::<Vec<_>>().into_iter()
    }

    /// A field that has to be present.
    pub(crate) fn required(&self, name: &'static str) -> Option<Value<'a>> {
        let value = self.get(name);
        if value.is_none() && !self.explained.contains(&name) {
            self.value.error(format!("\"{name}\" is missing"));
        }
        value
    }

    /// The one member of a oneof that is present.
    pub(crate) fn one_of(&self, names: &[&'static str]) -> Option<(&'static str, Value<'a>)> {
        let mut present = names.iter().filter_map(|name| Some((*name, self.get(name)?)));
        let first = present.next()?;
        for (name, value) in present {
            value.malformed(format!("\"{}\" and \"{name}\" cannot be given together", first.0));
        }
        Some(first)
    }

    /// The one member of a oneof that has to be there.
    pub(crate) fn required_one_of(&self, names: &[&'static str]) -> Option<(&'static str, Value<'a>)> {
        let found = self.one_of(names);
        // A member that is refused or misspelt is reason enough.
        if found.is_none() && self.explained.is_empty() {
            let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            self.value.error(match names.as_slice() {
                [one] => format!("{one} is missing"),
                _ => format!("one of {} is missing", names.join(", ")),
            });
        }
        found
    }

    /// A string; empty when absent.
    pub(crate) fn string(&self, name: &'static str) -> String {
        self.get(name).and_then(|value| value.string()).unwrap_or_default()
    }

    /// A string for a header or a path; empty when absent.
    pub(crate) fn header_text(&self, name: &'static str) -> String {
        self.get(name).and_then(|value| value.header_text()).unwrap_or_default()
    }

    /// A string that has to be present and not empty; empty when it is not, which is reported.
    pub(crate) fn required_string(&self, name: &'static str) -> String {
        self.required(name).and_then(|value| value.non_empty_string()).unwrap_or_default()
    }

    /// A boolean.
    pub(crate) fn boolean(&self, name: &'static str, default: bool) -> bool {
        self.get(name).and_then(|value| value.boolean()).unwrap_or(default)
    }

    /// A number.
    pub(crate) fn u32(&self, name: &'static str) -> Option<u32> {
        self.get(name)?.u32()
    }

    /// A duration.
    pub(crate) fn duration(&self, name: &'static str) -> Option<Duration> {
        self.get(name)?.duration()
    }

    /// A timeout with a default, where zero means that there is none.
    pub(crate) fn timeout(&self, name: &'static str, default: Option<Duration>) -> Option<Duration> {
        match self.get(name) {
            None => default,
            Some(value) => value.duration().filter(|duration| !duration.is_zero()),
        }
    }

    /// An enum value.
    pub(crate) fn enumeration<T: Copy>(&self, name: &'static str, values: &Enumeration<T>, default: T) -> T {
        self.get(name).and_then(|value| value.enumeration(values)).unwrap_or(default)
    }

    /// The elements of a list; none when it is absent.
    pub(crate) fn list(&self, name: &'static str) -> Vec<Value<'a>> {
        self.get(name).map(|value| value.list()).unwrap_or_default()
    }

    /// A list of strings.
    pub(crate) fn strings(&self, name: &'static str) -> Vec<String> {
        self.list(name).iter().filter_map(Value::string).collect()
    }

    /// The entries of a map; none when it is absent.
    pub(crate) fn map(&self, name: &'static str) -> Vec<(&'a str, Value<'a>)> {
        self.get(name).map(|value| value.map()).unwrap_or_default()
    }

    /// A message.
    pub(crate) fn message(&self, name: &'static str, schema: &'static Schema) -> Option<Self> {
        self.get(name)?.message(schema)
    }
}

/// Whether this is what an absent field means anyway: what is spelt out so asks for nothing.
fn is_default(content: &Content) -> bool {
    match content {
        Content::Null => true,
        Content::Plain(text) => text == "false",
        Content::Quoted(text) => text.is_empty(),
        Content::Sequence(items) => items.is_empty(),
        Content::Mapping(_) => false,
    }
}

/// Whether `key` names the field, in snake_case or lowerCamelCase.
pub(crate) fn is_spelling(name: &str, key: &str) -> bool {
    if name == key {
        return true;
    }
    let mut upper = false;
    let mut key = key.chars();
    for letter in name.chars() {
        if letter == '_' {
            upper = true;
            continue;
        }
        let expected = if upper { letter.to_ascii_uppercase() } else { letter };
        upper = false;
        if key.next() != Some(expected) {
            return false;
        }
    }
    key.next().is_none()
}
