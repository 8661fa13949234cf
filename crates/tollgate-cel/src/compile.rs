//! From what was written to what it means.

use std::borrow::Cow;

use extproc::attributes::AttributePath;

use crate::{
    ExpressionError, Options, function,
    function::Function,
    node::Node,
    regular,
    syntax::{Binary, Kind, Syntax},
    value::Value,
};

/// Names that are types.
const TYPES: [&str; 10] =
    ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

/// Gives an expression its meaning.
pub(crate) fn compile(syntax: &Syntax, options: Options) -> Result<Node, ExpressionError> {
    Compiler { options }.node(syntax)
}

struct Compiler {
    options: Options,
}

type Compiled = Result<Node, ExpressionError>;

impl Compiler {
    fn node(&self, syntax: &Syntax) -> Compiled {
        let error = |problem| ExpressionError { position: syntax.position, problem };
        Ok(match &syntax.kind {
            Kind::Null => Node::Constant(Value::Null),
            Kind::Bool(value) => Node::Constant(Value::Bool(*value)),
            Kind::Int(number) => Node::Constant(Value::Int(*number)),
            Kind::Uint(number) => Node::Constant(Value::Uint(*number)),
            Kind::Double(number) => Node::Constant(Value::Double(*number)),
            Kind::String(text) => Node::Constant(Value::text(text.as_str())),
            Kind::Bytes(bytes) => Node::Constant(Value::Bytes(Cow::Owned(bytes.clone()))),
            Kind::Name(name) => name_alone(name),
            Kind::Member(of, name) => return self.member(syntax, of, name),
            Kind::Index(of, key) => return self.index(syntax, of, key),
            Kind::Call { target, name, arguments } => {
                return self.call(syntax, target.as_deref(), name, arguments);
            }
            Kind::Not(of) => Node::Not(Box::new(self.node(of)?)),
            Kind::Negative(of) => Node::Negative(Box::new(self.node(of)?)),
            Kind::And(parts) => Node::And(self.nodes(parts)?),
            Kind::Or(parts) => Node::Or(self.nodes(parts)?),
            Kind::Binary(Binary::Add, left, right) if self.options.string_concat => {
                Node::Join(Box::new([self.node(left)?, self.node(right)?]))
            }
            Kind::Binary(operator, left, right) => {
                Node::Binary(*operator, Box::new([self.node(left)?, self.node(right)?]))
            }
            Kind::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                Node::Conditional(Box::new([self.node(condition)?, self.node(yes)?, self.node(no)?]))
            }
            Kind::List(elements) => Node::List(self.nodes(elements)?),
            Kind::Map(entries) => {
                let entry = |(key, value): &(Syntax, Syntax)| {
                    let is_key = !matches!(
                        key.kind,
                        Kind::Null | Kind::Double(_) | Kind::Bytes(_) | Kind::List(_) | Kind::Map(_)
                    );
                    if !is_key {
                        return Err(error("a key is text, a whole number or a boolean".to_owned()));
                    }
                    Ok((self.node(key)?, self.node(value)?))
                };
                Node::Map(entries.iter().map(entry).collect::<Result<_, _>>()?)
            }
        })
    }

    fn nodes(&self, parts: &[Syntax]) -> Result<Vec<Node>, ExpressionError> {
        parts.iter().map(|part| self.node(part)).collect()
    }

    fn member(&self, syntax: &Syntax, of: &Syntax, name: &str) -> Compiled {
        if let Kind::Name(group) = &of.kind
            && AttributePath::is_group(group)
        {
            return match AttributePath::named(group, name) {
                Some(path) => Ok(Node::Attribute { path, keys: Vec::new() }),
                None => Err(ExpressionError {
                    position: syntax.position,
                    problem: format!("there is no attribute `{group}.{name}`"),
                }),
            };
        }
        let of = self.node(of)?;
        if let Node::Attribute { path, keys } = of {
            return inside(path, keys, name)
                .map_err(|problem| ExpressionError { position: syntax.position, problem });
        }
        if matches!(of, Node::Unknown) {
            return Ok(of);
        }
        Ok(Node::Index(Box::new([of, Node::Constant(Value::text(name))])))
    }

    fn index(&self, syntax: &Syntax, of: &Syntax, key: &Syntax) -> Compiled {
        if let Kind::String(name) = &key.kind {
            return self.member(syntax, of, name);
        }
        if let Kind::Name(group) = &of.kind
            && AttributePath::is_group(group)
        {
            return Err(ExpressionError {
                position: key.position,
                problem: format!("the name of an attribute of `{group}` has to be said here"),
            });
        }
        Ok(Node::Index(Box::new([self.node(of)?, self.node(key)?])))
    }

    fn call(&self, syntax: &Syntax, target: Option<&Syntax>, name: &str, arguments: &[Syntax]) -> Compiled {
        let error = |problem| ExpressionError { position: syntax.position, problem };
        if let (None, "has", [of]) = (target, name, arguments) {
            let Kind::Member(of, key) = &of.kind else {
                return Err(error("has() takes a member, such as `has(request.headers.name)`".to_owned()));
            };
            return self.has(of, key, of_position(of));
        }
        if let Some(Syntax { kind: Kind::Name(library), .. }) = target
            && library == "re"
        {
            let function = function::find_regular(name, arguments.len()).map_err(error)?;
            self.check_pattern(arguments.get(1))?;
            return Ok(Node::Call(function, self.nodes(arguments)?));
        }
        let found = function::find(name, target.is_some(), arguments.len(), self.options).map_err(error)?;
        let all: Vec<&Syntax> = target.into_iter().chain(arguments).collect();
        if let (Function::Matches, [text, Syntax { position, kind: Kind::String(pattern), .. }]) =
            (found, &*all)
        {
            let pattern = regular::compile(pattern)
                .map_err(|problem| ExpressionError { position: *position, problem })?;
            return Ok(Node::Matches(Box::new(self.node(text)?), pattern));
        }
        Ok(Node::Call(found, all.into_iter().map(|part| self.node(part)).collect::<Result<_, _>>()?))
    }

    fn check_pattern(&self, pattern: Option<&Syntax>) -> Result<(), ExpressionError> {
        match pattern {
            Some(Syntax { position, kind: Kind::String(pattern), .. }) => {
                match regular::compile_computed(pattern) {
                    Some(_) => Ok(()),
                    None => Err(ExpressionError {
                        position: *position,
                        problem: "no regular expression, or one that is too large".to_owned(),
                    }),
                }
            }
            _ => Ok(()),
        }
    }

    fn has(&self, of: &Syntax, key: &str, position: usize) -> Compiled {
        if let Kind::Name(group) = &of.kind
            && AttributePath::is_group(group)
        {
            return match AttributePath::named(group, key) {
                Some(path) => {
                    Ok(Node::Has(Box::new(Node::Attribute { path, keys: Vec::new() }), String::new()))
                }
                None => Err(ExpressionError {
                    position,
                    problem: format!("there is no attribute `{group}.{key}`"),
                }),
            };
        }
        let of = self.node(of)?;
        if let Node::Attribute { path, keys } = &of
            && keys.is_empty()
            && let Some(path) = path.header(key)
        {
            return Ok(Node::Has(Box::new(Node::Attribute { path, keys: Vec::new() }), String::new()));
        }
        Ok(Node::Has(Box::new(of), key.to_owned()))
    }
}

const fn of_position(syntax: &Syntax) -> usize {
    syntax.position
}

fn name_alone(name: &str) -> Node {
    if let Some(path) = AttributePath::whole(name) {
        return Node::Attribute { path, keys: Vec::new() };
    }
    if AttributePath::is_group(name) {
        return Node::Group;
    }
    match TYPES.iter().find(|known| **known == name) {
        Some(name) => Node::Constant(Value::Type(name)),
        None => Node::Unknown,
    }
}

/// What is inside of an attribute.
fn inside(path: AttributePath, mut keys: Vec<String>, name: &str) -> Result<Node, String> {
    if keys.is_empty()
        && let Some(path) = path.header(name)
    {
        return Ok(Node::Attribute { path, keys });
    }
    if !path.is_map() {
        return Err(format!("there is no `{name}` inside of this attribute"));
    }
    keys.push(name.to_owned());
    Ok(Node::Attribute { path, keys })
}
