//! Bodies as scripts see them.

use std::rc::Rc;

use bytes::Bytes;
use extproc::Direction;
use http::{HeaderValue, header::CONTENT_LENGTH};
use mlua::{Error, LuaString, Result, UserData, UserDataMethods};

use super::{handle::log_methods, run::Run};

/// A whole body, or a piece of one.
#[derive(Debug)]
pub(super) struct Body {
    run: Rc<Run>,
    born: u32,
}

impl Body {
    pub(super) fn new(run: &Rc<Run>) -> Self {
        Self { run: Rc::clone(run), born: run.generation() }
    }

    /// For when the script goes on.
    pub(super) fn new_next(run: &Rc<Run>) -> Self {
        Self { run: Rc::clone(run), born: run.generation().wrapping_add(1) }
    }

    fn bytes(&self) -> Result<Bytes> {
        self.run.check(self.born)?;
        Ok(self.run.body.borrow().clone().unwrap_or_default())
    }

    fn set(&self, bytes: &[u8]) -> Result<usize> {
        self.run.check(self.born)?;
        *self.run.body.borrow_mut() = Some(Bytes::copy_from_slice(bytes));
        self.run.body_is_set.set(true);
        if !self.run.continued.get() {
            self.run.core(|core| {
                let fields = match self.run.direction {
                    Direction::Request => Some(&mut core.messages.request.fields),
                    Direction::Response => {
                        core.messages.response.as_mut().map(|response| &mut response.fields)
                    }
                };
                if let Some(fields) = fields {
                    fields.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
                }
                Ok(())
            })?;
        }
        Ok(bytes.len())
    }
}

impl UserData for Body {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("length", |_, this, ()| Ok(this.bytes()?.len()));
        methods.add_method("getBytes", |lua, this, (index, length): (i64, i64)| {
            let bytes = this.bytes()?;
            let range = usize::try_from(index).ok().zip(usize::try_from(length).ok());
            let part = range.and_then(|(index, length)| bytes.get(index..index.checked_add(length)?));
            let part = part.ok_or_else(|| {
                Error::runtime("index/length must be >= 0 and (index + length) must be <= buffer size")
            })?;
            lua.create_string(part)
        });
        methods.add_method("setBytes", |_, this, bytes: LuaString| this.set(&bytes.as_bytes()));
        log_methods(methods);
    }
}
