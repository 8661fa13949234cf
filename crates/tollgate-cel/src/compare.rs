//! Equality and order.

use std::cmp::Ordering;

use crate::value::Value;

/// Whether two values are equal. Numbers are equal whatever their type is; values of other types are not.
pub(crate) fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| find(right, key).is_some_and(|other| equal(value, other)))
        }
        _ => match numbers(left, right) {
            Some(order) => order == Some(Ordering::Equal),
            None => left == right,
        },
    }
}

/// The value of a key.
pub(crate) fn find<'v, 'a>(entries: &'v [(Value<'a>, Value<'a>)], key: &Value<'_>) -> Option<&'v Value<'a>> {
    entries.iter().find(|(other, _)| equal(other, key)).map(|(_, value)| value)
}

/// The order of two values; the outer `None` if they have none, the inner one if one of them is no number.
pub(crate) fn order(left: &Value<'_>, right: &Value<'_>) -> Option<Option<Ordering>> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(Some(left.cmp(right))),
        (Value::String(left), Value::String(right)) => Some(Some(left.cmp(right))),
        (Value::Bytes(left), Value::Bytes(right)) => Some(Some(left.cmp(right))),
        (Value::Timestamp(left), Value::Timestamp(right)) => Some(Some(left.cmp(right))),
        (Value::Duration(left), Value::Duration(right)) => Some(Some(left.cmp(right))),
        _ => numbers(left, right),
    }
}

/// The order of two numbers.
fn numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Option<Ordering>> {
    Some(match (left, right) {
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Double(left), right) => double_and_whole(*left, whole(right)?),
        (left, Value::Double(right)) => double_and_whole(*right, whole(left)?).map(Ordering::reverse),
        (left, right) => Some(whole(left)?.cmp(&whole(right)?)),
    })
}

const fn whole(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(number) => Some(*number as i128),
        Value::Uint(number) => Some(*number as i128),
        _ => None,
    }
}

fn double_and_whole(double: f64, whole: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Beyond the range of 128 bits the conversion gives the end of it, which is right here.
    let floor = double.floor();
    Some((floor as i128).cmp(&whole).then(if double > floor { Ordering::Greater } else { Ordering::Equal }))
}
