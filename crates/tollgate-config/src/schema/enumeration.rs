//! Enums: by name or number (1.3).

use super::{Notation, Value};
use crate::{suggestion::nearest, yaml::Content};

/// The values of an enum. A value without counterpart exists in Envoy and is refused.
pub(crate) struct Enumeration<T: 'static> {
    pub(crate) values: &'static [(&'static str, i64, Option<T>)],
}

impl<T: PartialEq> Enumeration<T> {
    /// The name that a value is written with.
    pub(crate) fn name_of(&self, value: &T) -> Option<&'static str> {
        self.values.iter().find(|(_, _, known)| known.as_ref() == Some(value)).map(|(name, ..)| *name)
    }
}

impl<T: Copy> Enumeration<T> {
    pub(super) fn read(&self, value: &Value<'_>) -> Option<T> {
        let found = match &value.node.content {
            Content::Plain(text) | Content::Quoted(text) => {
                let by_number = !value.context.notation.is_kubernetes();
                let number = text.parse::<i64>().ok().filter(|_| by_number);
                // Envoy reads its own files without regard to case. Controllers that embed its messages do not.
                let any_case = value.context.notation == Notation::Protobuf;
                let is_name = |name: &str| name == text || any_case && name.eq_ignore_ascii_case(text);
                self.values.iter().find(|(name, index, _)| is_name(name) || Some(*index) == number)
            }
            _ => return value.expected(&format!("one of {}", self.supported())),
        };
        match found {
            Some((_, _, Some(found))) => Some(*found),
            Some((name, _, None)) => {
                value.error_with_help(
                    format!("\"{name}\" is not supported"),
                    format!("supported: {}", self.supported()),
                );
                None
            }
            None => {
                self.unknown(value);
                None
            }
        }
    }

    fn unknown(&self, value: &Value<'_>) {
        let text = value.node.content.describe();
        let names = self.values.iter().map(|(name, ..)| *name);
        let nearest = nearest(text.trim_matches('"'), names).map(|name| format!("did you mean \"{name}\"?"));
        let supported = format!("supported: {}", self.supported());
        // The message becomes a part of a status, where there is no help (CF-13).
        if value.context.notation.is_kubernetes() {
            let message = format!("unknown value {text}, {supported}");
            match nearest {
                Some(help) => value.malformed_with_help(message, help),
                None => value.malformed(message),
            }
        } else {
            value.malformed_with_help(format!("unknown value {text}"), nearest.unwrap_or(supported));
        }
    }

    fn supported(&self) -> String {
        let names: Vec<&str> =
            self.values.iter().filter(|(_, _, value)| value.is_some()).map(|(name, ..)| *name).collect();
        names.join(", ")
    }
}
