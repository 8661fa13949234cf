//! Scripts that look at requests and responses, and change them.
//!
//! A function of a script is a coroutine. It runs when the head of its message comes, until it ends or waits: for the body, for
//! the next piece of it, for trailers, or for the answer of a cluster. [`Side`] is one function at work on one message: it
//! decides what may pass meanwhile. While a function runs it has what the transaction knows; what it was given then is of no
//! use after a wait.

mod body;
mod call;
mod handle;
mod headers;
mod info;
mod keys;
mod metadata;
mod run;
mod side;

use std::{
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
    task::{self, Poll},
    time::Instant,
};

use extproc::{Direction, Slices};
use tollgate_lua::Machine;
use tollgate_model::filter::Lua as Settings;

use self::side::Side;
use super::{Action, Context, Filter, FilterPlace, Room};
use crate::{
    incident::Incident,
    local_reply::LocalReply,
    stats::LuaMetric as Metric,
    transaction::{chain::Part, core::Core},
};

/// The filter at work on one request and its response.
#[derive(Debug)]
pub(in crate::transaction) struct Lua {
    settings: Arc<Settings>,
    /// The script in its machine; `None`: there is none.
    machine: Option<Rc<Machine>>,
    /// The script cannot be loaded.
    is_broken: bool,
    request: Option<Side>,
    response: Option<Side>,
    /// What stands in the place of the transaction's knowledge while a script has that.
    spare: Option<Box<Core>>,
    /// What there is to do.
    next: VecDeque<Action>,
}

impl Lua {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, core: &Core) -> Self {
        let load = |script: &Arc<_>| {
            let script: &tollgate_model::filter::LuaScript = script;
            Machine::load(&script.code, &script.package_paths, handle::register)
        };
        let machine = settings.script.as_ref().map(|script| core.worker.scripts.get(script, || load(script)));
        // It was loaded when the configuration was read.
        let is_broken = matches!(machine, Some(Err(_)));
        if let Some(Err(error)) = &machine {
            failed(settings, &error.to_string(), core);
        }
        Self {
            settings: Arc::clone(settings),
            machine: machine.and_then(Result::ok),
            is_broken,
            request: None,
            response: None,
            spare: None,
            next: VecDeque::new(),
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Option<Side> {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// A part that no script looks at any more passes on.
    fn part(&mut self, direction: Direction, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        match self.side(direction) {
            Some(side) => {
                side.push(part);
                self.drive(direction, cx);
                self.next.pop_front()
            }
            None => Some(Action::Forward(direction, part)),
        }
    }

    fn drive(&mut self, direction: Direction, cx: &mut Context<'_>) {
        let Self { settings, machine, request, response, spare, next, .. } = self;
        let side = match direction {
            Direction::Request => request,
            Direction::Response => response,
        };
        if let (Some(side), Some(machine)) = (side, machine)
            && let Err(error) = side.drive(machine, cx, spare, next)
        {
            failed(settings, &tollgate_lua::message(&error), cx.core);
        }
    }
}

/// A script has failed: the message goes on as it is.
fn failed(settings: &Settings, error: &str, core: &Core) {
    core.configuration.stats.count_filter(&settings.stat_prefix, Metric::Errors, 1);
    if let Some(suppressed) = core.configuration.stats.http.admit(Incident::Script) {
        let request_id = core.request_id();
        tracing::error!(request_id, suppressed, "script log: {error}");
    }
}

impl Filter for Lua {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        let head = Part::Headers { end_stream };
        if self.is_broken && direction == Direction::Request {
            return Some(Action::Reply(Box::new(LocalReply::script_broken())));
        }
        let Some(machine) = self.machine.clone() else { return Some(Action::Forward(direction, head)) };
        let function = match direction {
            Direction::Request => machine.on_request(),
            Direction::Response => machine.on_response(),
        };
        let Some(function) = function else { return Some(Action::Forward(direction, head)) };
        cx.core.configuration.stats.count_filter(&self.settings.stat_prefix, Metric::Executions, 1);
        match Side::new(direction, &self.settings, &machine, function, end_stream, cx) {
            Ok(side) => *self.side(direction) = Some(side),
            Err(error) => {
                failed(&self.settings, &tollgate_lua::message(&error), cx.core);
                return Some(Action::Forward(direction, head));
            }
        }
        self.part(direction, head, cx)
    }

    fn data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        cx: &mut Context<'_>,
    ) -> Option<Action> {
        self.part(direction, Part::Data { data, end_stream }, cx)
    }

    fn trailers(&mut self, direction: Direction, cx: &mut Context<'_>) -> Option<Action> {
        self.part(direction, Part::Trailers, cx)
    }

    fn next_action(&mut self, _cx: &mut Context<'_>) -> Option<Action> {
        self.next.pop_front()
    }

    fn poll(&mut self, task: &mut task::Context<'_>, _room: Room, cx: &mut Context<'_>) -> Poll<usize> {
        for direction in [Direction::Request, Direction::Response] {
            let Some(side) = self.side(direction) else { continue };
            if let Poll::Ready(read) = side.poll(task) {
                self.drive(direction, cx);
                return Poll::Ready(read);
            }
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        let sides = [&self.request, &self.response].into_iter().flatten();
        sides.filter_map(Side::deadline).min()
    }

    fn deadline_passed(&mut self, cx: &mut Context<'_>) {
        for direction in [Direction::Request, Direction::Response] {
            if let Some(side) = self.side(direction)
                && side.deadline().is_some_and(|deadline| deadline <= cx.now)
            {
                side.time_out();
                self.drive(direction, cx);
            }
        }
    }

    fn has_room(&self, direction: Direction, _pressed: bool) -> bool {
        let side = match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        };
        side.as_ref().is_none_or(Side::has_room)
    }

    fn held(&self) -> usize {
        [&self.request, &self.response].into_iter().flatten().map(Side::held).sum()
    }

    fn waits(&self) -> Option<&'static str> {
        let mut sides = [&self.request, &self.response].into_iter().flatten();
        sides.any(Side::calls).then_some("lua_idle")
    }

    fn end(&mut self, _cx: &mut Context<'_>) {
        self.request = None;
        self.response = None;
        self.machine = None;
        self.next.clear();
    }
}
