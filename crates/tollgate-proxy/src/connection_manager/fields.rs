//! Changes of header maps that keep the order of fields, which processors see (E-2).

use extproc::mutation::{Side, is_single_entry};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::forwarded::X_FORWARDED_FOR;

/// Joins repeated fields that Envoy keeps as one (`user-agent: a`, `user-agent: b` become `a,b`).
pub(super) fn join_single_entries(fields: &mut HeaderMap, side: Side, header_prefix: &str) {
    if fields.len() == fields.keys_len() {
        return;
    }
    let repeated: Vec<HeaderName> = fields
        .keys()
        .filter(|name| {
            fields.get_all(*name).iter().nth(1).is_some()
                && is_single_entry(side, name.as_str(), header_prefix)
        })
        .cloned()
        .collect();
    for name in repeated {
        let mut joined = Vec::new();
        for value in fields.get_all(&name) {
            if !joined.is_empty() && !value.is_empty() {
                joined.push(b',');
            }
            joined.extend_from_slice(value.as_bytes());
        }
        if let Ok(value) = HeaderValue::from_bytes(&joined) {
            fields.insert(name, value);
        }
    }
}

/// Adds an address to `x-forwarded-for`.
pub(crate) fn append_to_forwarded_for(fields: &mut HeaderMap, address: &HeaderValue) {
    append_to_list(fields, &X_FORWARDED_FOR, ",", address.as_bytes());
}

/// Adds an element to a comma-separated list in one field.
pub(super) fn append_to_list(fields: &mut HeaderMap, name: &HeaderName, separator: &str, element: &[u8]) {
    let value = match fields.get(name) {
        Some(list) if !list.is_empty() => {
            HeaderValue::from_bytes(&[list.as_bytes(), separator.as_bytes(), element].concat())
        }
        _ => HeaderValue::from_bytes(element),
    };
    if let Ok(value) = value {
        fields.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in entries {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn entries(map: &HeaderMap) -> Vec<(&str, &str)> {
        map.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    /// As Envoy 1.39.3 forwards them.
    #[test]
    fn joined_where_envoy_joins() {
        let mut fields = map(&[
            ("user-agent", "a"),
            ("cookie", "a=1"),
            ("x-own", "1"),
            ("user-agent", ""),
            ("user-agent", "b"),
            ("cookie", "b=2"),
            ("x-own", "2"),
            ("accept", ""),
            ("accept", "c"),
        ]);
        join_single_entries(&mut fields, Side::Request, "x-envoy");
        assert_eq!(
            entries(&fields),
            [
                ("user-agent", "a,b"),
                ("cookie", "a=1"),
                ("cookie", "b=2"),
                ("x-own", "1"),
                ("x-own", "2"),
                ("accept", "c")
            ]
        );
    }
}
