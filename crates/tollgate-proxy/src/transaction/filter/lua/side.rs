//! One function of a script at work on one message.

use std::{
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Instant,
};

use bytes::Bytes;
use extproc::{Direction, Slices};
use mlua::{Function, IntoLuaMulti, Result, Thread};
use tollgate_lua::{Machine, Progress};
use tollgate_model::filter::Lua as Settings;

use super::{
    super::{
        Action, Context,
        held::HeldParts,
        side_call::{Answer, Unanswered},
    },
    body::Body,
    call::{self, Called},
    handle::Handle,
    headers::{Headers, Which},
    run::{Asked, Run},
};
use crate::transaction::{chain::Part, core::Core};

/// One function at work on one message.
#[derive(Debug)]
pub(super) struct Side {
    direction: Direction,
    run: Rc<Run>,
    /// The function; `None`: it has ended.
    thread: Option<Thread>,
    wait: Wait,
    /// What has come and was not looked at.
    incoming: HeldParts,
    /// What was looked at and may not pass yet.
    held: HeldParts,
}

/// What the function waits for.
#[derive(Debug)]
enum Wait {
    /// The head: it has not begun.
    Head,
    Body,
    Chunk,
    Trailers,
    Call {
        call: Called,
        keeps_duplicates: bool,
    },
    Answered {
        answer: Box<std::result::Result<Answer, Unanswered>>,
        keeps_duplicates: bool,
    },
    /// Nothing. It has ended.
    Nothing,
    /// Nothing. The client has an answer.
    Responded,
}

/// What a function is lent.
struct Stage<'a, 'c> {
    machine: &'a Machine,
    cx: &'a mut Context<'c>,
    spare: &'a mut Option<Box<Core>>,
    next: &'a mut VecDeque<Action>,
}

impl Side {
    pub(super) fn new(
        direction: Direction,
        settings: &Arc<Settings>,
        machine: &Machine,
        function: &Function,
        end_stream: bool,
        cx: &Context<'_>,
    ) -> Result<Self> {
        let name =
            cx.core.http().filter(cx.place.index).map_or_else(String::new, |filter| filter.name.clone());
        let run = Run::new(direction, cx.place.upstream, Arc::clone(settings), name, end_stream);
        Ok(Self {
            direction,
            run: Rc::new(run),
            thread: Some(machine.lua().create_thread(function.clone())?),
            wait: Wait::Head,
            incoming: HeldParts::default(),
            held: HeldParts::default(),
        })
    }

    /// A part has come.
    pub(super) fn push(&mut self, part: Part) {
        self.incoming.push(part);
    }

    /// Looks at what has come as far as nothing else is waited for.
    ///
    /// # Errors
    /// The script fails: what there is passes on.
    pub(super) fn drive(
        &mut self,
        machine: &Machine,
        cx: &mut Context<'_>,
        spare: &mut Option<Box<Core>>,
        next: &mut VecDeque<Action>,
    ) -> Result<()> {
        let mut stage = Stage { machine, cx, spare, next };
        let mut result = Ok(());
        if let Wait::Answered { .. } = self.wait {
            result = self.answered(&mut stage);
            self.release(&mut stage);
        }
        while !matches!(self.wait, Wait::Call { .. })
            && let Some(part) = self.incoming.pop()
        {
            let taken = self.take(part, &mut stage);
            result = result.and(taken);
            self.release(&mut stage);
        }
        result
    }

    /// Looks at a part, and keeps it.
    fn take(&mut self, part: Part, stage: &mut Stage<'_, '_>) -> Result<()> {
        match part {
            Part::Headers { .. } => {
                self.held.push(part);
                self.resume(Handle(Rc::clone(&self.run)), stage)
            }
            Part::Data { data, end_stream } => self.data(data, end_stream, stage),
            Part::Trailers => self.trailers(stage),
        }
    }

    fn data(&mut self, data: Slices, end_stream: bool, stage: &mut Stage<'_, '_>) -> Result<()> {
        self.run.ended.set(end_stream);
        self.run.saw_body.set(true);
        match self.wait {
            Wait::Chunk => {
                *self.run.body.borrow_mut() = Some(data.into_bytes());
                let result = self.resume(Body::new_next(&self.run), stage);
                let data = self.run.body.borrow_mut().take().unwrap_or_default().into();
                self.run.body_is_set.set(false);
                self.held.push(Part::Data { data, end_stream });
                result
            }
            Wait::Body => {
                self.held.push(Part::Data { data, end_stream });
                if self.held.bytes() > stage.cx.core.body_buffer_limit() {
                    self.held.clear();
                    self.wait = Wait::Responded;
                    stage.next.push_back(Action::PayloadTooLarge(self.direction));
                    return Ok(());
                }
                if end_stream { self.collected(stage) } else { Ok(()) }
            }
            Wait::Trailers if end_stream => {
                let result = self.resume((), stage);
                self.held.push(Part::Data { data, end_stream });
                result
            }
            _ => {
                self.held.push(Part::Data { data, end_stream });
                Ok(())
            }
        }
    }

    fn trailers(&mut self, stage: &mut Stage<'_, '_>) -> Result<()> {
        self.run.ended.set(true);
        let mut result = match self.wait {
            Wait::Chunk => self.resume((), stage),
            Wait::Body => self.collected(stage),
            _ => Ok(()),
        };
        if result.is_ok() && matches!(self.wait, Wait::Trailers) {
            result = self.resume(Headers::new_next(&self.run, Which::Trailers), stage);
        }
        self.held.push(Part::Trailers);
        result
    }

    /// The whole body is there.
    fn collected(&mut self, stage: &mut Stage<'_, '_>) -> Result<()> {
        if self.held.len() == 1 {
            return self.resume((), stage);
        }
        *self.run.body.borrow_mut() = Some(self.held.first_bytes(usize::MAX));
        self.resume(Body::new_next(&self.run), stage)
    }

    /// The answer of a cluster is there.
    fn answered(&mut self, stage: &mut Stage<'_, '_>) -> Result<()> {
        let wait = std::mem::replace(&mut self.wait, Wait::Nothing);
        let Wait::Answered { answer, keeps_duplicates } = wait else { return Ok(()) };
        let values = call::values(stage.machine.lua(), *answer, keeps_duplicates);
        match values {
            Ok(values) => self.resume(values, stage),
            Err(error) => {
                self.thread = None;
                Err(error)
            }
        }
    }

    /// Lets the function go on with these values.
    fn resume(&mut self, values: impl IntoLuaMulti, stage: &mut Stage<'_, '_>) -> Result<()> {
        self.wait = Wait::Nothing;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let run = Rc::clone(&self.run);
        let progress = run.lend(stage.cx.core, stage.spare, || stage.machine.resume(&thread, values));
        let asked = run.asked.borrow_mut().take();
        if run.clears_route.take() {
            stage.next.push_back(Action::ClearRouteCache);
        }
        if progress? == Progress::Ended {
            return Ok(());
        }
        self.wait = match asked {
            None => return Err(mlua::Error::runtime("script performed an unexpected yield")),
            Some(Asked::Body) => Wait::Body,
            Some(Asked::Chunk) => Wait::Chunk,
            Some(Asked::Trailers) => Wait::Trailers,
            Some(Asked::Call { call, keeps_duplicates }) => Wait::Call { call, keeps_duplicates },
            Some(Asked::Response(reply)) => {
                self.held.clear();
                self.incoming.clear();
                stage.next.push_back(Action::Reply(reply));
                self.wait = Wait::Responded;
                return Ok(());
            }
        };
        self.thread = Some(thread);
        Ok(())
    }

    /// Lets pass what may pass.
    fn release(&mut self, stage: &mut Stage<'_, '_>) {
        match self.wait {
            Wait::Head | Wait::Body | Wait::Call { .. } => return,
            Wait::Responded => return self.held.clear(),
            Wait::Chunk | Wait::Trailers | Wait::Answered { .. } | Wait::Nothing => {}
        }
        if self.held.is_empty() {
            return;
        }
        self.run.continued.set(true);
        let body = self.run.body.borrow_mut().take().filter(|_| self.run.body_is_set.take());
        match body {
            Some(body) => self.release_with(body, stage),
            None => {
                while let Some(part) = self.held.pop() {
                    stage.next.push_back(Action::Forward(self.direction, part));
                }
            }
        }
        // What was collected cannot be asked for any more.
        if self.run.collects.take() {
            self.run.saw_body.set(true);
        }
    }

    /// The head with another body.
    fn release_with(&mut self, body: Bytes, stage: &mut Stage<'_, '_>) {
        let (mut has_head, mut has_trailers) = (false, false);
        while let Some(part) = self.held.pop() {
            has_head |= matches!(part, Part::Headers { .. });
            has_trailers |= matches!(part, Part::Trailers);
        }
        let mut forward = |part| stage.next.push_back(Action::Forward(self.direction, part));
        if has_head {
            forward(Part::Headers { end_stream: body.is_empty() && !has_trailers });
        }
        if !body.is_empty() {
            forward(Part::Data { data: body.into(), end_stream: !has_trailers });
        }
        if has_trailers {
            forward(Part::Trailers);
        }
    }

    /// Goes on with a call. Ready when there is an answer.
    pub(super) fn poll(&mut self, task: &mut TaskContext<'_>) -> Poll<usize> {
        let Wait::Call { call, keeps_duplicates } = &mut self.wait else { return Poll::Pending };
        let Poll::Ready(answer) = call.poll(task) else { return Poll::Pending };
        let read = answer.as_ref().map_or(0, |answer| answer.body.len());
        self.wait = Wait::Answered { answer: Box::new(answer), keeps_duplicates: *keeps_duplicates };
        Poll::Ready(read)
    }

    /// Nobody has answered in time.
    pub(super) fn time_out(&mut self) {
        if let Wait::Call { keeps_duplicates, .. } = self.wait {
            self.wait = Wait::Answered { answer: Box::new(Err(Unanswered::TimedOut)), keeps_duplicates };
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.wait {
            Wait::Call { call, .. } => call.deadline(),
            _ => None,
        }
    }

    /// Whether it waits for a cluster.
    pub(super) fn calls(&self) -> bool {
        matches!(self.wait, Wait::Call { .. })
    }

    /// While a cluster is asked nothing more is read.
    pub(super) fn has_room(&self) -> bool {
        !self.calls()
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        let call = match &self.wait {
            Wait::Call { call, .. } => call.held(),
            _ => 0,
        };
        self.incoming.bytes() + self.held.bytes() + call
    }
}
