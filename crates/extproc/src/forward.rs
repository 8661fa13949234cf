//! Which headers the processor sees (section 5.1).

use crate::matching::StringMatcher;

/// `HeaderForwardingRules`: which headers, pseudo-headers and trailers are copied into messages to the processor. The
/// real message keeps all of them. The default copies everything (E-6).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ForwardRules {
    /// Only these, if there is a list.
    pub allowed_headers: Option<Vec<StringMatcher>>,
    /// Never these, even if allowed.
    pub disallowed_headers: Vec<StringMatcher>,
}

impl ForwardRules {
    /// Whether a header of this lower-case name is sent to the processor.
    #[must_use]
    pub fn forwards(&self, name: &str) -> bool {
        #[cfg(test)]
        ASKED.with(|asked| asked.set(asked.get() + 1));
        let listed = |list: &[StringMatcher]| list.iter().any(|matcher| matcher.matches(name.as_bytes()));
        self.allowed_headers.as_deref().is_none_or(listed) && !listed(&self.disallowed_headers)
    }
}

#[cfg(test)]
thread_local! {
    static ASKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often [`ForwardRules::forwards`] ran in this thread.
#[cfg(test)]
pub(crate) fn asked() -> usize {
    ASKED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(prefix: &str) -> StringMatcher {
        StringMatcher::Prefix(prefix.to_owned(), false)
    }

    fn seen(rules: &ForwardRules) -> Vec<&'static str> {
        [":path", "x-a", "x-b", "y"].into_iter().filter(|name| rules.forwards(name)).collect()
    }

    /// E-6: no list, either one, both.
    #[test]
    fn the_deny_list_wins() {
        let mut rules = ForwardRules::default();
        assert_eq!(seen(&rules), [":path", "x-a", "x-b", "y"]);
        rules.disallowed_headers = vec![StringMatcher::Exact("x-b".to_owned()), prefix(":")];
        assert_eq!(seen(&rules), ["x-a", "y"]);
        rules.allowed_headers = Some(vec![prefix("x-")]);
        assert_eq!(seen(&rules), ["x-a"]);
        rules.disallowed_headers.clear();
        assert_eq!(seen(&rules), ["x-a", "x-b"]);
    }
}
