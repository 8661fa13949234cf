//! Tags, varints and what follows them.

/// The value of a field as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Piece<'b> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'b [u8]),
}

/// Wire types.
pub(super) const VARINT: u32 = 0;
pub(super) const FIXED64: u32 = 1;
pub(super) const BYTES: u32 = 2;
pub(super) const FIXED32: u32 = 5;

/// The fields of a message, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Fields<'b> {
    rest: &'b [u8],
}

impl<'b> Fields<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field and its number; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Piece<'b>)>, &'static str> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or("a field has no valid number")?;
        let piece = match (tag & 7) as u32 {
            VARINT => Piece::Varint(self.varint()?),
            FIXED64 => Piece::Fixed64(self.fixed64()?),
            BYTES => {
                let length = usize::try_from(self.varint()?).map_err(|_| "a length is too large")?;
                Piece::Bytes(self.take(length)?)
            }
            FIXED32 => Piece::Fixed32(self.fixed32()?),
            _ => return Err("a field has an unknown wire type"),
        };
        Ok(Some((number, piece)))
    }

    /// The next element of a packed list of that wire type; `None` at the end.
    pub(super) fn next_packed(&mut self, wire_type: u32) -> Result<Option<Piece<'b>>, &'static str> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        Ok(Some(match wire_type {
            FIXED64 => Piece::Fixed64(self.fixed64()?),
            FIXED32 => Piece::Fixed32(self.fixed32()?),
            _ => Piece::Varint(self.varint()?),
        }))
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("the message ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed32(&mut self) -> Result<u32, &'static str> {
        let bytes = self.take(4)?.try_into().map_err(|_| "the message ends too early")?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn fixed64(&mut self) -> Result<u64, &'static str> {
        let bytes = self.take(8)?.try_into().map_err(|_| "the message ends too early")?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().copied().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { "the message ends too early" } else { "a number is too long" })
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

/// A field with its content.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    put_tag(out, number, BYTES);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}
