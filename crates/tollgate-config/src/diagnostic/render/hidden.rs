//! What excerpts do not show: values that are secret, or look like it.

use std::ops::Range;

/// Ends of keys whose values are secret.
const SECRET_KEYS: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "private_key",
    "privatekey",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
];
/// Beginnings of secret values, in lower case.
const SECRET_VALUES: [&str; 3] = ["bearer ", "basic ", "-----begin"];
/// Letters of base64 in a row that are taken for a key.
const LONGEST_TEXT: usize = 40;

/// The lines of Kubernetes Secrets.
#[derive(Debug)]
pub(super) struct Hidden(Vec<Range<usize>>);

impl Hidden {
    /// Finds the documents that hold a Secret.
    pub(super) fn of(lines: &[&str]) -> Self {
        let mut hidden = Vec::new();
        let mut first = 0;
        let mut secret = false;
        for (index, line) in lines.iter().enumerate() {
            if line.starts_with("---") {
                if secret {
                    hidden.push(first..index);
                }
                (first, secret) = (index + 1, false);
            }
            secret |= names_a_secret(line);
        }
        if secret {
            hidden.push(first..lines.len());
        }
        Self(hidden)
    }

    /// Whether a line, counted from 0, is one of a Secret.
    pub(super) fn is_secret(&self, line: usize) -> bool {
        self.0.iter().any(|lines| lines.contains(&line))
    }
}

/// `kind: Secret`, in any spelling of YAML or JSON.
fn names_a_secret(line: &str) -> bool {
    line.match_indices("kind").any(|(at, _)| {
        let rest = line[at + 4..].trim_start_matches(['"', '\'', ' ']);
        let Some(value) = rest.strip_prefix(':') else { return false };
        let value = value.trim_start_matches([' ', '"', '\'']);
        value
            .strip_prefix("Secret")
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
    })
}

/// The part of a line that may be shown, where `before` is the line before it; `None` = nothing.
pub(super) fn shown_part(line: &str, before: &str) -> Option<String> {
    let lower = line.to_ascii_lowercase();
    let end = |end: &str| end.trim_end_matches(['"', '\'', ' ', ',']).to_ascii_lowercase();
    let is_secret = |key: &str| SECRET_KEYS.iter().any(|secret| key.ends_with(secret));
    // - key: authorization
    //   value: ...
    let value_of_secret = is_secret(&end(before)) && lower.trim_start().starts_with("value");
    let keys = lower.match_indices(':').map(|(at, _)| at);
    let names_a_file = |at: usize| {
        let rest = lower[at + 1..].trim_start_matches([' ', '{']);
        rest.starts_with("filename") || rest.starts_with("environment_variable")
    };
    let after_key = keys
        .filter(|at| !names_a_file(*at))
        .find(|at| value_of_secret || is_secret(&end(&lower[..*at])))
        .map(|at| at + 1);
    let at_value = SECRET_VALUES.iter().filter_map(|value| lower.find(value)).min();
    let text = line.trim().trim_matches('"');
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    if text.len() >= LONGEST_TEXT && text.bytes().all(is_base64) {
        return None;
    }
    let cut = match (after_key, at_value) {
        (Some(one), Some(other)) => one.min(other),
        (Some(cut), None) | (None, Some(cut)) => cut,
        (None, None) => return Some(line.to_owned()),
    };
    let rest = line[cut..].trim();
    // A key alone on its line, or the mapping that it opens, gives nothing away.
    if rest.is_empty() || rest == "|" || rest == "{" {
        Some(line.to_owned())
    } else {
        Some(format!("{} (hidden)", &line[..cut]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        let lines = [
            "kind: ConfigMap",
            "---",
            "apiVersion: v1",
            "kind: Secret",
            "data: {a: b}",
            "---",
            "kind: SecretPolicy",
        ];
        let hidden = Hidden::of(&lines);
        let of_secret: Vec<usize> = (0..lines.len()).filter(|line| hidden.is_secret(*line)).collect();
        assert_eq!(of_secret, [2, 3, 4]);
        assert!(Hidden::of(&[r#"{"apiVersion": "v1", "kind": "Secret", "data": {}}"#]).is_secret(0));
    }

    #[test]
    fn values_of_secret_keys_are_not_shown() {
        let shown = |line: &str| shown_part(line, "");
        let kept = |line: &str| assert_eq!(shown(line), Some(line.to_owned()));
        kept("  connect_timeout: soon");
        kept("  secretName: web");
        kept("  private_key:");
        kept("  private_key: {filename: key.pem}");
        kept("  credentialName: web");
        assert_eq!(shown("  access_token: 12345").as_deref(), Some("  access_token: (hidden)"));
        assert_eq!(shown(r#"{"password": 12345, "a": 1}"#).as_deref(), Some(r#"{"password": (hidden)"#));
        assert_eq!(shown("  value: Bearer abc").as_deref(), Some("  value:  (hidden)"));
        assert_eq!(shown("    -----BEGIN PRIVATE KEY-----").as_deref(), Some("     (hidden)"));
        assert_eq!(shown("    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQ"), None);
        let value = shown_part("    value: 12345", "  - key: x-api-key");
        assert_eq!(value.as_deref(), Some("    value: (hidden)"));
    }
}
