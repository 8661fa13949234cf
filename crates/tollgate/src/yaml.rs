//! Objects as YAML, in the block style that people write.

use std::fmt::Write as _;

use serde_json::Value;

/// The text of a value; ends with a newline.
pub(crate) fn to_string(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0, true);
    text
}

/// Writes a value behind what leads to it. `fresh`: nothing precedes it on its line.
fn write(text: &mut String, value: &Value, depth: usize, fresh: bool) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (index, (key, member)) in members.iter().enumerate() {
                if index > 0 || !fresh {
                    indent(text, depth);
                }
                // Writing to a string cannot fail.
                let _ = write!(text, "{}:", scalar(key));
                nested(text, member, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 || !fresh {
                    indent(text, depth);
                }
                text.push_str("- ");
                write(text, item, depth + 1, true);
            }
        }
        Value::Object(_) => text.push_str("{}\n"),
        Value::Array(_) => text.push_str("[]\n"),
        Value::String(string) => {
            let _ = writeln!(text, "{}", scalar(string));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = writeln!(text, "{value}");
        }
    }
}

/// Writes what belongs to a key.
fn nested(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('\n');
            write(text, value, depth + 1, false);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            write(text, value, depth, false);
        }
        _ => {
            text.push(' ');
            write(text, value, depth, true);
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// A string as it is if it cannot be taken for anything else, else in quotes.
fn scalar(string: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let is_word = string.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && string.bytes().all(plain)
        && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
            .contains(&string.to_ascii_lowercase().as_str());
    if is_word { string.to_owned() } else { Value::from(string).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_as_people_write_it() {
        let object = json!({
            "kind": "List", "empty": {}, "none": [], "flag": "on", "number": "10", "real": 10, "text": "a: b\n",
            "items": [{"name": "a", "ports": [{"port": 80}]}, "b", [1, 2]],
        });
        let expected = "\
empty: {}
flag: \"on\"
items:
- name: a
  ports:
  - port: 80
- b
- - 1
  - 2
kind: List
none: []
number: \"10\"
real: 10
text: \"a: b\\n\"
";
        assert_eq!(to_string(&object), expected);
    }
}
