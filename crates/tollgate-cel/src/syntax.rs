//! What was written, without a meaning yet.

use crate::ExpressionError;

/// A piece of an expression.
#[derive(Debug)]
pub(crate) struct Syntax {
    /// Where it begins, in characters.
    pub(crate) position: usize,
    /// How deep it is nested; a leaf is 1.
    depth: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    Name(String),
    /// `of.name`
    Member(Box<Syntax>, String),
    /// `of[key]`
    Index(Box<Syntax>, Box<Syntax>),
    /// `name(...)`, or `target.name(...)`
    Call {
        target: Option<Box<Syntax>>,
        name: String,
        arguments: Vec<Syntax>,
    },
    Not(Box<Syntax>),
    Negative(Box<Syntax>),
    And(Vec<Syntax>),
    Or(Vec<Syntax>),
    Binary(Binary, Box<Syntax>, Box<Syntax>),
    Conditional(Box<[Syntax; 3]>),
    List(Vec<Syntax>),
    Map(Vec<(Syntax, Syntax)>),
}

/// Operators between two values that both have to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// How deep expressions may be nested. Reading, evaluating and dropping them go down as deep.
const DEEPEST: usize = 100;

impl Syntax {
    pub(crate) fn new(position: usize, kind: Kind) -> Result<Self, ExpressionError> {
        let depth = 1 + match &kind {
            Kind::Null
            | Kind::Bool(_)
            | Kind::Int(_)
            | Kind::Uint(_)
            | Kind::Double(_)
            | Kind::String(_)
            | Kind::Bytes(_)
            | Kind::Name(_) => 0,
            Kind::Member(of, _) | Kind::Not(of) | Kind::Negative(of) => of.depth,
            Kind::Index(left, right) | Kind::Binary(_, left, right) => left.depth.max(right.depth),
            Kind::Call { target, arguments, .. } => {
                deepest(arguments).max(target.as_ref().map_or(0, |target| target.depth))
            }
            Kind::And(parts) | Kind::Or(parts) | Kind::List(parts) => deepest(parts),
            Kind::Conditional(parts) => deepest(&**parts),
            Kind::Map(entries) => {
                entries.iter().map(|(key, value)| key.depth.max(value.depth)).max().unwrap_or(0)
            }
        };
        if depth > DEEPEST {
            return Err(too_deep(position));
        }
        Ok(Self { position, depth, kind })
    }
}

pub(crate) fn too_deep(position: usize) -> ExpressionError {
    ExpressionError { position, problem: format!("nested more than {DEEPEST} deep") }
}

/// How deep the parser itself may go down before there is anything.
pub(crate) const fn is_too_deep(depth: usize) -> bool {
    depth > DEEPEST
}

fn deepest(parts: &[Syntax]) -> usize {
    parts.iter().map(|part| part.depth).max().unwrap_or(0)
}
