//! Lines.

use bytes::{Bytes, BytesMut};
use extproc::Queue;

use super::{DEFAULT_LIMIT, TooLarge, transform::Transform};
use crate::Result;

type Change = Box<dyn FnMut(String) -> Option<String> + Send>;

/// Changes lines.
pub(super) struct Lines {
    change: Change,
    rest: BytesMut,
}

impl Lines {
    pub(super) fn new(change: impl FnMut(String) -> Option<String> + Send + 'static) -> Self {
        Self { change: Box::new(change), rest: BytesMut::new() }
    }

    fn line(&mut self, line: &[u8], out: &mut BytesMut) -> Result<()> {
        let (text, end) = match line {
            [text @ .., b'\r', b'\n'] => (text, &b"\r\n"[..]),
            [text @ .., b'\n'] => (text, &b"\n"[..]),
            text => (text, &b""[..]),
        };
        if let Some(changed) = (self.change)(std::str::from_utf8(text)?.to_owned()) {
            out.extend_from_slice(changed.as_bytes());
            out.extend_from_slice(end);
        }
        Ok(())
    }
}

/// Adds to what is held.
pub(super) fn hold(rest: &mut BytesMut, data: &[u8]) -> Result<()> {
    if rest.len() + data.len() > DEFAULT_LIMIT {
        return Err(TooLarge { limit: DEFAULT_LIMIT }.into());
    }
    rest.extend_from_slice(data);
    Ok(())
}

impl Transform for Lines {
    fn push(&mut self, data: Bytes, out: &mut Queue<Bytes>) -> Result<()> {
        let mut changed = BytesMut::new();
        let mut data = &data[..];
        while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
            let (line, after) = data.split_at(end + 1);
            data = after;
            if self.rest.is_empty() {
                self.line(line, &mut changed)?;
            } else {
                hold(&mut self.rest, line)?;
                let line = self.rest.split();
                self.line(&line, &mut changed)?;
            }
        }
        hold(&mut self.rest, data)?;
        out.push_back(changed.freeze());
        Ok(())
    }

    fn end(&mut self, out: &mut Queue<Bytes>) -> Result<()> {
        if !self.rest.is_empty() {
            let mut changed = BytesMut::new();
            let line = self.rest.split();
            self.line(&line, &mut changed)?;
            out.push_back(changed.freeze());
        }
        Ok(())
    }
}
