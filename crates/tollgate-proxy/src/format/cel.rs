//! Expressions.

use std::borrow::Cow;

use extproc::{attributes::AttributeSource, messages::value::Kind};
use tollgate_cel::Expression;

use super::{Value, json};

/// The value of `CEL(expression):n` or, with its type, of `TYPED_CEL(expression):n`.
pub(super) fn evaluate(
    expression: &Expression,
    typed: bool,
    max_length: Option<usize>,
    attributes: &dyn AttributeSource,
) -> Option<Value<'static>> {
    let value = expression.evaluate(attributes)?;
    let mut text = value.to_text().into_bytes();
    text.truncate(max_length.unwrap_or(usize::MAX));
    if !typed {
        return Some(Value::Text(Cow::Owned(text)));
    }
    let mut written = Vec::new();
    match value.into_json() {
        None => written.extend_from_slice(b"null"),
        Some(mut value) => {
            if let (Some(Kind::StringValue(text)), Some(length)) = (&mut value.kind, max_length) {
                text.truncate(text.floor_char_boundary(length));
            }
            json::write_value(&value, &mut written);
        }
    }
    Some(Value::Typed { text, json: written })
}
