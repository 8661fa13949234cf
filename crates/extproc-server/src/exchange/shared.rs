//! What the driver of an exchange, its handler and the bodies of its messages share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Wake, Waker},
};

use bytes::Bytes;
use extproc::{
    BodySendMode, Direction, Queue,
    messages::{ProcessingMode, ProcessingRequest, Struct},
    session::{Event, Head, NotPossible, Rest, Session},
};
use http::HeaderMap;

use super::{
    End, head,
    pump::Pump,
    shown::{HeadMessage, Shown},
};
use crate::body::OnTrailers;

/// What is called when the exchange ends.
type OnEnd = Box<dyn FnOnce(End) + Send>;

/// The state of an exchange behind a lock, which nobody holds for longer than a step takes.
///
/// It is what the handler wakes, too, so that its driver knows whether there is a reason to ask it: its task is woken for many
/// others.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Whatever waits in the handler has something to do.
    woken: AtomicBool,
    /// The driver is at work, and will look at `woken` before it rests.
    driven: AtomicBool,
    /// The task of the driver. Locked by itself, for handlers are woken while the state is locked.
    task: Mutex<Option<Waker>>,
}

/// Everything about an exchange but its futures.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) session: Session,
    sides: [Side; 2],
    pub(crate) attributes: Struct,
    /// Modes to ask for with the next reply to headers.
    pub(crate) modes: Option<ProcessingMode>,
    /// The route is to be chosen again.
    pub(crate) reroute: bool,
    /// The gateway sends nothing more.
    pub(crate) closed: bool,
    /// Nobody drives the exchange any more.
    pub(crate) gone: bool,
    /// Bytes that bodies have collected for the handler.
    pub(crate) collected: usize,
    /// Something of the exchange has just waited for the gateway.
    pub(crate) waits: bool,
    /// The driver is at work and will look at everything again.
    pub(crate) driven: bool,
    pub(crate) driver: Option<Waker>,
    /// There is a reason to look at the handler and the bodies.
    pub(crate) look: bool,
    pub(crate) on_end: Callbacks,
    /// Bodies that were passed on and are to be written.
    pub(crate) pumps: Vec<Pump>,
}

/// What is left of an exchange.
pub(crate) struct Remains {
    pub(crate) on_end: Vec<OnEnd>,
    _pumps: Vec<Pump>,
    _trailers: [(Vec<OnTrailers>, Option<DueTrailers>); 2],
}

#[derive(Default)]
pub(crate) struct Callbacks(pub(crate) Vec<OnEnd>);

impl fmt::Debug for Callbacks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} callbacks", self.0.len())
    }
}

/// A message on its way through the handler.
#[derive(Default)]
pub(crate) struct Side {
    /// It has arrived, as far as it is shown: its head, or what is seen of a message whose head is not shown.
    pub(crate) arrived: bool,
    /// Its head, if it is shown.
    pub(crate) head: Option<Shown>,
    /// It has neither a body nor trailers.
    pub(crate) end_stream: bool,
    /// What arrived of the body and was not read.
    pub(crate) queue: Queue<Bytes>,
    /// The body has ended.
    pub(crate) ended: bool,
    /// Only the first part of the body is shown.
    pub(crate) cut: bool,
    /// Trailers that are to be answered.
    pub(crate) trailers: Option<Shown>,
    /// The body is the handler's to rewrite.
    pub(crate) reading: bool,
    /// Nobody will read the body any more.
    pub(crate) abandoned: bool,
    /// The handler was given it.
    pub(crate) given: bool,
    /// The handler has passed it on.
    pub(crate) passed: bool,
    /// Everything of the new body is written.
    pub(crate) written: bool,
    pub(crate) on_trailers: Vec<OnTrailers>,
    due: Option<DueTrailers>,
    pub(crate) waker: Option<Waker>,
}

impl fmt::Debug for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Side")
            .field("arrived", &self.arrived)
            .field("reading", &self.reading)
            .field("passed", &self.passed)
            .field("written", &self.written)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Side {
    fn queued(&self) -> usize {
        self.queue.iter().map(Bytes::len).sum()
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        let state = State {
            session: Session::new(),
            sides: [Side::default(), Side::default()],
            attributes: Struct::default(),
            modes: None,
            reroute: false,
            closed: false,
            gone: false,
            collected: 0,
            waits: false,
            driven: false,
            driver: None,
            look: true,
            on_end: Callbacks::default(),
            pumps: Vec::new(),
        };
        let (woken, driven, task) = Default::default();
        Arc::new(Self { state: Mutex::new(state), woken, driven, task })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock can only be one of ours; the state is as good as before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom to wake when the driver rests.
    pub(crate) fn set_task(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// The driver goes to work, or rests.
    pub(crate) fn set_driven(&self, driven: bool) {
        self.driven.store(driven, SeqCst);
    }

    /// Whether the handler was woken since this was asked last.
    pub(crate) fn take_woken(&self) -> bool {
        self.woken.swap(false, SeqCst)
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(SeqCst)
    }
}

/// The handler is woken.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, SeqCst);
        if self.driven.load(SeqCst) {
            return;
        }
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl State {
    pub(crate) fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides[direction as usize]
    }

    /// The session and one side of it.
    fn at(&mut self, direction: Direction) -> (&mut Session, &mut Side) {
        (&mut self.session, &mut self.sides[direction as usize])
    }

    /// Bytes that lie here because nobody took them yet, and those that were collected.
    pub(crate) fn buffered(&self) -> usize {
        self.collected + self.queued() + self.session.buffered_bytes()
    }

    /// Something of the request or of the response has arrived.
    pub(crate) fn has_arrived(&self) -> bool {
        self.sides.iter().any(|side| side.arrived)
    }

    /// Somebody waits for more, or a message passes that nobody looks at.
    pub(crate) fn awaits_gateway(&self) -> bool {
        self.sides.iter().any(|side| side.waker.is_some() || side.passed && !side.reading)
    }

    pub(crate) fn queued(&self) -> usize {
        self.sides.iter().map(Side::queued).sum()
    }

    /// There may be something to send.
    pub(crate) fn wake_driver(&mut self) {
        if self.driven {
            return;
        }
        self.look = true;
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// A message of the gateway. Its driver has to go on after that.
    pub(crate) fn receive(&mut self, mut message: ProcessingRequest) {
        for values in std::mem::take(&mut message.attributes).into_values() {
            self.attributes.fields.extend(values.fields);
        }
        self.session.receive(message);
        self.take_events();
        self.look = true;
    }

    /// As [`receive`](Self::receive).
    pub(crate) fn receive_head(&mut self, message: HeadMessage) {
        let HeadMessage { direction, shown, end_stream, rest } = message;
        self.receive(rest);
        self.session.receive_headers(direction, shown.has_length());
        self.head_arrived(direction, shown, end_stream);
    }

    fn head_arrived(&mut self, direction: Direction, shown: Shown, end_stream: bool) {
        let side = &mut self.sides[direction as usize];
        side.arrived = true;
        side.end_stream = end_stream;
        side.head = Some(shown);
        side.wake();
    }

    pub(crate) fn take_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        let (session, sides) = (&mut self.session, &mut self.sides);
        match event {
            Event::Headers { direction, headers, end_stream, .. } => {
                self.head_arrived(direction, Shown::from(&headers), end_stream);
            }
            Event::Undecided { direction } => {
                let side = &mut sides[direction as usize];
                side.arrived = true;
                side.wake();
            }
            Event::Data { direction, data } => {
                let side = &mut sides[direction as usize];
                if !side.abandoned && !side.written {
                    side.queue.push_back(data);
                    side.wake();
                }
            }
            Event::End { direction } | Event::Cut { direction } => {
                let side = &mut sides[direction as usize];
                side.ended = true;
                side.cut = matches!(event, Event::Cut { .. });
                side.wake();
            }
            Event::Trailers { direction, trailers } => {
                let side = &mut sides[direction as usize];
                side.arrived = true;
                side.ended = true;
                side.trailers = Some(Shown::from(&trailers));
                settle_trailers(session, side, direction);
                side.wake();
            }
        }
    }

    /// The gateway sends nothing more.
    pub(crate) fn close(&mut self) {
        (self.closed, self.look) = (true, true);
        self.sides.iter_mut().for_each(Side::wake);
    }

    pub(crate) fn has_due_trailers(&self) -> bool {
        self.sides.iter().any(|side| side.due.is_some())
    }

    /// The next trailers that are to be changed.
    pub(crate) fn due_trailers(&mut self) -> Option<DueTrailers> {
        self.sides.iter_mut().find_map(|side| side.due.take())
    }

    /// The exchange is over. Whoever still has a part of it learns that. What comes back may hold the exchange, and is to be
    /// dropped without the lock.
    pub(crate) fn end(&mut self) -> Remains {
        (self.closed, self.gone) = (true, true);
        self.driver = None;
        self.sides.iter_mut().for_each(Side::wake);
        Remains {
            on_end: std::mem::take(&mut self.on_end.0),
            _pumps: std::mem::take(&mut self.pumps),
            _trailers: self
                .sides
                .each_mut()
                .map(|side| (std::mem::take(&mut side.on_trailers), side.due.take())),
        }
    }

    /// From here on the body is the handler's, who must write another one. The head goes on now, unless it can wait.
    pub(crate) fn begin_reading(&mut self, direction: Direction) -> Result<(), NotPossible> {
        if self.side(direction).reading {
            return Ok(());
        }
        if self.side(direction).end_stream {
            self.side(direction).ended = true;
            return Ok(());
        }
        let duplex = self.session.mode(direction) == Some(BodySendMode::FullDuplexStreamed);
        if self.session.owes_headers(direction) && !duplex {
            let head = Head { modes: self.modes, ..Head::default() };
            self.session.proceed(direction, head, Rest::Rewrite)?;
            self.modes = None;
        } else {
            self.session.decide(direction, Rest::Rewrite)?;
        }
        self.side(direction).reading = true;
        // What waited for this decision is shown now.
        self.take_events();
        self.wake_driver();
        Ok(())
    }

    /// Everything of the new body is written: what becomes of the trailers.
    pub(crate) fn finish(
        &mut self,
        direction: Direction,
        trailers: Option<&HeaderMap>,
    ) -> Result<(), NotPossible> {
        let (session, side) = self.at(direction);
        session.finish(direction);
        side.written = true;
        side.queue.clear();
        match (side.trailers.take(), trailers) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err(NotPossible {
                    wanted: "add trailers",
                    mode: session.mode(direction),
                    setting: "a message that has trailers, and trailer mode SEND",
                });
            }
            (Some(original), new) => answer_trailers(session, side, direction, &original, new),
        }
        Ok(())
    }

    /// The message was passed on untouched, but perhaps for its trailers.
    pub(crate) fn passed(&mut self, direction: Direction, on_trailers: Vec<OnTrailers>) {
        let (session, side) = self.at(direction);
        side.passed = true;
        side.on_trailers = on_trailers;
        settle_trailers(session, side, direction);
    }
}

/// Answers trailers that the handler will not read.
fn settle_trailers(session: &mut Session, side: &mut Side, direction: Direction) {
    if !(side.written || side.passed && !side.reading) {
        return;
    }
    let Some(original) = side.trailers.take() else { return };
    answer_trailers(session, side, direction, &original, None);
}

/// `new`: what the new body has.
fn answer_trailers(
    session: &mut Session,
    side: &mut Side,
    direction: Direction,
    original: &Shown,
    new: Option<&HeaderMap>,
) {
    let changes = std::mem::take(&mut side.on_trailers);
    match (changes.is_empty(), new) {
        (true, None) => session.trailers(direction, None),
        (true, Some(new)) => session.trailers(direction, head::trailers_difference(original, new)),
        (false, new) => {
            side.due =
                Some(DueTrailers { direction, original: original.clone(), new: new.cloned(), changes });
        }
    }
}

/// Trailers that the author's code is to change, which is not done under the lock.
pub(crate) struct DueTrailers {
    direction: Direction,
    original: Shown,
    /// Those of the new body.
    new: Option<HeaderMap>,
    changes: Vec<OnTrailers>,
}

impl DueTrailers {
    /// Changes them, and says what has changed.
    pub(crate) fn change(self, shared: &Shared) {
        let Self { direction, original, new, changes } = self;
        // What cannot be read cannot be changed.
        let changed = new.or_else(|| head::fields(&original).ok()).and_then(|mut trailers| {
            changes.into_iter().for_each(|change| change(&mut trailers));
            head::trailers_difference(&original, &trailers)
        });
        shared.lock().session.trailers(direction, changed);
    }
}
