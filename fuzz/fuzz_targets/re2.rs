//! Expressions in RE2's syntax: the translation never panics, and plain or quoted text stays itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use regex::bytes::{Regex, RegexBuilder};
use tollgate_config::translate_regex;

/// As configuration compiles expressions: they match bytes.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).unicode(false).size_limit(1 << 20).build()
}

/// Whether the translated expression matches all of the text. What is too large to compile matches.
fn is_all_of(translated: &str, text: &str) -> bool {
    match compile(&format!("^(?s:{translated})$")) {
        Ok(regex) => regex.is_match(text.as_bytes()),
        Err(regex::Error::CompiledTooBig(_)) => true,
        Err(error) => panic!("{error}"),
    }
}

fuzz_target!(|pattern: &str| {
    // Without the end of a quotation, of which the parts around another may be one.
    let mut quoted = pattern.to_owned();
    while quoted.contains("\\E") {
        quoted = quoted.replace("\\E", "");
    }
    let translated = translate_regex(&format!("\\Q{quoted}\\E")).expect("quoted text is an expression");
    assert!(is_all_of(&translated, &quoted), "{translated} is not {quoted}");

    let Ok(translated) = translate_regex(pattern) else { return };
    // An expansion without bound would be a way to exhaust memory. The longest is `\pL` and its like: 128 ranges of 9 bytes.
    assert!(translated.len() <= 512 * pattern.len() + 64, "{} from {}", translated.len(), pattern.len());
    if let Ok(regex) = compile(&translated) {
        let _ = regex.is_match(b"some text / to-match?x=1");
    }
    let is_plain = |letter: char| {
        letter.is_ascii_alphanumeric() || !letter.is_ascii() || " -_/=:,;<>@#'\"!~&%".contains(letter)
    };
    if pattern.chars().all(is_plain) {
        assert!(is_all_of(&translated, pattern), "{translated} is not {pattern}");
    }
});
