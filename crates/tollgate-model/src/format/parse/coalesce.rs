//! `COALESCE({"operators": [...]})`.

use serde_json::{Map, Value};

use super::{Command, Formatters, Parsed, invalid, operator, required};
use crate::format::{FormatProblem, Operator};

const EXPECTED: &str =
    "a JSON object {\"operators\": [...]} of names or {\"command\", \"param\", \"max_length\"} objects";

/// The operators in order.
pub(super) fn read(
    command: &Command<'_>,
    formatters: Formatters<'_>,
) -> Result<Vec<Operator>, FormatProblem> {
    let arguments = required(command, EXPECTED)?;
    let wrong = || invalid(command, arguments, EXPECTED);
    let config: Map<String, Value> = serde_json::from_str(arguments).map_err(|_| wrong())?;
    let operators = config.get("operators").and_then(Value::as_array).ok_or_else(wrong)?;
    if operators.is_empty() || config.len() > 1 {
        return Err(wrong());
    }
    operators
        .iter()
        .map(|entry| {
            let inner = match entry {
                Value::String(name) => Command { name, arguments: "", max_length: None },
                Value::Object(entry) => named(entry).ok_or_else(wrong)?,
                _ => return Err(wrong()),
            };
            if inner.name == "COALESCE" {
                return Err(wrong());
            }
            match operator(&inner, formatters)? {
                Parsed::Operator(operator) => Ok(operator),
                // It is always there: what is behind it would never be looked at.
                Parsed::Text(_) => Err(invalid(command, inner.name, "an operator about a request")),
            }
        })
        .collect()
}

fn named(entry: &Map<String, Value>) -> Option<Command<'_>> {
    if entry.keys().any(|key| !["command", "param", "max_length"].contains(&key.as_str())) {
        return None;
    }
    let text = |key: &str| entry.get(key).map_or(Some(""), Value::as_str);
    let max_length = match entry.get("max_length") {
        None => None,
        Some(length) => Some(usize::try_from(length.as_u64()?).ok()?),
    };
    let name = text("command").filter(|name| !name.is_empty())?;
    Some(Command { name, arguments: text("param")?, max_length })
}
