//! An expression with its meaning.

use extproc::attributes::AttributePath;
use regex::Regex;

use crate::{function::Function, syntax::Binary, value::Value};

/// What is evaluated.
#[derive(Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    /// An attribute, or what is inside of it under these names.
    Attribute {
        path: AttributePath,
        keys: Vec<String>,
    },
    /// A group of attributes as a whole, such as `request`: nobody can look into it.
    Group,
    /// A name that nothing has: it never has a value.
    Unknown,
    /// `of[key]` and `of.key`.
    Index(Box<[Self; 2]>),
    /// `has(of.key)`.
    Has(Box<Self>, String),
    Not(Box<Self>),
    Negative(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    Binary(Binary, Box<[Self; 2]>),
    /// `+`, where strings may be added.
    Join(Box<[Self; 2]>),
    Conditional(Box<[Self; 3]>),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    /// `matches` with a pattern that is known.
    Matches(Box<Self>, Regex),
    Call(Function, Vec<Self>),
}
