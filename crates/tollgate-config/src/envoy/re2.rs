//! From RE2's syntax to the one of the regex library, so that expressions mean what they mean in Envoy.
//!
//! Both see bytes, not characters (RE2 calls that Latin-1): a character of the expression beyond ASCII is the bytes of its
//! UTF-8 form, and `\pL` means the letters of Latin-1. The two are nearly the same. The differences that matter: `\d`, `\s`,
//! `\w` and `\b` are ASCII in RE2; `{` is itself when it begins no repetition; `[`, `&&`, `--` and `~~` have no meaning inside
//! of a class; `\<` and `\>` are themselves; `\Q…\E` quotes; `\C` is a byte; two repetitions in a row are an error, and so is
//! one above 1000.

use std::{iter::Peekable, str::Chars};

/// Why an expression cannot be translated; everything else is left for the library to find.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    RepetitionOfRepetition,
    RepetitionTooLarge,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::RepetitionOfRepetition => "a repetition cannot be repeated",
            Self::RepetitionTooLarge => "a repetition is at most 1000",
        })
    }
}

/// Largest number of a repetition.
const LARGEST_REPETITION: u32 = 1000;

/// Translates an expression.
pub(super) fn translate(pattern: &str) -> Result<String, Problem> {
    let mut translated = String::with_capacity(pattern.len());
    let mut letters = pattern.chars().peekable();
    // Whether a repetition has just ended.
    let mut repeated = false;
    while let Some(letter) = letters.next() {
        let repetition = match letter {
            '*' | '+' | '?' => Some(letter.to_string()),
            '{' => repetition(&mut letters)?,
            _ => None,
        };
        if let Some(repetition) = repetition {
            if repeated {
                return Err(Problem::RepetitionOfRepetition);
            }
            translated.push_str(&repetition);
            if letters.next_if_eq(&'?').is_some() {
                translated.push('?');
            }
            repeated = true;
            continue;
        }
        repeated = false;
        match letter {
            '{' | '}' => {
                translated.push('\\');
                translated.push(letter);
            }
            '\\' => escape(&mut letters, &mut translated),
            '[' => class(&mut letters, &mut translated),
            '(' => {
                translated.push('(');
                // The question mark of a group is no repetition.
                if letters.next_if_eq(&'?').is_some() {
                    translated.push('?');
                }
            }
            other => plain(other, &mut translated),
        }
    }
    Ok(translated)
}

/// The rest of a repetition behind its brace, if it is one.
fn repetition(letters: &mut Peekable<Chars<'_>>) -> Result<Option<String>, Problem> {
    let mut ahead = letters.clone();
    let mut text = "{".to_owned();
    let mut numbers = vec![String::new()];
    loop {
        match ahead.next() {
            Some(digit) if digit.is_ascii_digit() => {
                if let Some(number) = numbers.last_mut() {
                    number.push(digit);
                }
                text.push(digit);
            }
            Some(',') if numbers.len() == 1 => {
                numbers.push(String::new());
                text.push(',');
            }
            Some('}') => {
                text.push('}');
                break;
            }
            _ => return Ok(None),
        }
    }
    if numbers[0].is_empty() {
        return Ok(None);
    }
    let too_large = |number: &String| {
        !number.is_empty() && number.parse::<u32>().map_or(true, |number| number > LARGEST_REPETITION)
    };
    if numbers.iter().any(too_large) {
        return Err(Problem::RepetitionTooLarge);
    }
    *letters = ahead;
    Ok(Some(text))
}

/// What a backslash outside of a class stands for.
fn escape(letters: &mut Peekable<Chars<'_>>, translated: &mut String) {
    let Some(letter) = letters.next() else { return translated.push('\\') };
    match letter {
        'd' => translated.push_str("[0-9]"),
        'D' => translated.push_str("[^0-9]"),
        's' => translated.push_str(r"[\t\n\f\r ]"),
        'S' => translated.push_str(r"[^\t\n\f\r ]"),
        'w' => translated.push_str("[0-9A-Za-z_]"),
        'W' => translated.push_str("[^0-9A-Za-z_]"),
        'b' => translated.push_str(r"(?-u:\b)"),
        'B' => translated.push_str(r"(?-u:\B)"),
        'C' => translated.push_str(r"(?s-u:.)"),
        '<' | '>' => translated.push(letter),
        'Q' => {
            while let Some(letter) = letters.next() {
                if letter == '\\' && letters.next_if_eq(&'E').is_some() {
                    break;
                }
                literal(letter, translated);
            }
        }
        'p' | 'P' => match property(letter == 'P', letters) {
            Some(ranges) => {
                translated.push('[');
                translated.push_str(&ranges);
                translated.push(']');
            }
            None => {
                translated.push('\\');
                translated.push(letter);
            }
        },
        other => escaped(other, letters, translated),
    }
}

/// A character behind a backslash that has no meaning of its own here.
fn escaped(letter: char, letters: &mut Peekable<Chars<'_>>, translated: &mut String) {
    if letter == 'x'
        && letters.peek() == Some(&'{')
        && let rest = letters.clone().skip(1).take_while(|letter| *letter != '}').collect::<String>()
        && let Ok(byte) = u8::from_str_radix(&rest, 16)
    {
        letters.nth(rest.chars().count() + 1);
        byte_escape(byte, translated);
        return;
    }
    translated.push('\\');
    translated.push(letter);
}

/// A character that stands for itself: beyond ASCII it is several bytes.
fn plain(letter: char, translated: &mut String) {
    if letter.is_ascii() {
        translated.push(letter);
    } else {
        letter.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| byte_escape(byte, translated));
    }
}

fn byte_escape(byte: u8, translated: &mut String) {
    translated.push_str(&format!(r"\x{byte:02X}"));
}

/// The bytes of a property of Unicode (`L` or `{Greek}` behind `\p`) as ranges; `None`, and nothing read, if it is none.
fn property(negated: bool, letters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut ahead = letters.clone();
    let name: String = match ahead.next()? {
        '{' => ahead.by_ref().take_while(|letter| *letter != '}').collect(),
        letter => letter.to_string(),
    };
    let (caret, name) = match name.strip_prefix('^') {
        Some(name) => (true, name),
        None => (false, name.as_str()),
    };
    if !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        return None;
    }
    let class = regex::Regex::new(&format!(r"^\p{{{name}}}$")).ok()?;
    let wanted = |byte: u8| class.is_match(char::from(byte).encode_utf8(&mut [0; 4])) != (negated != caret);
    let mut ranges = String::new();
    let mut bytes = (0..=u8::MAX).peekable();
    while let Some(first) = bytes.next() {
        if wanted(first) {
            let mut last = first;
            while let Some(next) = bytes.next_if(|byte| wanted(*byte)) {
                last = next;
            }
            byte_escape(first, &mut ranges);
            ranges.push('-');
            byte_escape(last, &mut ranges);
        }
    }
    *letters = ahead;
    // A class that holds nothing is written as everything but everything.
    Some(if ranges.is_empty() { r"^\x00-\xFF".to_owned() } else { ranges })
}

/// A class behind its opening bracket.
fn class(letters: &mut Peekable<Chars<'_>>, translated: &mut String) {
    translated.push('[');
    if letters.next_if_eq(&'^').is_some() {
        translated.push('^');
    }
    let mut first = true;
    // Whether the last thing can begin a range.
    let mut begins_range = false;
    while let Some(letter) = letters.next() {
        match letter {
            ']' if !first => {
                translated.push(']');
                return;
            }
            '-' if begins_range && !matches!(letters.peek(), Some(']') | None) => {
                translated.push('-');
                match letters.next() {
                    Some('\\') => drop(class_escape(letters, translated)),
                    Some(end) => literal(end, translated),
                    None => {}
                }
                begins_range = false;
            }
            '[' if letters.peek() == Some(&':') => begins_range = !named_class(letters, translated),
            '\\' => begins_range = class_escape(letters, translated),
            other => {
                literal(other, translated);
                begins_range = true;
            }
        }
        first = false;
    }
}

/// `[:alpha:]` behind its bracket; without its end the bracket is itself, and this is false.
fn named_class(letters: &mut Peekable<Chars<'_>>, translated: &mut String) -> bool {
    // The letters of the name, behind the colon.
    let mut rest = letters.clone().skip(1);
    let mut length = 0;
    let end = loop {
        match rest.next() {
            Some(letter) if letter == '^' || letter.is_ascii_alphabetic() => length += 1,
            end => break end,
        }
    };
    match (end, rest.next()) {
        (Some(':'), Some(']')) => {
            translated.push('[');
            translated.extend(letters.by_ref().take(length + 3));
            true
        }
        _ => {
            translated.push_str(r"\[");
            false
        }
    }
}

/// What a backslash in a class stands for; whether it is one character.
fn class_escape(letters: &mut Peekable<Chars<'_>>, translated: &mut String) -> bool {
    let set = match letters.next() {
        Some('d') => "0-9",
        Some('s') => r"\t\n\f\r ",
        Some('w') => "0-9A-Za-z_",
        Some('D') => "[^0-9]",
        Some('S') => r"[^\t\n\f\r ]",
        Some('W') => "[^0-9A-Za-z_]",
        Some(letter @ ('<' | '>')) => {
            translated.push(letter);
            return true;
        }
        Some(letter @ ('p' | 'P')) => {
            if let Some(ranges) = property(letter == 'P', letters) {
                // Nothing is added as a class of its own.
                let ranges = if ranges.starts_with('^') { format!("[{ranges}]") } else { ranges };
                translated.push_str(&ranges);
                return false;
            }
            escaped(letter, letters, translated);
            return true;
        }
        Some(other) => {
            escaped(other, letters, translated);
            return true;
        }
        None => r"\",
    };
    translated.push_str(set);
    false
}

fn literal(letter: char, translated: &mut String) {
    if letter.is_ascii_punctuation() && !matches!(letter, '<' | '>') {
        translated.push('\\');
    }
    plain(letter, translated);
}

#[cfg(test)]
mod tests {
    use tollgate_model::matching::FullRegex;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        FullRegex::new(&translate(pattern).unwrap()).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn ordinary_expressions_stay_as_they_are() {
        for pattern in
            ["/a/[a-z0-9]+", "(?i)x|(?P<n>y)", r"a{2,5}?\.", "^a$", "[[:alpha:]]", ".*?", r"\x41\t"]
        {
            assert_eq!(translate(pattern).as_deref(), Ok(pattern), "{pattern}");
        }
    }

    #[test]
    fn classes_are_ascii() {
        assert!(matches(r"\d+", "123"));
        assert!(!matches(r"\d", "٣"));
        assert!(!matches(r"\w", "é"));
        assert!(matches(r"\W+", "é"));
        assert!(!matches(r"[\w]+", "é"));
        assert!(matches(r"[^\w]+", "é"));
        assert!(matches(r"[\D]+", "é"));
        assert!(!matches(r"\s", "\u{a0}"));
        assert!(matches(r"a\b.*", "aé"));
    }

    /// As RE2 does in Latin-1.
    #[test]
    fn everything_is_bytes() {
        let sees = |pattern: &str, bytes: &[u8]| {
            FullRegex::new(&translate(pattern).unwrap()).unwrap().is_match(bytes)
        };
        assert!(sees("é", "é".as_bytes()) && sees("é+", b"\xc3\xa9\xa9") && !sees("é+", "éé".as_bytes()));
        assert!(sees("[é]", b"\xc3") && sees("[é]", b"\xa9") && !sees("[é]", "é".as_bytes()));
        assert!(sees(r"\x{e9}", b"\xe9") && sees(r"[\x{e9}]", b"\xe9") && sees(r"\xe9", b"\xe9"));
        assert!(sees(r"\pL+", b"aZ\xe9") && !sees(r"\pL", b"1") && sees(r"\PL", b"1"));
        assert!(
            sees(r"[\p{Lu}\d]+", b"A1\xc9") && !sees(r"[\p{Lu}]", b"\xe9") && sees(r"[^\p{Lu}]", b"\xe9")
        );
        assert!(sees(r"\p{^L}", b"1") && sees(r"\P{^L}", b"a") && !sees(r"\p{Greek}", b"a"));
        assert!(sees(r"[\p{Greek}a]", b"a") && !sees(r"[\p{Greek}a]", b"b"));
        assert!(FullRegex::new(&translate(r"\p{Nonsense}").unwrap()).is_err());
    }

    #[test]
    fn braces_that_repeat_nothing_are_themselves() {
        assert!(matches("/{id}", "/{id}"));
        assert!(matches("a{", "a{"));
        assert!(matches("a{,2}", "a{,2}"));
        assert!(matches("a{2}", "aa"));
        assert!(matches("a{1,2}b", "aab"));
    }

    #[test]
    fn nothing_is_special_in_classes() {
        assert!(matches("[[a]", "["));
        assert!(matches("[a&&b]", "&"));
        assert!(matches("[a&&b]", "a"));
        assert!(matches("[]a]", "]"));
        assert!(matches("[^]a]", "b"));
        assert!(matches("[+--]", ","));
        assert!(matches("[a-]", "-"));
        assert!(matches("[~~]", "~"));
        assert!(matches("[[:digit:]x]", "5"));
        assert!(matches("[[:x]", ":"));
    }

    #[test]
    fn odd_escapes() {
        assert!(matches(r"\Qa.b*\E+", "a.b**"));
        assert!(!matches(r"\Qa.b\E", "axb"));
        assert!(matches(r"\<a\>", "<a>"));
        assert!(matches(r"[\<]", "<"));
        assert!(matches(r"\C", "a"));
    }

    #[test]
    fn repetitions_have_bounds() {
        assert_eq!(translate("a**"), Err(Problem::RepetitionOfRepetition));
        assert_eq!(translate("a+?+"), Err(Problem::RepetitionOfRepetition));
        assert_eq!(translate("a{2}{3}"), Err(Problem::RepetitionOfRepetition));
        assert_eq!(translate("a{1001}"), Err(Problem::RepetitionTooLarge));
        assert_eq!(translate("a{1,99999999999}"), Err(Problem::RepetitionTooLarge));
        assert!(matches("(a*)*", "aa"));
        assert!(matches("(?:a)?", ""));
    }
}
