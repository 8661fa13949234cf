//! Rewrites of paths.

use tollgate_model::route::PathMatch;

/// A pattern and what is written instead of what it matches, both in RE2's syntax.
pub(super) type Rewrite = (String, String);

/// Replaces a prefix by whole path elements: what follows it is joined to the replacement with exactly one slash. The rewrite
/// does the same for every path, but for that of a prefix `/` alone, which gets a slash at its end; the flag says so.
pub(super) fn path_elements(path: &PathMatch, replacement: &str) -> (Rewrite, bool) {
    let trimmed = replacement.trim_end_matches('/');
    match path {
        PathMatch::Prefix { prefix, case_sensitive }
        | PathMatch::PathSeparatedPrefix { prefix, case_sensitive } => {
            let (case, prefix) = (if *case_sensitive { "" } else { "(?i)" }, prefix.trim_end_matches('/'));
            if prefix.is_empty() {
                return (
                    ("^/+(.*)".to_owned(), format!("{}/\\1", substitution(trimmed))),
                    !trimmed.is_empty(),
                );
            }
            let prefix = quoted(prefix);
            if trimmed.len() < replacement.len() || trimmed.is_empty() {
                return ((format!("^{case}{prefix}/*(.*)"), format!("{}/\\1", substitution(trimmed))), false);
            }
            ((format!("^{case}{prefix}(/?)/*(.*)"), format!("{}\\1\\2", substitution(trimmed))), false)
        }
        // The whole path was matched: nothing follows.
        PathMatch::Path { .. } | PathMatch::SafeRegex(_) | PathMatch::Template(_) => {
            let whole = if replacement.is_empty() { "/" } else { replacement };
            (full(whole), false)
        }
    }
}

/// Replaces the whole path.
pub(super) fn full(replacement: &str) -> Rewrite {
    ("^/.*$".to_owned(), substitution(replacement))
}

/// From the notation of the library (`${1}`) to RE2's (`\1`).
pub(super) fn substitution_of_library(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some((group, after)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
            out.push('\\');
            out.push_str(group);
            rest = after;
        } else {
            if next == '\\' {
                out.push('\\');
            }
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

/// A text that stands for itself as a substitution.
fn substitution(text: &str) -> String {
    text.replace('\\', r"\\")
}

/// A text that stands for itself as an expression.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if letter.is_ascii_punctuation() && !matches!(letter, '/' | '-' | '_' | ':') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tollgate_model::route::PathRewrite;

    use super::*;
    use crate::envoy::{
        matchers::compile_plain,
        route::action::{new_pattern, translate_substitution},
    };

    fn in_envoy((pattern, substitution): &Rewrite) -> PathRewrite {
        let (pattern, written) = compile_plain(pattern, new_pattern).unwrap();
        let substitution = translate_substitution(substitution, pattern.captures_len()).unwrap();
        PathRewrite::Regex { pattern, written, substitution }
    }

    /// Envoy's regular expressions do what the rewrites of Gateway API do here.
    #[test]
    fn rewrites_of_path_elements_are_the_same_in_envoy() {
        for prefix in ["/a", "/a.b/c", "/"] {
            for replacement in ["", "/", "/x", "/x/", "/x/y", "/x\\1"] {
                let path_match = match prefix {
                    "/" => PathMatch::Prefix { prefix: prefix.to_owned(), case_sensitive: true },
                    _ => PathMatch::PathSeparatedPrefix { prefix: prefix.to_owned(), case_sensitive: true },
                };
                let own = PathRewrite::PathElements(replacement.to_owned());
                let (rewrite, inexact) = path_elements(&path_match, replacement);
                let theirs = in_envoy(&rewrite);
                for rest in ["", "/", "/z", "//z", "/z/", "/z?q=/a"] {
                    let path = format!("{}{rest}", prefix.trim_end_matches('/'));
                    if !path.starts_with('/') || inexact && path == "/" {
                        continue;
                    }
                    let path = HeaderValue::from_str(&path).unwrap();
                    assert_eq!(
                        own.rewrite(&path_match, &path).unwrap_or_else(|| path.clone()),
                        theirs.rewrite(&path_match, &path).unwrap_or_else(|| path.clone()),
                        "{prefix} by {replacement}: {path:?}, {rewrite:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn substitutions_come_back() {
        for text in [r"/\1/x$\\", r"\0", "", "plain$$", r"\9\\"] {
            let translated = translate_substitution(text, 10).unwrap();
            assert_eq!(substitution_of_library(&translated), text, "{translated}");
        }
    }
}
