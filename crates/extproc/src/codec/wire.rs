//! Protobuf's wire format, as far as it is written by hand.

use bytes::{BufMut, BytesMut};

/// Wire type 0.
const VARINT: u32 = 0;
/// Wire type 2.
const LENGTH_DELIMITED: u32 = 2;

/// Bytes of a varint.
pub(super) const fn varint_len(value: usize) -> usize {
    // One byte for each started group of seven bits.
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

pub(super) fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Bytes of a length-delimited field with a tag below 16.
pub(super) const fn field_len(content: usize) -> usize {
    1 + varint_len(content) + content
}

/// Starts a length-delimited field with a tag below 16; its content follows.
pub(super) fn put_field(out: &mut BytesMut, tag: u32, content: usize) {
    debug_assert!(tag < 16);
    out.put_u8((tag << 3 | LENGTH_DELIMITED) as u8);
    put_varint(out, content);
}

/// A bytes or string field with a tag below 16; absent if empty, as proto3 does.
pub(super) fn put_bytes(out: &mut BytesMut, tag: u32, content: &[u8]) {
    if !content.is_empty() {
        put_field(out, tag, content.len());
        out.put_slice(content);
    }
}

/// Bytes of what [`put_bytes`] writes.
pub(super) const fn bytes_len(content: usize) -> usize {
    if content == 0 { 0 } else { field_len(content) }
}

/// Bytes of a bool or small enum field with a tag below 16 that is set.
pub(super) const SMALL_FIELD_LEN: usize = 2;

/// A bool or an enum below 128; absent if zero.
pub(super) fn put_small(out: &mut BytesMut, tag: u32, value: u8) {
    debug_assert!(tag < 16 && value < 0x80);
    if value != 0 {
        out.put_u8((tag << 3 | VARINT) as u8);
        out.put_u8(value);
    }
}

/// Bytes of what [`put_small`] writes.
pub(super) const fn small_len(value: u8) -> usize {
    if value == 0 { 0 } else { SMALL_FIELD_LEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 21, 1 << 28, usize::MAX] {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert_eq!(prost::decode_length_delimiter(&out[..]).ok(), Some(value), "{value}");
        }
    }
}
