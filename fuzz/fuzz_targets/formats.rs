//! Format strings: never a panic, and errors have a place inside of the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_model::format::Format;

fuzz_target!(|text: &str| {
    if let Err(error) = Format::parse(text) {
        let length = text.chars().count();
        assert!(error.position <= length, "{} of {length}", error.position);
        assert!(!error.problem.to_string().is_empty());
    }
});
