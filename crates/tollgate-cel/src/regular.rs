//! Regular expressions.

use regex::{Regex, RegexBuilder};

/// Longest pattern, bytes. Envoy allows programs of 100 instructions.
const LONGEST: usize = 1024;
/// Largest compiled form of a pattern that the configuration has, bytes.
const LARGEST: usize = 512 * 1024;
/// The same of a pattern that an evaluation makes: it is compiled each time.
const LARGEST_COMPUTED: usize = 32 * 1024;

/// Compiles a pattern of the configuration.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    build(pattern, LARGEST)
}

/// Compiles a pattern that was computed.
pub(crate) fn compile_computed(pattern: &str) -> Option<Regex> {
    build(pattern, LARGEST_COMPUTED).ok()
}

fn build(pattern: &str, largest: usize) -> Result<Regex, String> {
    if pattern.len() > LONGEST {
        return Err(format!("the pattern is longer than {LONGEST} bytes"));
    }
    let built = RegexBuilder::new(pattern).size_limit(largest).dfa_size_limit(largest).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
        error => error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
    })
}
