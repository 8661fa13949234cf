//! CEL expressions over the attributes of a request.
//!
//! An [`Expression`] is read once, when the configuration is, and evaluated for each request or log entry. It is CEL as
//! Envoy has it: no comprehensions (`all`, `map`, ...) and no variables but attributes, so what an evaluation costs is bounded
//! by the length of the expression and of the values it names. Of the attributes only those are made that the expression
//! reaches.
//!
//! An evaluation has a value or none. It has none if something is missing or types do not fit; `&&` and `||` forgive that
//! where their other side decides.

mod arithmetic;
mod compare;
mod compile;
mod evaluate;
mod function;
mod node;
mod number;
mod parse;
mod print;
mod regular;
mod strings;
mod syntax;
#[cfg(test)]
mod tests;
mod time;
mod token;
mod tree;
mod value;

use std::sync::Arc;

use extproc::attributes::{AttributeSource, ComputedAttribute};
use serde::{Serialize, Serializer};

pub use {tree::Tree, value::Value};

/// Longest text that an evaluation makes, bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// Parts of CEL that Envoy leaves out unless it is asked for them (`CelExpressionConfig`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Options {
    /// `string(x)`. Default off.
    pub string_conversion: bool,
    /// `+` of strings and of bytes. Default off.
    pub string_concat: bool,
    /// `lowerAscii`, `replace`, `split` and the like. Default off.
    pub string_functions: bool,
}

impl Options {
    /// All off.
    pub const NONE: Self = Self { string_conversion: false, string_concat: false, string_functions: false };
}

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {problem}")]
pub struct ExpressionError {
    /// Where, in characters from the start of the expression, counted from zero.
    pub position: usize,
    /// What is wrong.
    pub problem: String,
}

/// An expression that can be evaluated. Clones share it; two are equal if they were written alike.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    options: Options,
    root: Arc<node::Node>,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// If it is no CEL, or if it uses an attribute, a function or a part of CEL that is not there.
    pub fn parse(source: &str, options: Options) -> Result<Self, ExpressionError> {
        let root = compile::compile(&parse::parse(source)?, options)?;
        Ok(Self { source: source.into(), options, root: Arc::new(root) })
    }

    /// The expression as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it was read with.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    /// The value at this moment; `None` if there is none.
    #[must_use]
    pub fn evaluate<'a>(&'a self, attributes: &dyn AttributeSource) -> Option<Value<'a>> {
        evaluate::evaluate(&self.root, attributes)
    }

    /// Whether it is true, which is more than not false: what has no value or is no boolean is not true.
    #[must_use]
    pub fn holds(&self, attributes: &dyn AttributeSource) -> bool {
        self.evaluate(attributes) == Some(Value::Bool(true))
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.options == other.options
    }
}

impl Eq for Expression {}

impl std::fmt::Debug for Expression {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl ComputedAttribute for Expression {
    fn value(&self, source: &dyn AttributeSource) -> Option<extproc::messages::Value> {
        self.evaluate(source)?.into_attribute()
    }
}

/// Reads an attribute of `request_attributes` that is no path: for [`extproc::Attributes::parse_with`].
///
/// # Errors
/// What is wrong with it, with its place.
pub fn computed_attribute(expression: &str) -> Result<Arc<dyn ComputedAttribute>, String> {
    match Expression::parse(expression, Options::default()) {
        Ok(expression) => Ok(Arc::new(expression)),
        Err(error) => Err(format!("is no expression: {error}")),
    }
}
