//! Requests that came to the wrong filter chain.

use std::{collections::HashMap, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

/// Lower-case host names, exact, `*.suffix` or `*` (everything else), and the number of the filter chain that serves each. The
/// chains of a port have one table.
pub type HostTable = HashMap<String, u32>;

/// Whose requests a filter chain must not answer, because their authority belongs to another one of the same port: they
/// are answered with 421. The most specific name of the table decides about a host; a host without any is served
/// here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MisdirectedRequests {
    names: Option<Arc<HostTable>>,
    own: u32,
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
    /// Of the filter chain that has the number `own` in the table.
    #[must_use]
    pub fn new(names: Arc<HostTable>, own: u32) -> Self {
        Self { names: Some(names).filter(|names| !names.is_empty()), own }
    }

    /// Whether every host is served here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_none()
    }

    /// The host names, and who serves them.
    pub fn server_names(&self) -> impl Iterator<Item = (&str, ServedBy)> {
        self.names.iter().flat_map(|names| names.iter()).map(|(name, number)| (&**name, self.who(*number)))
    }

    fn who(&self, number: u32) -> ServedBy {
        if number == self.own { ServedBy::ThisChain } else { ServedBy::AnotherChain }
    }

    /// Whether a host (without its port, in any case) belongs to another filter chain.
    #[must_use]
    pub fn includes(&self, host: &[u8]) -> bool {
        let Some(names) = &self.names else { return false };
        let host = host.to_ascii_lowercase();
        let Ok(host) = std::str::from_utf8(&host) else { return false };
        let suffixes = host.match_indices('.').map(|(dot, _)| format!("*{}", &host[dot..]));
        let exact = names.get(host);
        let number = exact
            .or_else(|| suffixes.into_iter().find_map(|name| names.get(&name)))
            .or_else(|| names.get("*"));
        number.is_some_and(|number| self.who(*number) == ServedBy::AnotherChain)
    }
}

impl Serialize for MisdirectedRequests {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names: std::collections::BTreeMap<&str, ServedBy> = self.server_names().collect();
        let mut requests = serializer.serialize_struct("MisdirectedRequests", 1)?;
        requests.serialize_field("server_names", &names)?;
        requests.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_name_decides() {
        let names = [("a.test", 1), ("*.a.test", 2), ("b.a.test", 1), ("*.c.a.test", 1)];
        let mut names: HostTable =
            names.into_iter().map(|(name, number)| (name.to_owned(), number)).collect();
        let misdirected = MisdirectedRequests::new(Arc::new(names.clone()), 1);
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
        names.insert("*".to_owned(), 3);
        let misdirected = MisdirectedRequests::new(Arc::new(names), 1);
        assert!(misdirected.includes(b"other"));
        assert!(!misdirected.includes(b"b.a.test"));
        assert!(!MisdirectedRequests::default().includes(b"a.test"));
    }
}
