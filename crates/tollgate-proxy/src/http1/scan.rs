//! Finding the end of a head in a growing buffer, without reading any byte twice.

use bytes::{Buf, BytesMut};

use super::{CodecError, HeadLimits};

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnds {
    /// CR LF. Where a client's bytes pass a hop that takes a lone LF or CR for part of a value, the two would see other fields.
    Strict,
    /// LF alone as well, as old servers send it (RFC 9112 section 2.2).
    Lenient,
}

/// Where the search for the end of a head stands. One per head.
#[derive(Debug, Default, Clone)]
pub(super) struct HeadScan {
    /// Bytes known not to contain the end.
    scanned: usize,
    /// Length up to which the start was checked for syntax errors.
    checked: usize,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The head is the first `n` bytes.
    Complete(usize),
    /// More bytes are needed. `check` says that the part so far is worth a syntax check: it has doubled since the
    /// last one, so that garbage is refused early at a total cost linear in the head's size.
    Partial { check: bool },
}

impl HeadScan {
    /// Looks for the end of the head; empty lines before it are skipped (RFC 9112 section 2.2).
    pub(super) fn scan(
        &mut self,
        buffer: &mut BytesMut,
        limits: &HeadLimits,
        ends: LineEnds,
    ) -> Result<Found, CodecError> {
        if self.scanned == 0 {
            while buffer.starts_with(b"\r\n") {
                buffer.advance(2);
            }
            if buffer.as_ref() == b"\r" {
                return Ok(Found::Partial { check: false });
            }
        }
        let found = self.find(buffer, ends)?;
        match found {
            Some(end) if end > limits.max_bytes => Err(CodecError::HeadersTooLarge),
            Some(end) => {
                *self = Self::default();
                Ok(Found::Complete(end))
            }
            None if buffer.len() >= limits.max_bytes => Err(CodecError::HeadersTooLarge),
            None => {
                let check = buffer.len() >= self.checked * 2 && !buffer.is_empty();
                if check {
                    self.checked = buffer.len();
                }
                Ok(Found::Partial { check })
            }
        }
    }

    /// The part without the end of a line that is wrong, when that was found.
    pub(super) fn before_mistake<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        &buffer[..self.scanned]
    }

    fn find(&mut self, buffer: &[u8], ends: LineEnds) -> Result<Option<usize>, CodecError> {
        while let Some(offset) = memchr::memchr(b'\n', &buffer[self.scanned..]) {
            let line_end = self.scanned + offset;
            if ends == LineEnds::Strict && !buffer[..line_end].ends_with(b"\r") {
                self.scanned = line_end;
                return Err(CodecError::Malformed);
            }
            match buffer.get(line_end + 1) {
                Some(b'\n') if ends == LineEnds::Strict => {
                    self.scanned = line_end + 1;
                    return Err(CodecError::Malformed);
                }
                Some(b'\n') => return Ok(Some(line_end + 2)),
                Some(b'\r') => match buffer.get(line_end + 2) {
                    Some(b'\n') => return Ok(Some(line_end + 3)),
                    Some(_) => {}
                    None => {
                        self.scanned = line_end;
                        return Ok(None);
                    }
                },
                Some(_) => {}
                None => {
                    self.scanned = line_end;
                    return Ok(None);
                }
            }
            self.scanned = line_end + 1;
        }
        self.scanned = buffer.len();
        Ok(None)
    }
}
