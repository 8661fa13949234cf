//! Server-sent events.

use bytes::{Bytes, BytesMut};
use extproc::Queue;

use super::{lines::hold, transform::Transform};
use crate::Result;

/// A server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its kind (`event:`).
    pub event: Option<String>,
    /// Its lines of `data:`, joined by line feeds.
    pub data: String,
    /// Its `id:`.
    pub id: Option<String>,
    /// Its `retry:`.
    pub retry: Option<String>,
}

impl Event {
    fn read(text: &str) -> Self {
        let mut event = Self::default();
        let mut data = Vec::new();
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => event.event = Some(value.to_owned()),
                "data" => data.push(value),
                "id" => event.id = Some(value.to_owned()),
                "retry" => event.retry = Some(value.to_owned()),
                // Comments, and what nobody knows.
                _ => {}
            }
        }
        event.data = data.join("\n");
        event
    }

    fn write(&self, out: &mut BytesMut) {
        let mut field = |name: &str, value: &str| {
            for part in [name, ": ", value, "\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        };
        for (name, value) in [("event", &self.event), ("id", &self.id), ("retry", &self.retry)] {
            if let Some(value) = value {
                field(name, value);
            }
        }
        self.data.split('\n').for_each(|line| field("data", line));
        out.extend_from_slice(b"\n");
    }
}

type Change = Box<dyn FnMut(Event) -> Option<Event> + Send>;

/// Changes events.
pub(super) struct Events {
    change: Change,
    rest: BytesMut,
}

impl Events {
    pub(super) fn new(change: impl FnMut(Event) -> Option<Event> + Send + 'static) -> Self {
        Self { change: Box::new(change), rest: BytesMut::new() }
    }

    fn event(&mut self, written: &[u8], out: &mut BytesMut) -> Result<()> {
        let event = Event::read(std::str::from_utf8(written)?);
        if event == Event::default() {
            // Only a comment, with which servers keep connections alive.
            out.extend_from_slice(written);
            return Ok(());
        }
        match (self.change)(event.clone()) {
            Some(changed) if changed == event => out.extend_from_slice(written),
            Some(changed) => changed.write(out),
            None => {}
        }
        Ok(())
    }
}

/// Where an event ends: behind an empty line.
fn end_of_event(bytes: &[u8]) -> Option<usize> {
    let ends: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
    let end = |end: &[u8]| Some(bytes.windows(end.len()).position(|window| window == end)? + end.len());
    ends.into_iter().filter_map(end).min()
}

impl Transform for Events {
    fn push(&mut self, data: Bytes, out: &mut Queue<Bytes>) -> Result<()> {
        hold(&mut self.rest, &data)?;
        let mut changed = BytesMut::new();
        while let Some(end) = end_of_event(&self.rest) {
            let event = self.rest.split_to(end);
            self.event(&event, &mut changed)?;
        }
        out.push_back(changed.freeze());
        Ok(())
    }

    fn end(&mut self, out: &mut Queue<Bytes>) -> Result<()> {
        // A client drops an event without its end, but who reads on may not.
        if !self.rest.is_empty() {
            let mut changed = BytesMut::new();
            let event = self.rest.split();
            self.event(&event, &mut changed)?;
            out.push_back(changed.freeze());
        }
        Ok(())
    }
}
