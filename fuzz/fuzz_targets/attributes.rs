//! Attribute expressions: never a panic, and what is accepted is kept as it was written.

#![no_main]

use extproc::Attributes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(attributes) = Attributes::parse([text]) {
        assert!(attributes.expressions().eq([text]));
    }
    // Several, one a line.
    if let Err(error) = Attributes::parse(text.lines()) {
        assert!(text.lines().any(|line| line == error.expression));
        assert!(!error.reason.is_empty());
    }
});
