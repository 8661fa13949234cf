//! Changing header maps.

use http::{HeaderMap, HeaderName};

/// Removes all fields of these names and keeps the order of the others, which peers and processors see (E-2, M-4.7).
/// The map's own removal moves its last field into the gap.
pub fn remove_fields(fields: &mut HeaderMap, names: &[HeaderName]) {
    if !names.iter().any(|name| fields.contains_key(name)) {
        return;
    }
    if let [name] = names
        && fields.keys().last() == Some(name)
    {
        // Nothing moves into the gap of the last one.
        fields.remove(name);
        return;
    }
    let mut kept = HeaderMap::with_capacity(fields.keys_len());
    let mut last = None;
    for (name, value) in fields.drain() {
        // A repeated name comes without it.
        if name.is_some() {
            last = name;
        }
        if let Some(name) = &last
            && !names.contains(name)
        {
            kept.append(name.clone(), value);
        }
    }
    *fields = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept() {
        let mut fields = HeaderMap::new();
        for (name, value) in [("a", "1"), ("x", "2"), ("b", "3"), ("x", "4"), ("b", "5"), ("c", "6")] {
            fields.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        remove_fields(&mut fields, &[HeaderName::from_static("x"), HeaderName::from_static("y")]);
        let kept: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(kept, [("a", "1"), ("b", "3"), ("b", "5"), ("c", "6")]);
        remove_fields(&mut fields, &[HeaderName::from_static("c")]);
        let kept: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        assert_eq!(kept, ["a", "b"]);
    }
}
