//! Changing a header map without disturbing the order of its fields.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::header_map::try_remove_fields;

/// The changes made so far to a header map. The map's own removal moves its last field into the gap, so removals and
/// new fields are noted here and carried out together, once, by [`finish`](Self::finish): what remains keeps its order
/// and what was set stands behind it (M-4.7).
#[derive(Debug)]
pub(super) struct FieldChanges<'m> {
    map: &'m mut HeaderMap,
    /// Names whose fields in `map` are removed.
    gone: SmallVec<[HeaderName; 4]>,
    /// Fields to stand behind those of `map`.
    new: SmallVec<[(HeaderName, HeaderValue); 4]>,
}

/// The map cannot hold that many fields.
#[derive(Debug)]
pub(super) struct TooManyFields;

impl<'m> FieldChanges<'m> {
    pub(super) fn new(map: &'m mut HeaderMap) -> Self {
        Self { map, gone: SmallVec::new(), new: SmallVec::new() }
    }

    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        self.is_kept(name) || self.new.iter().any(|(new, _)| new == name)
    }

    /// Removes all fields of that name; says whether there were any.
    pub(super) fn remove(&mut self, name: &HeaderName) -> bool {
        let new = self.new.len();
        self.new.retain(|(new, _)| new != name);
        let mut removed = self.new.len() < new;
        if self.is_kept(name) {
            self.gone.push(name.clone());
            removed = true;
        }
        removed
    }

    /// Adds a field at the end.
    pub(super) fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.new.push((name, value));
    }

    /// Makes all fields of that name and `value` one field, comma-separated, in the place of the first (M-6).
    pub(super) fn join(&mut self, name: &HeaderName, value: &HeaderValue) {
        let mut joined = BytesMut::new();
        if self.is_kept(name) {
            for old in self.map.get_all(name) {
                push_joined(&mut joined, old);
            }
        }
        for (_, old) in self.new.iter().filter(|(new, _)| new == name) {
            push_joined(&mut joined, old);
        }
        push_joined(&mut joined, value);
        // Values and commas are valid header values, so this cannot fail; if it did, nothing would change.
        let Ok(joined) = HeaderValue::from_maybe_shared(joined.freeze()) else { return };
        if self.is_kept(name) {
            self.new.retain(|(new, _)| new != name);
            self.map.insert(name, joined);
        } else {
            let mut joined = Some(joined);
            self.new.retain(|(new, old)| {
                if new != name {
                    return true;
                }
                joined.take().map(|joined| *old = joined).is_some()
            });
        }
    }

    /// Carries the changes out.
    pub(super) fn finish(self) -> Result<(), TooManyFields> {
        try_remove_fields(self.map, &self.gone).map_err(|_| TooManyFields)?;
        for (name, value) in self.new {
            self.map.try_append(name, value).map_err(|_| TooManyFields)?;
        }
        Ok(())
    }

    fn is_kept(&self, name: &HeaderName) -> bool {
        self.map.contains_key(name) && !self.gone.contains(name)
    }
}

/// The way Envoy joins: nothing is added for an empty value, and no comma behind one.
pub(super) fn push_joined(joined: &mut BytesMut, value: &HeaderValue) {
    if value.is_empty() {
        return;
    }
    if !joined.is_empty() {
        joined.extend_from_slice(b",");
    }
    joined.extend_from_slice(value.as_bytes());
}
