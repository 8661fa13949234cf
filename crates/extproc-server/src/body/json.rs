//! JSON values that follow each other.

use bytes::{Bytes, BytesMut};
use extproc::Queue;
use serde_json::{Deserializer, Value};

use super::{lines::hold, transform::Transform};
use crate::Result;

type Change = Box<dyn FnMut(&mut Value) + Send>;

/// Changes JSON values, one after the other.
pub(super) struct Values {
    change: Change,
    rest: BytesMut,
}

impl Values {
    pub(super) fn new(change: impl FnMut(&mut Value) + Send + 'static) -> Self {
        Self { change: Box::new(change), rest: BytesMut::new() }
    }

    /// Takes the values that are complete. A number may go on in the next piece unless this is the end.
    fn take(&mut self, ends: bool, out: &mut Queue<Bytes>) -> Result<()> {
        let mut changed = BytesMut::new();
        let mut taken = 0;
        let mut values = Deserializer::from_slice(&self.rest).into_iter::<Value>();
        loop {
            let value = match values.next() {
                None => break,
                Some(Err(error)) if error.is_eof() && !ends => break,
                Some(value) => value?,
            };
            let end = values.byte_offset();
            if end == self.rest.len() && value.is_number() && !ends {
                break;
            }
            let written = &self.rest[taken..end];
            let mut new = value.clone();
            (self.change)(&mut new);
            if new == value {
                changed.extend_from_slice(written);
            } else {
                // The white space between values stays.
                let space = written.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                changed.extend_from_slice(&written[..space]);
                changed.extend_from_slice(&serde_json::to_vec(&new)?);
            }
            taken = end;
        }
        drop(self.rest.split_to(taken));
        if ends {
            changed.extend_from_slice(&self.rest.split());
        }
        out.push_back(changed.freeze());
        Ok(())
    }
}

impl Transform for Values {
    fn push(&mut self, data: Bytes, out: &mut Queue<Bytes>) -> Result<()> {
        hold(&mut self.rest, &data)?;
        self.take(false, out)
    }

    fn end(&mut self, out: &mut Queue<Bytes>) -> Result<()> {
        self.take(true, out)
    }
}
