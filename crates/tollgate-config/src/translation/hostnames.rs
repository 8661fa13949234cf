//! Host names, exact or `*.suffix`, and how they relate (9.3, 9.5).

/// The host names that both patterns accept, as a pattern; `None` = there are none. No pattern = every host.
pub(crate) fn intersect<'a>(left: Option<&'a str>, right: Option<&'a str>) -> Option<Option<&'a str>> {
    let (Some(left), Some(right)) = (left, right) else { return Some(left.or(right)) };
    if covers(left, right) {
        Some(Some(right))
    } else if covers(right, left) {
        Some(Some(left))
    } else {
        None
    }
}

/// Whether a pattern accepts every host name that `other` does.
pub(super) fn covers(pattern: &str, other: &str) -> bool {
    if pattern == other || pattern == "*" {
        return true;
    }
    match pattern.strip_prefix('*') {
        // One or more labels: `*.a` accepts neither `a` nor `.a`.
        Some(suffix) => {
            let name = other.strip_prefix("*.").map_or(other, |_| &other[1..]);
            name.len() > suffix.len() && name.ends_with(suffix)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_specific_pattern_is_what_two_have_in_common() {
        for (left, right, common) in [
            (None, None, Some(None)),
            (Some("a.test"), None, Some(Some("a.test"))),
            (Some("a.test"), Some("a.test"), Some(Some("a.test"))),
            (Some("*.a.test"), Some("b.a.test"), Some(Some("b.a.test"))),
            (Some("*.a.test"), Some("c.b.a.test"), Some(Some("c.b.a.test"))),
            (Some("*.a.test"), Some("*.b.a.test"), Some(Some("*.b.a.test"))),
            (Some("*.a.test"), Some("a.test"), None),
            (Some("*.a.test"), Some("ba.test"), None),
            (Some("a.test"), Some("b.test"), None),
            (Some("*.a.test"), Some("*.b.test"), None),
        ] {
            assert_eq!(intersect(left, right), common, "{left:?} {right:?}");
            assert_eq!(intersect(right, left), common, "{right:?} {left:?}");
        }
    }
}
