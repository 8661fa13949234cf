//! Attribute expressions: never a panic, what is accepted is kept as it was written, and what is evaluated ends.

#![no_main]

use extproc::{
    Attributes,
    attributes::{AttributePath, AttributeSource, AttributeValue},
};
use libfuzzer_sys::fuzz_target;
use tollgate_cel::{Expression, Options, computed_attribute};

/// Every attribute is text.
struct Source;

impl AttributeSource for Source {
    fn value(&self, _path: &AttributePath) -> Option<AttributeValue> {
        Some(AttributeValue::String("/a/b?c=1".to_owned()))
    }
}

fuzz_target!(|text: &str| {
    if let Ok(attributes) = Attributes::parse([text]) {
        assert!(attributes.expressions().eq([text]));
    }
    // Several, one a line.
    if let Err(error) = Attributes::parse(text.lines()) {
        assert!(text.lines().any(|line| line == error.expression));
        assert!(!error.reason.is_empty());
    }
    if let Ok(attributes) = Attributes::parse_with([text], computed_attribute) {
        drop(attributes.evaluate(&Source));
    }
    let all = Options { string_conversion: true, string_concat: true, string_functions: true };
    match Expression::parse(text, all) {
        Ok(expression) => {
            assert_eq!(expression.source(), text);
            if let Some(value) = expression.evaluate(&Source) {
                drop(value.to_text());
                drop(value.into_json());
            }
        }
        Err(error) => assert!(error.position <= text.chars().count() && !error.problem.is_empty()),
    }
});
