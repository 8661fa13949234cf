//! Looking ahead in a chunked body, without taking anything from the buffer.

use bytes::Bytes;

use super::{
    HeadLimits,
    body::{State, chunk_size, parse_trailers},
};

/// Where a look ahead stands. It goes on from there when the buffer has grown.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    position: Option<Position>,
}

#[derive(Debug, Clone, Copy)]
struct Position {
    offset: u64,
    at: At,
}

#[derive(Debug, Clone, Copy)]
enum At {
    ChunkSize,
    ChunkEnd,
    Trailers,
    Complete,
    /// What is there is no chunked body.
    Broken,
}

impl Ahead {
    /// Whether the body, whose decoder is in this state before `buffer`, ends within it.
    pub(super) fn completes(&mut self, state: &State, buffer: &[u8], limits: &HeadLimits) -> bool {
        let mut position = self.position.unwrap_or_else(|| Position::of(state));
        let is_complete = position.advance(buffer, limits);
        self.position = Some(position);
        is_complete
    }
}

impl Position {
    fn of(state: &State) -> Self {
        match state {
            State::ChunkData(remaining) => Self { offset: *remaining, at: At::ChunkEnd },
            State::ChunkEnd => Self { offset: 0, at: At::ChunkEnd },
            State::Trailers(_) => Self { offset: 0, at: At::Trailers },
            State::ChunkSize => Self { offset: 0, at: At::ChunkSize },
            State::Length(_) | State::UntilClose | State::Done => Self { offset: 0, at: At::Broken },
        }
    }

    fn advance(&mut self, buffer: &[u8], limits: &HeadLimits) -> bool {
        loop {
            let rest = usize::try_from(self.offset).ok().and_then(|offset| buffer.get(offset..));
            let Some(rest) = rest else { return false };
            match self.at {
                At::ChunkSize => match chunk_size(rest) {
                    Ok(Some((size, line))) => {
                        self.at = if size == 0 { At::Trailers } else { At::ChunkEnd };
                        self.offset = self.offset.saturating_add(line as u64).saturating_add(size);
                    }
                    Ok(None) => return false,
                    Err(_) => self.at = At::Broken,
                },
                At::ChunkEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        self.offset += 2;
                        self.at = At::ChunkSize;
                    }
                    [] | [b'\r'] => return false,
                    _ => self.at = At::Broken,
                },
                At::Trailers => match end_of_trailers(rest) {
                    Some(0) => self.at = At::Complete,
                    Some(end) => {
                        let section = Bytes::copy_from_slice(&rest[..end]);
                        let is_valid = end <= limits.max_bytes && parse_trailers(&section, limits).is_ok();
                        self.at = if is_valid { At::Complete } else { At::Broken };
                    }
                    None => return false,
                },
                At::Complete => return true,
                At::Broken => return false,
            }
        }
    }
}

/// The length of the trailers with their empty line; 0 = there are none.
fn end_of_trailers(rest: &[u8]) -> Option<usize> {
    if rest.starts_with(b"\r\n") {
        return Some(0);
    }
    rest.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4)
}
