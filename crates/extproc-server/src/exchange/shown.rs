//! The head or the trailers of a message as the gateway shows them.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use extproc::{
    Direction,
    messages::{self, ProcessingRequest},
};
use prost::Message;

const LENGTH: &[u8] = b"content-length";

/// Fields in their order, left where they lie in the message that brought them: none of them is copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    bytes: Bytes,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: Range<usize>,
    value: Range<usize>,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'s> {
    shown: &'s Shown,
    entry: &'s Entry,
}

impl<'s> Field<'s> {
    pub(crate) fn name(&self) -> &'s [u8] {
        &self.shown.bytes[self.entry.name.clone()]
    }

    pub(crate) fn value(&self) -> &'s [u8] {
        &self.shown.bytes[self.entry.value.clone()]
    }

    /// The value, as a part of the message.
    pub(crate) fn shared_value(&self) -> Bytes {
        self.shown.bytes.slice(self.entry.value.clone())
    }

    pub(crate) fn is_pseudo(&self) -> bool {
        self.name().first() == Some(&b':')
    }
}

impl Shown {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        self.entries.iter().map(|entry| Field { shown: self, entry })
    }

    /// A pseudo-header. They are before all fields.
    pub(crate) fn pseudo(&self, name: &str) -> Option<Field<'_>> {
        self.iter().take_while(Field::is_pseudo).find(|field| field.name() == name.as_bytes())
    }

    pub(crate) fn has_length(&self) -> bool {
        self.iter().any(|field| field.name().eq_ignore_ascii_case(LENGTH))
    }

    /// Of names and values that are not in one message.
    fn of<'e>(fields: impl Iterator<Item = (&'e [u8], &'e [u8])>) -> Self {
        let mut bytes = BytesMut::new();
        let mut entries = Vec::new();
        for (name, value) in fields {
            let begin = bytes.len();
            bytes.extend_from_slice(name);
            let middle = bytes.len();
            bytes.extend_from_slice(value);
            entries.push(Entry { name: begin..middle, value: middle..bytes.len() });
        }
        Self { bytes: bytes.freeze(), entries }
    }

    /// Reads an encoded `HeaderMap`, which lies at `place` in `bytes`.
    fn read(bytes: &Bytes, place: Range<usize>) -> Option<Self> {
        let mut entries = Vec::with_capacity(TYPICAL);
        let mut map = Reader::new(bytes, place);
        while !map.is_empty() {
            match map.key()? {
                (1, DELIMITED) => {
                    let entry = map.delimited()?;
                    entries.push(Entry::read(bytes, entry)?);
                }
                _ => return None,
            }
        }
        Some(Self { bytes: bytes.clone(), entries })
    }
}

/// Fields that there is room for at first.
const TYPICAL: usize = 16;

impl Entry {
    /// Reads an encoded `HeaderValue`. `raw_value` counts, and `value` where that is empty, as old gateways send it.
    fn read(bytes: &Bytes, place: Range<usize>) -> Option<Self> {
        let end = place.end;
        let (mut name, mut text, mut raw) = (end..end, end..end, end..end);
        let mut entry = Reader::new(bytes, place);
        while !entry.is_empty() {
            let part = match entry.key()? {
                (1, DELIMITED) => &mut name,
                (2, DELIMITED) => &mut text,
                (3, DELIMITED) => &mut raw,
                _ => return None,
            };
            *part = entry.delimited()?;
        }
        let is_text = |range: &Range<usize>| {
            let text = &bytes[range.clone()];
            text.is_ascii() || std::str::from_utf8(text).is_ok()
        };
        if !is_text(&name) || !is_text(&text) {
            return None;
        }
        let value = if raw.is_empty() { text } else { raw };
        Some(Self { name, value })
    }
}

impl From<&messages::HeaderMap> for Shown {
    fn from(map: &messages::HeaderMap) -> Self {
        Self::of(map.headers.iter().map(|entry| {
            let raw = if entry.raw_value.is_empty() { entry.value.as_bytes() } else { &entry.raw_value };
            (entry.key.as_bytes(), raw)
        }))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Shown {
    fn from(fields: [(&str, &str); N]) -> Self {
        Self::of(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }
}

/// A message with a head, read without a copy of the head.
#[derive(Debug)]
pub(crate) struct HeadMessage {
    pub(crate) direction: Direction,
    pub(crate) shown: Shown,
    pub(crate) end_stream: bool,
    /// Everything else that the message says.
    pub(crate) rest: ProcessingRequest,
}

impl HeadMessage {
    /// Reads a message. `None` if it has no head, or is written in a way that no gateway uses, or is invalid: decoding it as any
    /// other message shows which.
    pub(crate) fn read(bytes: &Bytes) -> Option<Self> {
        let mut head = None;
        let mut others = Vec::new();
        let mut message = Reader::new(bytes, 0..bytes.len());
        while !message.is_empty() {
            let begin = message.position();
            match message.key()? {
                (tag @ 2..=3, DELIMITED) if head.is_none() => head = Some((tag, message.delimited()?)),
                // Of several parts the last one would count.
                (2..=7, _) => return None,
                (_, wire_type) => {
                    message.skip(wire_type)?;
                    others.extend_from_slice(&bytes[begin..message.position()]);
                }
            }
        }
        let (tag, place) = head?;
        let mut shown = None;
        let mut end_stream = false;
        let mut head = Reader::new(bytes, place);
        while !head.is_empty() {
            match head.key()? {
                (1, DELIMITED) if shown.is_none() => shown = Some(Shown::read(bytes, head.delimited()?)?),
                (3, VARINT) => end_stream = head.varint()? != 0,
                _ => return None,
            }
        }
        Some(Self {
            direction: if tag == 2 { Direction::Request } else { Direction::Response },
            shown: shown.unwrap_or_default(),
            end_stream,
            rest: match others.is_empty() {
                true => ProcessingRequest::default(),
                false => ProcessingRequest::decode(&others[..]).ok()?,
            },
        })
    }
}

/// Wire types of protobuf.
const VARINT: u8 = 0;
const DELIMITED: u8 = 2;

/// Reads the fields of an encoded message. `None` is: not like this.
struct Reader<'b> {
    bytes: &'b [u8],
    position: usize,
}

impl<'b> Reader<'b> {
    fn new(bytes: &'b Bytes, place: Range<usize>) -> Self {
        Self { bytes: &bytes[..place.end], position: place.start }
    }

    const fn is_empty(&self) -> bool {
        self.position == self.bytes.len()
    }

    const fn position(&self) -> usize {
        self.position
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.position)?;
            self.position += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// The number of the next field, and its wire type.
    fn key(&mut self) -> Option<(u64, u8)> {
        let key = self.varint()?;
        Some((key >> 3, (key & 7) as u8))
    }

    /// Where the content of a field is.
    fn delimited(&mut self) -> Option<Range<usize>> {
        let length = usize::try_from(self.varint()?).ok()?;
        let begin = self.position;
        let end = begin.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        self.position = end;
        Some(begin..end)
    }

    fn skip(&mut self, wire_type: u8) -> Option<()> {
        match wire_type {
            VARINT => self.varint().map(drop),
            DELIMITED => self.delimited().map(drop),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
