//! Attributes under names of their own (U-1): Envoy's `MappedAttributeBuilder`.

use std::collections::BTreeMap;

use super::{AttributeError, Attributes, ComputeAttribute};
use crate::messages::Struct;

/// What each direction is sent instead of the attributes of the filter. An empty side leaves them as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MappedAttributeBuilder {
    /// With the first message of the request direction.
    pub mapped_request_attributes: MappedAttributes,
    /// With the first message of the response direction.
    pub mapped_response_attributes: MappedAttributes,
}

/// Attributes by the names that the processor sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MappedAttributes {
    /// Expressions by name.
    names: BTreeMap<String, String>,
    attributes: Attributes,
}

impl MappedAttributes {
    /// Parses expressions, each with the name that its value gets.
    ///
    /// # Errors
    /// For an expression that cannot be evaluated.
    pub fn parse(names: BTreeMap<String, String>) -> Result<Self, AttributeError> {
        let attributes = Attributes::parse(names.values())?;
        Ok(Self { names, attributes })
    }

    /// The same with all of CEL: `compute` has what is no path.
    ///
    /// # Errors
    /// For an expression that cannot be evaluated.
    pub fn parse_with(
        names: BTreeMap<String, String>,
        compute: ComputeAttribute,
    ) -> Result<Self, AttributeError> {
        let attributes = Attributes::parse_with(names.values(), compute)?;
        Ok(Self { names, attributes })
    }

    /// Whether nothing is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Names and their expressions, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().map(|(name, expression)| (name.as_str(), expression.as_str()))
    }

    /// What has to be evaluated.
    pub(crate) fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Gives the values their names; what has no value is left out.
    pub(crate) fn rename(&self, values: &Struct) -> Struct {
        let named = self.names.iter().filter_map(|(name, expression)| {
            Some((name.clone(), values.fields.get(expression.as_str())?.clone()))
        });
        Struct { fields: named.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Value;

    #[test]
    fn values_get_the_names_that_they_are_mapped_to() {
        let names = [("a", "request.path"), ("b", "request.path"), ("c", "request.id")];
        let names = names.map(|(name, expression)| (name.to_owned(), expression.to_owned()));
        let mapped = MappedAttributes::parse(names.into()).unwrap();
        let values = Struct { fields: [("request.path".to_owned(), Value::string("/"))].into() };
        let renamed = mapped.rename(&values);
        assert_eq!(renamed.fields.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(renamed.fields["b"], Value::string("/"));
        assert!(MappedAttributes::parse([("a".to_owned(), "1 + 1".to_owned())].into()).is_err());
    }
}
