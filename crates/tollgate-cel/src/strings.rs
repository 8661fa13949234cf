//! Functions of strings, which a configuration has to ask for.

use crate::{LONGEST_TEXT, value::Value};

/// A function of strings. Its target is its first argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StringFunction {
    LowerAscii,
    UpperAscii,
    Split,
    Join,
    Replace,
    Trim,
    Substring,
    CharAt,
    IndexOf,
    LastIndexOf,
    Reverse,
}

impl StringFunction {
    /// The function of a call with a target.
    pub(crate) fn named(name: &str, has_target: bool, arguments: usize) -> Option<Self> {
        let (function, numbers) = match name {
            "lowerAscii" => (Self::LowerAscii, 0..=0),
            "upperAscii" => (Self::UpperAscii, 0..=0),
            "split" => (Self::Split, 1..=2),
            "join" => (Self::Join, 0..=1),
            "replace" => (Self::Replace, 2..=3),
            "trim" => (Self::Trim, 0..=0),
            "substring" => (Self::Substring, 1..=2),
            "charAt" => (Self::CharAt, 1..=1),
            "indexOf" => (Self::IndexOf, 1..=2),
            "lastIndexOf" => (Self::LastIndexOf, 1..=2),
            "reverse" => (Self::Reverse, 0..=0),
            _ => return None,
        };
        (has_target && numbers.contains(&arguments)).then_some(function)
    }
}

pub(crate) fn call(function: StringFunction, arguments: &[Value<'_>]) -> Option<Value<'static>> {
    let text = |index: usize| arguments.get(index)?.as_str();
    let int = |index: usize| match arguments.get(index) {
        None => Some(None),
        Some(value) => value.as_int().map(Some),
    };
    // Positions are counted in letters.
    let letters = || Some(text(0)?.chars().collect::<Vec<char>>());
    Some(match function {
        StringFunction::LowerAscii => Value::text(text(0)?.to_ascii_lowercase()),
        StringFunction::UpperAscii => Value::text(text(0)?.to_ascii_uppercase()),
        StringFunction::Split => split(text(0)?, text(1)?, int(2)?)?,
        StringFunction::Join => {
            let Some(Value::List(elements)) = arguments.first() else { return None };
            let between = if arguments.len() > 1 { text(1)? } else { "" };
            let elements: Vec<&str> = elements.iter().map(Value::as_str).collect::<Option<_>>()?;
            bounded(elements.join(between))?
        }
        StringFunction::Replace => replace(text(0)?, text(1)?, text(2)?, int(3)?)?,
        StringFunction::Trim => Value::text(text(0)?.trim()),
        StringFunction::Substring => {
            let letters = letters()?;
            let start = usize::try_from(int(1)??).ok()?;
            let end = match int(2)? {
                Some(end) => usize::try_from(end).ok()?,
                None => letters.len(),
            };
            Value::text(letters.get(start..end)?.iter().collect::<String>())
        }
        StringFunction::CharAt => {
            let letters = letters()?;
            let index = usize::try_from(int(1)??).ok()?;
            if index == letters.len() {
                return Some(Value::text(""));
            }
            Value::text(letters.get(index)?.to_string())
        }
        StringFunction::IndexOf => {
            let (letters, wanted) = (letters()?, text(1)?.chars().collect::<Vec<char>>());
            let start = usize::try_from(int(2)?.unwrap_or(0)).ok()?;
            if start > letters.len() {
                return None;
            }
            let Some(last) = letters.len().checked_sub(wanted.len()) else { return Some(index(None)) };
            index((start..=last).find(|at| letters[*at..].starts_with(&wanted)))
        }
        StringFunction::LastIndexOf => {
            let (letters, wanted) = (letters()?, text(1)?.chars().collect::<Vec<char>>());
            let Some(last) = letters.len().checked_sub(wanted.len()) else { return Some(index(None)) };
            let last = match int(2)? {
                Some(limit) => last.min(usize::try_from(limit).ok()?),
                None => last,
            };
            index((0..=last).rev().find(|at| letters[*at..].starts_with(&wanted)))
        }
        StringFunction::Reverse => Value::text(text(0)?.chars().rev().collect::<String>()),
    })
}

fn index(found: Option<usize>) -> Value<'static> {
    Value::Int(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
}

/// A negative limit is none.
fn split(text: &str, separator: &str, limit: Option<i64>) -> Option<Value<'static>> {
    let pieces: Vec<&str> = match limit {
        Some(0) => Vec::new(),
        Some(limit @ 1..) => text.splitn(usize::try_from(limit).ok()?, separator).collect(),
        _ if separator.is_empty() => text.split(separator).filter(|piece| !piece.is_empty()).collect(),
        _ => text.split(separator).collect(),
    };
    Some(Value::List(pieces.into_iter().map(Value::text).collect()))
}

/// A negative limit is none.
fn replace(text: &str, from: &str, to: &str, limit: Option<i64>) -> Option<Value<'static>> {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let most = text.matches(from).take(limit).count();
    if text.len() + most * to.len() > LONGEST_TEXT {
        return None;
    }
    Some(Value::text(text.replacen(from, to, limit)))
}

fn bounded(text: String) -> Option<Value<'static>> {
    (text.len() <= LONGEST_TEXT).then(|| Value::text(text))
}
