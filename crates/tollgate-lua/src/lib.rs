//! Scripts of filters: a Lua machine, the libraries that scripts may use, and the bounds they run in.
//!
//! The language is that of Envoy's scripts as far as they use it: numbers are all of one kind, a wait may happen inside of
//! `pcall` and iterators, and the functions that LuaJIT has beside those of its language are there (`prelude.lua`). What
//! scripts do with requests is not known here: who runs them [registers](Machine::load) that.
//!
//! A script cannot reach files or start programs, and it cannot run or grow without end.

mod error;
mod machines;

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use mlua::{
    Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Thread, Value, VmState, chunk::ChunkMode,
    debug::Debug, thread::ThreadStatus,
};

pub use self::{error::message, machines::Machines};

/// How long a script may run before it waits for something or ends.
pub const LONGEST_RUN: Duration = Duration::from_secs(1);

/// The most memory that one machine may have.
pub const MOST_MEMORY: usize = 64 * 1024 * 1024;

/// How often the time is looked at.
const INSTRUCTIONS_BETWEEN_LOOKS: u32 = 20_000;

/// Where the functions stand that wait.
const WAITS: &str = "tollgate.waits";

/// A script cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("script load error: {0}")]
pub struct LoadError(String);

/// A machine with one script. It belongs to one thread.
#[derive(Debug)]
pub struct Machine {
    lua: Lua,
    time: Rc<Time>,
    on_request: Option<Function>,
    on_response: Option<Function>,
}

/// How long a script may go on.
#[derive(Debug, Default)]
struct Time {
    deadline: Cell<Option<Instant>>,
    is_over: Cell<bool>,
}

/// What came of running a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It has ended.
    Ended,
    /// It waits for something.
    Waits,
}

impl Machine {
    /// Loads a script into a new machine: what stands outside of its functions runs. `paths` are looked at for modules before
    /// the usual ones; `register` adds what the script may use.
    ///
    /// # Errors
    /// The script cannot be read, or fails.
    pub fn load(
        code: &str,
        paths: &[String],
        register: impl FnOnce(&Lua) -> mlua::Result<()>,
    ) -> Result<Self, LoadError> {
        Self::try_load(code, paths, register).map_err(|error| LoadError(message(&error)))
    }

    fn try_load(
        code: &str,
        paths: &[String],
        register: impl FnOnce(&Lua) -> mlua::Result<()>,
    ) -> mlua::Result<Self> {
        let libraries = StdLib::COROUTINE
            | StdLib::TABLE
            | StdLib::STRING
            | StdLib::MATH
            | StdLib::BIT
            | StdLib::OS
            | StdLib::PACKAGE;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        lua.set_memory_limit(MOST_MEMORY)?;
        let time = Rc::new(Time::default());
        let watched = Rc::clone(&time);
        let look = move |_: &Lua, _: &Debug<'_>| {
            if watched.deadline.get().is_some_and(|deadline| Instant::now() > deadline) {
                watched.is_over.set(true);
                return Err(mlua::Error::runtime("the script runs too long"));
            }
            Ok(VmState::Continue)
        };
        let often = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_BETWEEN_LOOKS);
        lua.set_global_hook(often, look)?;
        let text_of = lua.create_function(|_, error: mlua::Error| Ok(message(&error)))?;
        // Who is told so cannot go on by catching it.
        let watched = Rc::clone(&time);
        let is_over = lua.create_function(move |_, ()| Ok(watched.is_over.get()))?;
        let prelude = lua.load(include_str!("prelude.lua")).set_name("=tollgate").set_mode(ChunkMode::Text);
        let waits: Table = prelude.call((text_of, is_over, paths.join(";")))?;
        lua.set_named_registry_value(WAITS, waits)?;
        register(&lua)?;
        let mut machine = Self { lua, time, on_request: None, on_response: None };
        // Envoy's messages name the script by its first line, too.
        let name: String = code.chars().filter(|letter| *letter != '\0').collect();
        let chunk = machine.lua.load(code).set_name(name).set_mode(ChunkMode::Text).into_function()?;
        let thread = machine.lua.create_thread(chunk)?;
        if machine.within_bounds(|| thread.resume::<()>(())).map(|()| thread.status())?
            != ThreadStatus::Finished
        {
            return Err(mlua::Error::runtime("script performed an unexpected yield"));
        }
        let global = |name: &str| match machine.lua.globals().get(name) {
            Ok(Value::Function(function)) => Some(function),
            _ => None,
        };
        (machine.on_request, machine.on_response) = (global("envoy_on_request"), global("envoy_on_response"));
        Ok(machine)
    }

    /// The machine itself.
    #[must_use]
    pub fn lua(&self) -> &Lua {
        &self.lua
    }

    /// The function for requests.
    #[must_use]
    pub fn on_request(&self) -> Option<&Function> {
        self.on_request.as_ref()
    }

    /// The function for responses.
    #[must_use]
    pub fn on_response(&self) -> Option<&Function> {
        self.on_response.as_ref()
    }

    /// Begins or goes on with a script, until it waits or ends.
    ///
    /// # Errors
    /// The script fails.
    pub fn resume(&self, thread: &Thread, values: impl mlua::IntoLuaMulti) -> mlua::Result<Progress> {
        self.within_bounds(|| thread.resume::<()>(values))?;
        Ok(match thread.status() {
            ThreadStatus::Resumable => Progress::Waits,
            _ => Progress::Ended,
        })
    }

    fn within_bounds<T>(&self, run: impl FnOnce() -> mlua::Result<T>) -> mlua::Result<T> {
        self.time.is_over.set(false);
        self.time.deadline.set(Some(Instant::now() + LONGEST_RUN));
        let result = run();
        self.time.deadline.set(None);
        result
    }
}

/// The function of that name that waits, for handles that have it: `body`, `bodyChunks`, `trailers`, `httpCall` and `respond`.
///
/// # Errors
/// Those of the machine.
pub fn wait(lua: &Lua, name: &Value) -> mlua::Result<Value> {
    lua.named_registry_value::<Table>(WAITS)?.raw_get(name)
}

#[cfg(test)]
mod tests;
