//! Evaluating.

use std::cmp::Ordering;

use extproc::{
    attributes::{AttributePath, AttributeSource, AttributeValue},
    messages::{Struct, Value as Dynamic, value::Kind},
};

use crate::{
    arithmetic, compare, function,
    node::Node,
    syntax::Binary,
    value::{Value, of_attribute, of_dynamic},
};

/// The value of a node; `None` if it has none.
pub(crate) fn evaluate<'a>(node: &'a Node, source: &dyn AttributeSource) -> Option<Value<'a>> {
    match node {
        Node::Constant(value) => Some(value.borrow()),
        Node::Attribute { path, keys } => attribute(path, keys, source),
        Node::Group => Some(Value::Group),
        Node::Unknown => None,
        Node::Index(parts) => index(parts, source),
        Node::Has(of, key) => has(of, key, source).map(Value::Bool),
        Node::Not(of) => Some(Value::Bool(!evaluate(of, source)?.as_bool()?)),
        Node::Negative(of) => arithmetic::negative(&evaluate(of, source)?),
        Node::And(parts) => decide(parts, false, source),
        Node::Or(parts) => decide(parts, true, source),
        Node::Binary(operator, parts) => binary(*operator, parts, source),
        Node::Join(parts) => {
            let [left, right] = &**parts;
            arithmetic::join(evaluate(left, source)?, evaluate(right, source)?)
        }
        Node::Conditional(parts) => {
            let [condition, yes, no] = &**parts;
            evaluate(if evaluate(condition, source)?.as_bool()? { yes } else { no }, source)
        }
        Node::List(elements) => {
            elements.iter().map(|element| evaluate(element, source)).collect::<Option<_>>().map(Value::List)
        }
        Node::Map(entries) => map(entries, source),
        Node::Matches(text, pattern) => {
            Some(Value::Bool(pattern.is_match(evaluate(text, source)?.as_str()?)))
        }
        Node::Call(function, arguments) => {
            let arguments =
                arguments.iter().map(|argument| evaluate(argument, source)).collect::<Option<_>>()?;
            function::call(*function, arguments)
        }
    }
}

/// `&&` and `||`: one part that decides is enough, whatever the others are. Without one all have to be booleans.
fn decide(parts: &[Node], deciding: bool, source: &dyn AttributeSource) -> Option<Value<'static>> {
    let mut undecided = Some(Value::Bool(!deciding));
    for part in parts {
        match evaluate(part, source).as_ref().and_then(Value::as_bool) {
            Some(value) if value == deciding => return Some(Value::Bool(deciding)),
            Some(_) => {}
            None => undecided = None,
        }
    }
    undecided
}

fn binary<'a>(operator: Binary, parts: &'a [Node; 2], source: &dyn AttributeSource) -> Option<Value<'a>> {
    let [left, right] = parts;
    if operator == Binary::In {
        return is_in(left, right, source).map(Value::Bool);
    }
    let (left, right) = (evaluate(left, source)?, evaluate(right, source)?);
    let ordered = |test: fn(Ordering) -> bool| {
        compare::order(&left, &right).map(|order| Value::Bool(order.is_some_and(test)))
    };
    match operator {
        Binary::Equal => Some(Value::Bool(compare::equal(&left, &right))),
        Binary::NotEqual => Some(Value::Bool(!compare::equal(&left, &right))),
        Binary::Less => ordered(Ordering::is_lt),
        Binary::LessOrEqual => ordered(Ordering::is_le),
        Binary::Greater => ordered(Ordering::is_gt),
        Binary::GreaterOrEqual => ordered(Ordering::is_ge),
        _ => arithmetic::calculate(operator, left, right),
    }
}

fn is_in(left: &Node, right: &Node, source: &dyn AttributeSource) -> Option<bool> {
    let left = evaluate(left, source)?;
    if let Some(path) = left.as_str().and_then(|name| header(right, name)) {
        return Some(source.value(&path).is_some());
    }
    match evaluate(right, source)? {
        Value::List(elements) => Some(elements.iter().any(|element| compare::equal(element, &left))),
        Value::Map(entries) => Some(compare::find(&entries, &left).is_some()),
        _ => None,
    }
}

/// The attribute of a header, where `of` are all headers.
fn header(of: &Node, name: &str) -> Option<AttributePath> {
    match of {
        Node::Attribute { path, keys } if keys.is_empty() => path.header(name),
        _ => None,
    }
}

fn index<'a>(parts: &'a [Node; 2], source: &dyn AttributeSource) -> Option<Value<'a>> {
    let [of, key] = parts;
    let key = evaluate(key, source)?;
    if let Some(path) = key.as_str().and_then(|name| header(of, name)) {
        return attribute(&path, &[], source);
    }
    match evaluate(of, source)? {
        Value::List(mut elements) => {
            let at = usize::try_from(crate::number::int(&key).filter(|_| key.as_str().is_none())?).ok()?;
            (at < elements.len()).then(|| elements.swap_remove(at))
        }
        Value::Map(mut entries) => {
            let at = entries.iter().position(|(other, _)| compare::equal(other, &key))?;
            Some(entries.swap_remove(at).1)
        }
        Value::Message(mut fields) => fields.fields.remove(key.as_str()?).map(of_dynamic),
        _ => None,
    }
}

/// An empty key asks for the value itself.
fn has(of: &Node, key: &str, source: &dyn AttributeSource) -> Option<bool> {
    if key.is_empty() {
        return Some(evaluate(of, source).is_some());
    }
    match evaluate(of, source)? {
        Value::Map(entries) => Some(compare::find(&entries, &Value::text(key)).is_some()),
        Value::Message(fields) => Some(fields.fields.contains_key(key)),
        _ => None,
    }
}

fn map<'a>(nodes: &'a [(Node, Node)], source: &dyn AttributeSource) -> Option<Value<'a>> {
    let mut entries = Vec::with_capacity(nodes.len());
    for (key, value) in nodes {
        let key = evaluate(key, source)?;
        if !matches!(key, Value::String(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_))
            || compare::find(&entries, &key).is_some()
        {
            return None;
        }
        entries.push((key, evaluate(value, source)?));
    }
    Some(Value::Map(entries))
}

fn attribute(path: &AttributePath, keys: &[String], source: &dyn AttributeSource) -> Option<Value<'static>> {
    let value = source.value(path)?;
    if keys.is_empty() {
        return match value {
            AttributeValue::Map(fields) if is_message(path) => Some(Value::Message(fields)),
            // An endpoint without metadata.
            AttributeValue::String(_) if is_message(path) => Some(Value::Null),
            value => of_attribute(value),
        };
    }
    let AttributeValue::Map(fields) = value else { return None };
    let whole: Dynamic = fields.into();
    keys.iter().try_fold(whole, inside).map(of_dynamic)
}

fn inside(of: Dynamic, key: &String) -> Option<Dynamic> {
    match of.kind {
        Some(Kind::StructValue(Struct { mut fields })) => fields.remove(key),
        _ => None,
    }
}

/// Whether the value of an attribute is a message of Envoy's and no map.
const fn is_message(path: &AttributePath) -> bool {
    let is_plain_map =
        matches!(path, AttributePath::Request(_) | AttributePath::Response(_) | AttributePath::FilterState);
    path.is_map() && !is_plain_map
}
