//! Expressions as trees, the form that `google.api.expr.v1alpha1.Expr` has.

use std::fmt::{self, Display, Formatter, Write};

use crate::{
    ExpressionError, parse,
    syntax::{Binary, Kind, Syntax},
};

/// An expression as a tree. It is shown as the text that means the same.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number with `u`.
    Uint(u64),
    /// A number with a fraction.
    Double(f64),
    /// A string.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A name.
    Name(String),
    /// `of.field`, or `has(of.field)`.
    Select {
        /// What is looked into.
        of: Box<Self>,
        /// The name inside of it.
        field: String,
        /// It is only asked for.
        test_only: bool,
    },
    /// `function(arguments)`, `target.function(arguments)` or, with a name such as `_==_`, an operator.
    Call {
        /// What stands before the point.
        target: Option<Box<Self>>,
        /// The function.
        function: String,
        /// Its arguments.
        arguments: Vec<Self>,
    },
    /// `[...]`
    List(Vec<Self>),
    /// `{...}`
    Map(Vec<(Self, Self)>),
}

/// Names of operators between two values.
const OPERATORS: [(Binary, &str, &str); 12] = [
    (Binary::Equal, "_==_", "=="),
    (Binary::NotEqual, "_!=_", "!="),
    (Binary::Less, "_<_", "<"),
    (Binary::LessOrEqual, "_<=_", "<="),
    (Binary::Greater, "_>_", ">"),
    (Binary::GreaterOrEqual, "_>=_", ">="),
    (Binary::In, "@in", "in"),
    (Binary::Add, "_+_", "+"),
    (Binary::Subtract, "_-_", "-"),
    (Binary::Multiply, "_*_", "*"),
    (Binary::Divide, "_/_", "/"),
    (Binary::Remainder, "_%_", "%"),
];
const AND: &str = "_&&_";
const OR: &str = "_||_";
const NOT: &str = "!_";
const NEGATIVE: &str = "-_";
const INDEX: &str = "_[_]";
const CONDITIONAL: &str = "_?_:_";

impl Tree {
    /// The tree of an expression.
    ///
    /// # Errors
    /// If it is no CEL.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        parse::parse(source).map(|syntax| Self::of(&syntax))
    }

    fn of(syntax: &Syntax) -> Self {
        let call = |function: &str, arguments: &[&Syntax]| Self::Call {
            target: None,
            function: function.to_owned(),
            arguments: arguments.iter().map(|argument| Self::of(argument)).collect(),
        };
        let chain = |function: &str, parts: &[Syntax]| {
            let joined = parts.iter().map(Self::of).reduce(|left, right| Self::Call {
                target: None,
                function: function.to_owned(),
                arguments: vec![left, right],
            });
            joined.unwrap_or(Self::Null)
        };
        match &syntax.kind {
            Kind::Null => Self::Null,
            Kind::Bool(value) => Self::Bool(*value),
            Kind::Int(number) => Self::Int(*number),
            Kind::Uint(number) => Self::Uint(*number),
            Kind::Double(number) => Self::Double(*number),
            Kind::String(text) => Self::String(text.clone()),
            Kind::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Kind::Name(name) => Self::Name(name.clone()),
            Kind::Member(of, field) => {
                Self::Select { of: Box::new(Self::of(of)), field: field.clone(), test_only: false }
            }
            Kind::Index(of, key) => call(INDEX, &[of, key]),
            Kind::Call { target: None, name, arguments } if name == "has" => match &arguments[..] {
                [Syntax { kind: Kind::Member(of, field), .. }] => {
                    Self::Select { of: Box::new(Self::of(of)), field: field.clone(), test_only: true }
                }
                arguments => call(name, &arguments.iter().collect::<Vec<_>>()),
            },
            Kind::Call { target, name, arguments } => Self::Call {
                target: target.as_ref().map(|target| Box::new(Self::of(target))),
                function: name.clone(),
                arguments: arguments.iter().map(Self::of).collect(),
            },
            Kind::Not(of) => call(NOT, &[of]),
            Kind::Negative(of) => call(NEGATIVE, &[of]),
            Kind::And(parts) => chain(AND, parts),
            Kind::Or(parts) => chain(OR, parts),
            Kind::Binary(operator, left, right) => {
                let known = OPERATORS.iter().find(|(known, ..)| known == operator);
                call(known.map_or("", |(_, name, _)| name), &[left, right])
            }
            Kind::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                call(CONDITIONAL, &[condition, yes, no])
            }
            Kind::List(elements) => Self::List(elements.iter().map(Self::of).collect()),
            Kind::Map(entries) => {
                Self::Map(entries.iter().map(|(key, value)| (Self::of(key), Self::of(value))).collect())
            }
        }
    }
}

/// Everything that has operators stands in parentheses.
impl Display for Tree {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Int(number) => write!(out, "{number}"),
            Self::Uint(number) => write!(out, "{number}u"),
            Self::Double(number) => write!(out, "{number:?}"),
            Self::String(text) => write_string(text, out),
            Self::Bytes(bytes) => {
                out.write_str("b\"")?;
                bytes.iter().try_for_each(|byte| write!(out, "\\x{byte:02x}"))?;
                out.write_char('"')
            }
            Self::Name(name) => out.write_str(name),
            Self::Select { of, field, test_only: false } if is_name(field) => write!(out, "{of}.{field}"),
            Self::Select { of, field, test_only: true } if is_name(field) => write!(out, "has({of}.{field})"),
            Self::Select { of, field, test_only } => {
                if *test_only {
                    out.write_char('(')?;
                    write_string(field, out)?;
                    return write!(out, " in {of})");
                }
                write!(out, "{of}[")?;
                write_string(field, out)?;
                out.write_char(']')
            }
            Self::Call { target: Some(target), function, arguments } => {
                write!(out, "{target}.{function}(")?;
                write_list(arguments, out)?;
                out.write_char(')')
            }
            Self::Call { target: None, function, arguments } => write_call(function, arguments, out),
            Self::List(elements) => {
                out.write_char('[')?;
                write_list(elements, out)?;
                out.write_char(']')
            }
            Self::Map(entries) => {
                out.write_char('{')?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(out, "{comma}{key}: {value}")?;
                }
                out.write_char('}')
            }
        }
    }
}

fn write_call(function: &str, arguments: &[Tree], out: &mut Formatter<'_>) -> fmt::Result {
    let operator = match function {
        AND => Some("&&"),
        OR => Some("||"),
        "_in_" => Some("in"),
        _ => OPERATORS.iter().find(|(_, name, _)| *name == function).map(|(.., sign)| *sign),
    };
    match (function, operator, arguments) {
        (_, Some(operator), [left, right]) => write!(out, "({left} {operator} {right})"),
        (NOT, _, [of]) => write!(out, "(!{of})"),
        (NEGATIVE, _, [of]) => write!(out, "(-({of}))"),
        (INDEX, _, [of, key]) => write!(out, "{of}[{key}]"),
        (CONDITIONAL, _, [condition, yes, no]) => write!(out, "({condition} ? {yes} : {no})"),
        _ => {
            write!(out, "{function}(")?;
            write_list(arguments, out)?;
            out.write_char(')')
        }
    }
}

fn write_list(all: &[Tree], out: &mut Formatter<'_>) -> fmt::Result {
    for (index, one) in all.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(out, "{comma}{one}")?;
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Formatter<'_>) -> fmt::Result {
    out.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(out, "\\{letter}")?,
            letter if letter.is_control() => write!(out, "\\u{:04x}", u32::from(letter))?,
            letter => out.write_char(letter)?,
        }
    }
    out.write_char('"')
}

fn is_name(text: &str) -> bool {
    let mut letters = text.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
        && !matches!(text, "in" | "true" | "false" | "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_the_text_that_means_the_same() {
        for (text, shown) in [
            ("request.method == 'GET'", "(request.method == \"GET\")"),
            ("a && b && !c || d", "(((a && b) && (!c)) || d)"),
            (
                "has(request.headers.a) ? -x : [1, 2u, 1.5]",
                "(has(request.headers.a) ? (-(x)) : [1, 2u, 1.5])",
            ),
            ("request.headers['x-a'].startsWith(\"b\")", "request.headers[\"x-a\"].startsWith(\"b\")"),
            (
                "'\\n\\\"' in {'a': null, 'b': b'\\x00'}",
                "(\"\\u000a\\\"\" in {\"a\": null, \"b\": b\"\\x00\"})",
            ),
            ("1 - -2 * int('3')", "(1 - (-2 * int(\"3\")))"),
        ] {
            let tree = Tree::parse(text).unwrap();
            assert_eq!(tree.to_string(), shown);
            assert_eq!(Tree::parse(shown).unwrap().to_string(), shown);
        }
        let odd =
            |test_only| Tree::Select { of: Box::new(Tree::Name("a".into())), field: "x-b".into(), test_only };
        assert_eq!(odd(false).to_string(), "a[\"x-b\"]");
        assert_eq!(odd(true).to_string(), "(\"x-b\" in a)");
    }
}
