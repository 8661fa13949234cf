//! Requests that came to the wrong filter chain.

use std::collections::HashMap;

use serde::Serialize;

/// Whose requests a filter chain must not answer, because their authority belongs to another one of the same port: they
/// are answered with 421 (dialects 9.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MisdirectedRequests {
    /// Lower-case host names, exact, `*.suffix` or `*` (everything else), and who serves them. The most specific one
    /// decides about a host; a host without any is served here.
    pub server_names: HashMap<String, ServedBy>,
}

/// Who serves a host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ServedBy {
    /// This filter chain.
    ThisChain,
    /// Another one.
    AnotherChain,
}

impl MisdirectedRequests {
    /// Whether a host (without its port, in any case) belongs to another filter chain.
    #[must_use]
    pub fn includes(&self, host: &[u8]) -> bool {
        if self.server_names.is_empty() {
            return false;
        }
        let host = host.to_ascii_lowercase();
        let Ok(host) = std::str::from_utf8(&host) else { return false };
        let suffixes = host.match_indices('.').map(|(dot, _)| format!("*{}", &host[dot..]));
        let exact = self.server_names.get(host);
        let served_by = exact
            .or_else(|| suffixes.into_iter().find_map(|name| self.server_names.get(&name)))
            .or_else(|| self.server_names.get("*"));
        served_by == Some(&ServedBy::AnotherChain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_name_decides() {
        let names = [
            ("a.test", ServedBy::ThisChain),
            ("*.a.test", ServedBy::AnotherChain),
            ("b.a.test", ServedBy::ThisChain),
            ("*.c.a.test", ServedBy::ThisChain),
        ];
        let mut misdirected = MisdirectedRequests {
            server_names: names.into_iter().map(|(name, by)| (name.to_owned(), by)).collect(),
        };
        for (host, included) in [
            ("a.test", false),
            ("A.Test", false),
            ("x.a.test", true),
            ("y.x.a.test", true),
            ("b.a.test", false),
            ("c.a.test", true),
            ("x.C.a.test", false),
            ("other", false),
            ("", false),
        ] {
            assert_eq!(misdirected.includes(host.as_bytes()), included, "{host}");
        }
        misdirected.server_names.insert("*".to_owned(), ServedBy::AnotherChain);
        assert!(misdirected.includes(b"other"));
        assert!(!misdirected.includes(b"b.a.test"));
        assert!(!MisdirectedRequests::default().includes(b"a.test"));
    }
}
