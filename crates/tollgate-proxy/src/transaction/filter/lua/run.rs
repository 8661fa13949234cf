//! What a script and the filter that runs it have in common.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    sync::Arc,
};

use bytes::Bytes;
use extproc::Direction;
use http::HeaderMap;
use mlua::{Error, Result};
use tollgate_model::filter::Lua as Settings;

use super::{call::Called, headers::Which};
use crate::{local_reply::LocalReply, transaction::core::Core};

/// One function of a script at work on one message.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) direction: Direction,
    /// The filter stands behind the router.
    pub(super) upstream: bool,
    pub(super) settings: Arc<Settings>,
    /// The filter's name.
    pub(super) name: String,
    /// What the transaction knows, for as long as the script runs.
    core: RefCell<Option<Box<Core>>>,
    /// Counts the times that the script ran on: objects do not outlive the wait after which they were made.
    generation: Cell<u32>,
    /// The head has passed on.
    pub(super) continued: Cell<bool>,
    /// The end of the message has come.
    pub(super) ended: Cell<bool>,
    /// The body is collected, or was.
    pub(super) collects: Cell<bool>,
    /// A piece of the body has come by.
    pub(super) saw_body: Cell<bool>,
    /// The body, or the piece of it that is looked at.
    pub(super) body: RefCell<Option<Bytes>>,
    /// The script has set the body.
    pub(super) body_is_set: Cell<bool>,
    /// The routes are to be matched again.
    pub(super) clears_route: Cell<bool>,
    /// What the script waits for.
    pub(super) asked: RefCell<Option<Asked>>,
    /// The headers that are being looked through.
    pub(super) iterated: Cell<Option<Which>>,
    /// Dynamic metadata is being looked through.
    pub(super) iterates_metadata: Cell<bool>,
    /// Public keys by what they were made of.
    pub(super) keys: RefCell<HashSet<Vec<u8>>>,
}

/// What a script waits for.
#[derive(Debug)]
pub(super) enum Asked {
    /// The whole body.
    Body,
    /// The next piece of it.
    Chunk,
    /// The trailers, or the end without such.
    Trailers,
    /// An answer.
    Call { call: Called, keeps_duplicates: bool },
    /// Nothing: the client gets this.
    Response(Box<LocalReply>),
}

impl Run {
    pub(super) fn new(
        direction: Direction,
        upstream: bool,
        settings: Arc<Settings>,
        name: String,
        ended: bool,
    ) -> Self {
        Self {
            direction,
            upstream,
            settings,
            name,
            core: RefCell::new(None),
            generation: Cell::new(0),
            continued: Cell::new(false),
            ended: Cell::new(ended),
            collects: Cell::new(false),
            saw_body: Cell::new(false),
            body: RefCell::new(None),
            body_is_set: Cell::new(false),
            clears_route: Cell::new(false),
            asked: RefCell::new(None),
            iterated: Cell::new(None),
            iterates_metadata: Cell::new(false),
            keys: RefCell::default(),
        }
    }

    /// Lends the script what the transaction knows, while `run` runs it. `spare` is what stands in its place meanwhile.
    pub(super) fn lend<T>(
        &self,
        core: &mut Core,
        spare: &mut Option<Box<Core>>,
        run: impl FnOnce() -> T,
    ) -> T {
        let mut lent = spare.take().unwrap_or_else(|| Box::new(core.stand_in()));
        std::mem::swap(&mut *lent, core);
        self.generation.set(self.generation.get().wrapping_add(1));
        self.iterated.set(None);
        self.iterates_metadata.set(false);
        *self.core.borrow_mut() = Some(lent);
        let result = run();
        if let Some(mut lent) = self.core.borrow_mut().take() {
            std::mem::swap(&mut *lent, core);
            *spare = Some(lent);
        }
        result
    }

    /// What the transaction knows.
    pub(super) fn core<T>(&self, look: impl FnOnce(&mut Core) -> Result<T>) -> Result<T> {
        // A metamethod of a table that is being read may come here again.
        let mut core = self.core.try_borrow_mut().map_err(|_| out_of_scope())?;
        look(core.as_mut().ok_or_else(out_of_scope)?)
    }

    /// Whether there is a use for an object that was made in this generation.
    pub(super) fn check(&self, born: u32) -> Result<()> {
        let is_lent = self.core.try_borrow().is_ok_and(|core| core.is_some());
        if is_lent && born == self.generation.get() { Ok(()) } else { Err(out_of_scope()) }
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// The trailers that have come.
    pub(super) fn has_trailers(&self) -> Result<bool> {
        self.core(|core| Ok(self.trailers(core).is_some()))
    }

    pub(super) fn trailers<'c>(&self, core: &'c mut Core) -> &'c mut Option<HeaderMap> {
        match self.direction {
            Direction::Request => &mut core.messages.request_trailers,
            Direction::Response => &mut core.messages.response_trailers,
        }
    }

    /// The route in force, by the headers as they are now.
    pub(super) fn renew_route(&self) -> Result<()> {
        if self.clears_route.get() {
            self.core(|core| {
                core.refresh_route();
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn out_of_scope() -> Error {
    Error::runtime("object used outside of proper scope")
}
