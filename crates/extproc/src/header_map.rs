//! Changing header maps.

use http::{HeaderMap, HeaderName, HeaderValue, header::MaxSizeReached};
use smallvec::SmallVec;

/// Removes all fields of these names and keeps the order of the others, which peers and processors see (E-2, M-4.7).
///
/// The map's own removal moves its last field into the gap.
pub fn remove_fields(fields: &mut HeaderMap, names: &[HeaderName]) {
    try_remove_fields(fields, names).expect("room for fields that were there before");
}

/// [`remove_fields`] without a new map. As long as few fields stand behind the first of those names, those before it are
/// not touched: `content-length` is often among the last, with only the gateway's own fields behind it.
pub(crate) fn try_remove_fields(fields: &mut HeaderMap, names: &[HeaderName]) -> Result<(), MaxSizeReached> {
    let Some(first) = first_of(fields, names) else { return Ok(()) };
    let behind = fields.keys_len() - first - 1;
    let is_repeated = fields.len() > fields.keys_len();
    // Taking a field off the end and putting it back costs two look-ups, putting all of them in again one each.
    if !is_repeated && 2 * behind < fields.keys_len() {
        remove_from_end(fields, names, first)
    } else {
        put_in_again(fields, names)
    }
}

/// Whether there is a field of one of these names.
#[must_use]
pub fn has_any(fields: &HeaderMap, names: &[HeaderName]) -> bool {
    first_of(fields, names).is_some()
}

/// Where the first field of one of these names is. Nearly always there is none, and nearly always its length alone shows
/// that a name is not among them: that costs less than to look up each of them.
fn first_of(fields: &HeaderMap, names: &[HeaderName]) -> Option<usize> {
    let length = |name: &HeaderName| 1_u64 << (name.as_str().len() % 64);
    let lengths = names.iter().fold(0, |lengths, name| lengths | length(name));
    fields.keys().position(|name| lengths & length(name) != 0 && names.contains(name))
}

/// Takes off the last fields up to the first that is removed, and puts the others of them back. No name has two fields.
fn remove_from_end(fields: &mut HeaderMap, names: &[HeaderName], first: usize) -> Result<(), MaxSizeReached> {
    let end: SmallVec<[HeaderName; 16]> = fields.keys().skip(first).cloned().collect();
    let mut kept: SmallVec<[(HeaderName, HeaderValue); 16]> = SmallVec::new();
    for name in end.into_iter().rev() {
        // Nothing moves into the gap of the last one.
        if let Some(value) = fields.remove(&name)
            && !names.contains(&name)
        {
            kept.push((name, value));
        }
    }
    for (name, value) in kept.into_iter().rev() {
        fields.try_append(name, value)?;
    }
    Ok(())
}

/// Takes all fields out and puts those that stay back.
fn put_in_again(fields: &mut HeaderMap, names: &[HeaderName]) -> Result<(), MaxSizeReached> {
    let all: SmallVec<[(Option<HeaderName>, HeaderValue); 32]> = fields.drain().collect();
    let mut kept = None;
    for (name, value) in all {
        // A repeated name comes without it.
        if let Some(name) = name {
            kept = (!names.contains(&name)).then_some(name);
        }
        if let Some(name) = &kept {
            fields.try_append(name, value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&'static str, usize)]) -> HeaderMap {
        let mut fields = HeaderMap::with_capacity(100);
        for (name, value) in entries {
            fields.append(HeaderName::from_static(name), HeaderValue::from(*value));
        }
        fields
    }

    fn entries(fields: &HeaderMap) -> Vec<(&str, &str)> {
        fields.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    const NAMES: [&str; 9] = ["content-length", "a", "host", "b", "x-c", "accept", "d", "te", "e"];

    proptest::proptest! {
        /// Whatever is removed from wherever: the others keep their order, are found, and their map is the same one.
        #[test]
        fn others_stay_as_they_are(
            present in proptest::collection::vec(0..NAMES.len(), 0..40),
            removed in proptest::collection::vec(0..NAMES.len(), 0..4),
            repeats in proptest::bool::ANY,
        ) {
            let mut all: Vec<_> = present.into_iter().map(|index| NAMES[index]).zip(0..).collect();
            if !repeats {
                let mut seen = std::collections::HashSet::new();
                all.retain(|(name, _)| seen.insert(*name));
            }
            let removed: Vec<_> = removed.into_iter().map(|index| NAMES[index]).collect();
            let mut fields = map(&all);
            let room = fields.capacity();
            let names: Vec<_> = removed.iter().map(|name| HeaderName::from_static(name)).collect();
            remove_fields(&mut fields, &names);
            all.retain(|(name, _)| !removed.contains(name));
            let expected = map(&all);
            proptest::prop_assert_eq!(entries(&fields), entries(&expected));
            for name in NAMES {
                let found = all.iter().filter(|(other, _)| *other == name).count();
                proptest::prop_assert_eq!(fields.get_all(name).iter().count(), found);
            }
            proptest::prop_assert_eq!(fields.capacity(), room);
        }
    }

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
