//! Calculating.

use std::borrow::Cow;

use crate::{LONGEST_TEXT, syntax::Binary, value::Value};

/// The value of `left operator right`; `None` if it has none: types that do not fit, an overflow, a division by zero.
pub(crate) fn calculate<'a>(operator: Binary, left: Value<'a>, right: Value<'a>) -> Option<Value<'a>> {
    Some(match (left, right) {
        (Value::Int(left), Value::Int(right)) => Value::Int(match operator {
            Binary::Add => left.checked_add(right),
            Binary::Subtract => left.checked_sub(right),
            Binary::Multiply => left.checked_mul(right),
            Binary::Divide => left.checked_div(right),
            Binary::Remainder => left.checked_rem(right),
            _ => None,
        }?),
        (Value::Uint(left), Value::Uint(right)) => Value::Uint(match operator {
            Binary::Add => left.checked_add(right),
            Binary::Subtract => left.checked_sub(right),
            Binary::Multiply => left.checked_mul(right),
            Binary::Divide => left.checked_div(right),
            Binary::Remainder => left.checked_rem(right),
            _ => None,
        }?),
        (Value::Double(left), Value::Double(right)) => Value::Double(match operator {
            Binary::Add => left + right,
            Binary::Subtract => left - right,
            Binary::Multiply => left * right,
            Binary::Divide => left / right,
            _ => return None,
        }),
        (Value::Timestamp(time), Value::Duration(duration)) => Value::Timestamp(match operator {
            Binary::Add => time.checked_add(duration).ok()?,
            Binary::Subtract => time.checked_sub(duration).ok()?,
            _ => return None,
        }),
        (Value::Duration(duration), Value::Timestamp(time)) if operator == Binary::Add => {
            Value::Timestamp(time.checked_add(duration).ok()?)
        }
        (Value::Timestamp(left), Value::Timestamp(right)) if operator == Binary::Subtract => {
            Value::Duration(left.duration_since(right))
        }
        (Value::Duration(left), Value::Duration(right)) => Value::Duration(match operator {
            Binary::Add => left.checked_add(right)?,
            Binary::Subtract => left.checked_sub(right)?,
            _ => return None,
        }),
        _ => return None,
    })
}

/// `left + right` where strings may be added.
pub(crate) fn join<'a>(left: Value<'a>, right: Value<'a>) -> Option<Value<'a>> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            if left.len() + right.len() > LONGEST_TEXT {
                return None;
            }
            Some(Value::String(left + right))
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            if left.len() + right.len() > LONGEST_TEXT {
                return None;
            }
            Some(Value::Bytes(Cow::Owned([&*left, &*right].concat())))
        }
        (left, right) => calculate(Binary::Add, left, right),
    }
}

/// `-value`
pub(crate) fn negative(value: &Value<'_>) -> Option<Value<'static>> {
    match value {
        Value::Int(number) => number.checked_neg().map(Value::Int),
        Value::Double(number) => Some(Value::Double(-number)),
        Value::Duration(duration) => duration.checked_neg().map(Value::Duration),
        _ => None,
    }
}
