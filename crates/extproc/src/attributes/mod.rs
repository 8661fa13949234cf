//! Attributes: facts about a request that the processor asked to be told (section 17).
//!
//! Expressions are attribute paths: dotted names such as `request.path`, members of maps such as
//! `request.headers["x-user"]` or `xds.route_metadata.filter_metadata["team"].name`. Who parses them may bring what computes
//! other CEL ([`ComputedAttribute`]); without that it is refused by name, so that an accepted expression always works.

mod grpc_status;
mod known;
mod mapped;
mod messages;
mod parse;
mod path;
mod text;
mod value;

pub use mapped::{MappedAttributeBuilder, MappedAttributes};
pub use messages::{header_bytes, of_messages};
pub use path::{
    AddressAttribute, AttributePath, CertificateAttribute, ConnectionAttribute, RequestAttribute,
    ResponseAttribute, UpstreamAttribute, XdsAttribute,
};
pub use value::AttributeValue;

use std::{fmt::Debug, sync::Arc};

use crate::messages::{Struct, Value};
use parse::{Expression, Meaning};

/// The attribute expressions of one direction, parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    expressions: Vec<Expression>,
}

/// An expression that is no attribute path, or none that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute expression {expression:?} {reason}")]
pub struct AttributeError {
    /// The expression as configured.
    pub expression: String,
    /// What is wrong with it, as the rest of a sentence that begins with the expression.
    pub reason: String,
}

/// Where the values of attributes come from.
pub trait AttributeSource {
    /// The value at this moment; `None` if there is none (yet), which leaves the attribute out.
    fn value(&self, path: &AttributePath) -> Option<AttributeValue>;
}

/// The value of an expression that is no attribute path.
pub trait ComputedAttribute: Debug + Send + Sync {
    /// The value at this moment, as the processor is told it; `None` if there is none.
    fn value(&self, source: &dyn AttributeSource) -> Option<Value>;
}

/// Makes of an expression that is no attribute path what computes it, or says what is wrong with it as the rest of a sentence
/// that begins with the expression.
pub type ComputeAttribute = fn(&str) -> Result<Arc<dyn ComputedAttribute>, String>;

impl Attributes {
    /// Parses the expressions of `request_attributes` or `response_attributes`.
    ///
    /// # Errors
    /// For the first expression that cannot be evaluated.
    pub fn parse<T: AsRef<str>>(expressions: impl IntoIterator<Item = T>) -> Result<Self, AttributeError> {
        Self::parse_all(expressions, None)
    }

    /// The same with all of CEL: `compute` has what is no path.
    ///
    /// # Errors
    /// For the first expression that cannot be evaluated.
    pub fn parse_with<T: AsRef<str>>(
        expressions: impl IntoIterator<Item = T>,
        compute: ComputeAttribute,
    ) -> Result<Self, AttributeError> {
        Self::parse_all(expressions, Some(compute))
    }

    fn parse_all<T: AsRef<str>>(
        expressions: impl IntoIterator<Item = T>,
        compute: Option<ComputeAttribute>,
    ) -> Result<Self, AttributeError> {
        let parse = |expression: T| Expression::parse(expression.as_ref(), compute);
        Ok(Self { expressions: expressions.into_iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// The expressions as configured.
    pub fn expressions(&self) -> impl Iterator<Item = &str> {
        self.expressions.iter().map(|expression| expression.text.as_str())
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    /// The values at this moment, by expression as configured; what has none is left out.
    #[must_use]
    pub fn evaluate(&self, source: &dyn AttributeSource) -> Struct {
        let value = |expression: &Expression| {
            let value = match &expression.meaning {
                Meaning::Path { path, keys } => {
                    keys.iter().try_fold(source.value(path)?.into_value(), value::member)?
                }
                Meaning::Computed(computed) => computed.value(source)?,
            };
            Some((expression.text.clone(), value))
        };
        Struct { fields: self.expressions.iter().filter_map(value).collect() }
    }
}

#[cfg(test)]
mod tests;
