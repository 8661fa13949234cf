//! Expressions in RE2's syntax: the translation never panics, and plain text stays itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use regex::RegexBuilder;
use tollgate_config::translate_regex;

fuzz_target!(|pattern: &str| {
    let Ok(translated) = translate_regex(pattern) else { return };
    // An expansion without bound would be a way to exhaust memory.
    assert!(translated.len() <= 64 + 16 * pattern.len(), "{} from {}", translated.len(), pattern.len());
    let compiled = RegexBuilder::new(&translated).size_limit(1 << 20).build();
    if let Ok(regex) = compiled {
        let _ = regex.is_match("some text / to-match?x=1");
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || " -_/=:,;<>@#'\"!~&%".contains(letter);
    if pattern.chars().all(is_plain) {
        assert!(
            RegexBuilder::new(&format!("^(?:{translated})$"))
                .build()
                .is_ok_and(|regex| regex.is_match(pattern))
        );
    }
    if let Ok(regex) = RegexBuilder::new(&translated).build()
        && let Ok(quoted) = translate_regex(&format!("\\Q{}\\E", pattern.replace("\\E", "")))
    {
        let text = pattern.replace("\\E", "");
        assert!(
            RegexBuilder::new(&format!("^(?s:{quoted})$")).build().is_ok_and(|quoted| quoted.is_match(&text))
        );
        drop(regex);
    }
});
