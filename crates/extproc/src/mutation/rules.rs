//! `HeaderMutationRules` (section 6.4).

use crate::matching::FullRegex;

/// What is done to a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// All its values are replaced, or it is added.
    Set,
    /// It exists and gets another value.
    Append,
    /// All its values are removed.
    Remove,
}

/// Which headers a processor may change: `HeaderMutationRules`, compiled. The default is that of an unset
/// `mutation_rules` (6.3).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MutationRules {
    /// `host`, `:authority`, `:method` and `:scheme` may be set.
    pub allow_all_routing: bool,
    /// The proxy's own headers may be changed.
    pub allow_envoy: bool,
    /// No header starting with `:` may be changed.
    pub disallow_system: bool,
    /// Nothing may be changed but what `allow_expression` matches.
    pub disallow_all: bool,
    /// Names that may be changed whatever the four rules above say.
    pub allow_expression: Option<FullRegex>,
    /// Names that may not be changed at all.
    pub disallow_expression: Option<FullRegex>,
    /// A forbidden operation refuses the mutation (M-17) instead of being ignored and counted.
    pub disallow_is_error: bool,
}

impl MutationRules {
    /// Whether `operation` on the header with the lower-case `name` is allowed, first hit decides (M-15).
    /// `header_prefix` is the prefix of the proxy's own headers, normally `x-envoy`.
    #[must_use]
    pub fn allows(&self, operation: Operation, name: &str, header_prefix: &str) -> bool {
        let system = name.starts_with(':');
        if operation == Operation::Remove && (system || name == "host") {
            return false;
        }
        if self.disallow_expression.as_ref().is_some_and(|regex| regex.is_match(name.as_bytes())) {
            return false;
        }
        if self.allow_expression.as_ref().is_some_and(|regex| regex.is_match(name.as_bytes())) {
            return true;
        }
        let routing = matches!(name, "host" | ":authority" | ":method" | ":scheme");
        let own = !header_prefix.is_empty() && name.starts_with(header_prefix);
        let forbidden = self.disallow_all
            || (routing && !self.allow_all_routing)
            || (system && (operation == Operation::Append || self.disallow_system))
            || (own && !self.allow_envoy);
        !forbidden
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation::*, *};

    fn allowed(rules: &MutationRules, name: &str) -> [bool; 3] {
        [Set, Append, Remove].map(|operation| rules.allows(operation, name, "x-envoy"))
    }

    fn regex(pattern: &str) -> Option<FullRegex> {
        Some(FullRegex::new(pattern).expect("valid pattern"))
    }

    /// 6.3: the table of defaults.
    #[test]
    fn defaults() {
        let rules = MutationRules::default();
        assert_eq!(allowed(&rules, ":path"), [true, false, false]);
        for name in [":method", ":authority", ":scheme", "host", "x-envoy-attempt-count", "x-envoyfoo"] {
            assert_eq!(allowed(&rules, name), [false; 3], "{name}");
        }
        assert_eq!(allowed(&rules, ":status"), [true, false, false]);
        assert_eq!(allowed(&rules, ":other"), [true, false, false]);
        for name in ["x-a", "content-length", "transfer-encoding", "connection", "upgrade", "te"] {
            assert_eq!(allowed(&rules, name), [true; 3], "{name}");
        }
    }

    /// M-15.1 and 5, 6.
    #[test]
    fn routing_may_be_allowed() {
        let rules = MutationRules { allow_all_routing: true, ..Default::default() };
        assert_eq!(allowed(&rules, "host"), [true, true, false]);
        assert_eq!(allowed(&rules, ":authority"), [true, false, false]);
    }

    /// M-15.6: `host` is not a system header.
    #[test]
    fn system_headers_may_be_forbidden() {
        let rules = MutationRules { allow_all_routing: true, disallow_system: true, ..Default::default() };
        assert_eq!(allowed(&rules, ":path"), [false; 3]);
        assert_eq!(allowed(&rules, "host"), [true, true, false]);
    }

    /// M-15.2 to 4: the expressions win over the switches, and the forbidding one over the allowing one.
    #[test]
    fn expressions_come_first() {
        let rules = MutationRules {
            disallow_all: true,
            allow_expression: regex("x-.*|:method"),
            disallow_expression: regex("x-no"),
            ..Default::default()
        };
        assert_eq!(allowed(&rules, "x-envoy-a"), [true; 3]);
        assert_eq!(allowed(&rules, ":method"), [true, true, false]);
        assert_eq!(allowed(&rules, "x-no"), [false; 3]);
        assert_eq!(allowed(&rules, "a"), [false; 3]);
    }

    /// M-15.7.
    #[test]
    fn the_proxys_own_headers_follow_its_prefix() {
        let rules = MutationRules::default();
        assert!(rules.allows(Set, "x-envoy-a", "x-gateway"));
        assert!(!rules.allows(Set, "x-gateway-a", "x-gateway"));
        let rules = MutationRules { allow_envoy: true, ..Default::default() };
        assert_eq!(allowed(&rules, "x-envoy-a"), [true; 3]);
    }
}
