//! Templates of paths, and what is made of their parts.

use std::collections::BTreeSet;

use regex::bytes::{Captures, Regex};
use serde::{Serialize, Serializer};

/// A template that whole paths match: `*` is a segment or a part of it, `**` any number of them, `{name}` a segment that has a
/// name, and `{name=a/*}` several.
#[derive(Debug, Clone)]
pub struct PathTemplate {
    written: String,
    regex: Regex,
}

/// What a path becomes that has matched a template: text with `{name}`s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplateRewrite {
    written: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Variable(String),
}

/// Most variables of a template.
const MOST_VARIABLES: usize = 5;
/// Longest name of a variable.
const LONGEST_NAME: usize = 16;

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(written: &str) -> Result<Self, String> {
        let mut rest = written.strip_prefix('/').ok_or("it does not begin with a slash")?;
        if written.contains("//") {
            return Err("it has two slashes in a row".to_owned());
        }
        let mut pattern = "/".to_owned();
        let mut names = BTreeSet::new();
        let mut state = Operators::default();
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('{') {
                let (variable, behind) = inner.split_once('}').ok_or("a \"{\" without its \"}\"")?;
                let (name, segments) = variable.split_once('=').unwrap_or((variable, "*"));
                check_name(name)?;
                if !names.insert(name.to_owned()) {
                    return Err(format!("the variable \"{name}\" is there twice"));
                }
                if names.len() > MOST_VARIABLES {
                    return Err(format!("it has more than {MOST_VARIABLES} variables"));
                }
                state.operator()?;
                pattern.push_str(&format!("(?P<{name}>{})", segments_of(segments, &mut state)?));
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix("**") {
                state.operator()?;
                state.is_last()?;
                pattern.push_str(ANY_SEGMENTS);
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix('*') {
                state.operator()?;
                pattern.push_str(SEGMENT);
                rest = behind;
            } else {
                let end = rest.find(['{', '*']).unwrap_or(rest.len());
                let (literal, behind) = rest.split_at(end);
                check_literal(literal)?;
                pattern.push_str(&regex::escape(literal));
                state.adjacent = false;
                rest = behind;
            }
        }
        let regex = Regex::new(&format!("^(?s-u:{pattern})$")).map_err(|error| error.to_string())?;
        Ok(Self { written: written.to_owned(), regex })
    }

    /// As it is written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether a path (without its query) matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.regex.is_match(path)
    }

    fn captures<'p>(&self, path: &'p [u8]) -> Option<Captures<'p>> {
        self.regex.captures(path)
    }

    fn has(&self, name: &str) -> bool {
        self.regex.capture_names().flatten().any(|known| known == name)
    }
}

const SEGMENT: &str = "[^/]+";
const ANY_SEGMENTS: &str = ".*";

/// What has come of the operators of a template.
#[derive(Debug, Default)]
struct Operators {
    /// One has just ended.
    adjacent: bool,
    /// Nothing may follow.
    ended: bool,
}

impl Operators {
    fn operator(&mut self) -> Result<(), String> {
        if self.ended {
            return Err("\"**\" is not the last operator".to_owned());
        }
        if self.adjacent {
            return Err("two operators follow each other".to_owned());
        }
        self.adjacent = true;
        Ok(())
    }

    fn is_last(&mut self) -> Result<(), String> {
        if self.ended {
            return Err("\"**\" is not the last operator".to_owned());
        }
        self.ended = true;
        Ok(())
    }
}

/// The pattern of what a variable holds.
fn segments_of(segments: &str, state: &mut Operators) -> Result<String, String> {
    let mut patterns = Vec::new();
    for segment in segments.split('/') {
        patterns.push(match segment {
            "" => return Err("a variable has an empty segment".to_owned()),
            "**" => {
                state.is_last()?;
                ANY_SEGMENTS.to_owned()
            }
            _ if state.ended => return Err("\"**\" is not the last operator".to_owned()),
            "*" => SEGMENT.to_owned(),
            literal => {
                check_literal(literal)?;
                if literal.contains('*') {
                    return Err(format!("the segment \"{literal}\" of a variable is no operator"));
                }
                regex::escape(literal)
            }
        });
    }
    Ok(patterns.join("/"))
}

fn check_name(name: &str) -> Result<(), String> {
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && name.len() <= LONGEST_NAME;
    if is_name { Ok(()) } else { Err(format!("\"{name}\" is no name of a variable")) }
}

fn check_literal(literal: &str) -> Result<(), String> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-._~%!$&'()+,;:@=*/".contains(letter);
    match literal.chars().find(|letter| !is_allowed(*letter)) {
        Some(letter) => Err(format!("\"{letter}\" cannot stand in it")),
        None => Ok(()),
    }
}

impl PathTemplateRewrite {
    /// Reads a text with variables.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(written: &str) -> Result<Self, String> {
        if !written.starts_with('/') {
            return Err("it does not begin with a slash".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = written;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('{') {
                let (name, behind) = inner.split_once('}').ok_or("a \"{\" without its \"}\"")?;
                check_name(name)?;
                pieces.push(Piece::Variable(name.to_owned()));
                rest = behind;
            } else {
                let (literal, behind) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
                check_literal(literal)?;
                if literal.contains('*') || literal.contains("//") {
                    return Err("it has a star, or two slashes in a row".to_owned());
                }
                pieces.push(Piece::Literal(literal.to_owned()));
                rest = behind;
            }
        }
        Ok(Self { written: written.to_owned(), pieces })
    }

    /// As it is written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// A variable that the template does not have.
    #[must_use]
    pub fn unknown_variable(&self, template: &PathTemplate) -> Option<&str> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Variable(name) if !template.has(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// What a path (without its query) becomes; `None`: it does not match, because it was changed after the match.
    #[must_use]
    pub fn rewrite(&self, template: &PathTemplate, path: &[u8]) -> Option<Vec<u8>> {
        let captures = template.captures(path)?;
        let mut rewritten = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => rewritten.extend_from_slice(text.as_bytes()),
                Piece::Variable(name) => {
                    rewritten
                        .extend_from_slice(captures.name(name).map_or(&b""[..], |found| found.as_bytes()));
                }
            }
        }
        Some(rewritten)
    }
}

impl PartialEq for PathTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Serialize for PathTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl Serialize for PathTemplateRewrite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_whole_paths() {
        let matches =
            |template: &str, path: &str| PathTemplate::parse(template).unwrap().matches(path.as_bytes());
        assert!(matches("/a/*/c", "/a/b/c") && !matches("/a/*/c", "/a/b/b/c") && !matches("/a/*/c", "/a//c"));
        assert!(matches("/a/**", "/a/") && matches("/a/**", "/a/b/c") && !matches("/a/**", "/a"));
        assert!(matches("/**.mpd", "/x/y.mpd") && !matches("/**.mpd", "/x/y.mpe"));
        assert!(matches("/{a}.x", "/b.x") && !matches("/{a}.x", "/bcx"), "dots are dots");
        assert!(matches("/{a=b/*}/**", "/b/c/d/e") && !matches("/{a=b/*}/**", "/c/c/d"));
        assert!(matches("/", "/") && !matches("/", "/a"));
    }

    /// As Envoy 1.40 judges them.
    #[test]
    fn templates_that_are_none() {
        for good in
            ["/{a=*/x}", "/{a}.x", "/**/x", "/{a=**}/b", "/{a=b}", "/*x*", "/{a_b}", "/%zz", "/a/", "/"]
        {
            assert!(PathTemplate::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a/*",
            "/a b",
            "/{a=}",
            "/{1a}",
            "/{abcdefghijklmnopq}",
            "/{a}{b}",
            "/*{a}",
            "/a//b",
            "/{a=**}/*",
            "/a?b",
            "/{a=*x}",
            "/{a-b}",
            "/[x]",
            "/{a",
            "/{a}/{a}",
            "/{a}/{b}/{c}/{d}/{e}/{f}",
            "/**/a/*",
        ] {
            assert!(PathTemplate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_are_put_together_anew() {
        let template = PathTemplate::parse("/api/{user}/{what=docs/*}/{rest=**}").unwrap();
        let rewrite = PathTemplateRewrite::parse("/{rest}/of/{user}/{what}").unwrap();
        assert_eq!(rewrite.unknown_variable(&template), None);
        let rewritten = rewrite.rewrite(&template, b"/api/me/docs/7/x/y").unwrap();
        assert_eq!(String::from_utf8(rewritten).unwrap(), "/x/y/of/me/docs/7");
        assert_eq!(rewrite.rewrite(&template, b"/other"), None);
        let other = PathTemplateRewrite::parse("/{nope}").unwrap();
        assert_eq!(other.unknown_variable(&template), Some("nope"));
        for bad in ["a", "/{a", "/{}", "/*", "/a//b", "/a?b"] {
            assert!(PathTemplateRewrite::parse(bad).is_err(), "{bad}");
        }
    }
}
