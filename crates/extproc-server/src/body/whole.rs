//! Bodies as a whole.

use bytes::{Bytes, BytesMut};
use extproc::Queue;
use serde_json::Value;

use super::{lines::hold, transform::Transform};
use crate::Result;

/// Changes all of it.
pub(super) struct Whole {
    change: Option<Box<dyn FnOnce(Bytes) -> Result<Bytes> + Send>>,
    collected: BytesMut,
}

impl Whole {
    pub(super) fn new(change: impl FnOnce(Bytes) -> Result<Bytes> + Send + 'static) -> Self {
        Self { change: Some(Box::new(change)), collected: BytesMut::new() }
    }
}

impl Transform for Whole {
    fn push(&mut self, data: Bytes, _: &mut Queue<Bytes>) -> Result<()> {
        hold(&mut self.collected, &data)
    }

    fn end(&mut self, out: &mut Queue<Bytes>) -> Result<()> {
        if let Some(change) = self.change.take() {
            out.push_back(change(self.collected.split().freeze())?);
        }
        Ok(())
    }
}

impl Whole {
    /// Changes text.
    pub(super) fn text(change: impl FnOnce(String) -> String + Send + 'static) -> Self {
        Self::new(move |bytes| Ok(change(String::from_utf8(bytes.into())?).into()))
    }

    /// Changes a JSON value.
    pub(super) fn json(change: impl FnOnce(&mut Value) + Send + 'static) -> Self {
        Self::new(move |bytes| {
            if bytes.is_empty() {
                return Ok(bytes);
            }
            let original: Value = serde_json::from_slice(&bytes)?;
            let mut value = original.clone();
            change(&mut value);
            if value == original { Ok(bytes) } else { Ok(serde_json::to_vec(&value)?.into()) }
        })
    }
}
