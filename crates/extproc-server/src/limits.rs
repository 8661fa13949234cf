//! How many exchanges there may be, and how much of them may lie in memory.

use std::{
    cell::Cell,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    Status,
    counters::{Counters, count},
    throttle::Throttle,
};

/// The limits of a server, which all its connections share.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) max_exchanges: usize,
    pub(crate) max_buffered: usize,
    pub(crate) counters: Arc<Counters>,
    pub(crate) warnings: Throttle,
}

/// The place of one exchange, and the bytes that lie in memory for it.
#[derive(Debug)]
pub(crate) struct Place {
    limits: Arc<Limits>,
    held: Cell<usize>,
}

impl Limits {
    /// A place for another exchange.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if there is none.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Place, Status> {
        let active = self.counters.active_exchanges.fetch_add(1, Relaxed);
        let place = Place { limits: self.clone(), held: Cell::new(0) };
        if active < self.max_exchanges {
            count(&self.counters.exchanges);
            return Ok(place);
        }
        count(&self.counters.refused_exchanges);
        if let Some(suppressed) = self.warnings.pass() {
            tracing::warn!(limit = self.max_exchanges, suppressed, "refused an exchange: there are too many");
        }
        Err(Status::resource_exhausted(format!("there are {} exchanges already", self.max_exchanges)))
    }
}

impl Place {
    /// So many bytes lie in memory for this exchange now.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if that is more than there is for all together. The bytes are taken nevertheless, until the place
    /// is left.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), Status> {
        let before = self.held.replace(bytes);
        let counter = &self.limits.counters.buffered_bytes;
        if bytes <= before {
            if bytes < before {
                counter.fetch_sub(before - bytes, Relaxed);
            }
            return Ok(());
        }
        let more = bytes - before;
        if counter.fetch_add(more, Relaxed) + more <= self.limits.max_buffered {
            return Ok(());
        }
        count(&self.limits.counters.exhausted_exchanges);
        if let Some(suppressed) = self.limits.warnings.pass() {
            let limit = self.limits.max_buffered;
            tracing::warn!(limit, suppressed, "ended an exchange: too much is buffered in all");
        }
        Err(Status::resource_exhausted(format!("more than {} bytes are buffered", self.limits.max_buffered)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let counters = &self.limits.counters;
        counters.buffered_bytes.fetch_sub(self.held.get(), Relaxed);
        counters.active_exchanges.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn limits(max_exchanges: usize, max_buffered: usize) -> Arc<Limits> {
        let (counters, warnings) = (Arc::default(), Throttle::default());
        Arc::new(Limits { max_exchanges, max_buffered, counters, warnings })
    }

    #[test]
    fn places_are_given_back() {
        let limits = limits(2, 0);
        let first = limits.enter().unwrap();
        let second = limits.enter().unwrap();
        assert_eq!(limits.enter().unwrap_err().code(), Code::ResourceExhausted);
        assert_eq!(limits.counters.active_exchanges(), 2);
        drop(first);
        drop(limits.enter().unwrap());
        drop(second);
        assert_eq!(limits.counters.active_exchanges(), 0);
        assert_eq!((limits.counters.exchanges(), limits.counters.refused_exchanges()), (3, 1));
    }

    #[test]
    fn bytes_are_held_as_long_as_they_are_there() {
        let limits = limits(2, 100);
        let place = limits.enter().unwrap();
        place.hold(70).unwrap();
        place.hold(10).unwrap();
        assert_eq!(limits.counters.buffered_bytes(), 10);
        let other = limits.enter().unwrap();
        assert_eq!(other.hold(91).unwrap_err().code(), Code::ResourceExhausted);
        assert_eq!(limits.counters.exhausted_exchanges(), 1);
        drop(other);
        assert_eq!(limits.counters.buffered_bytes(), 10);
        drop(place);
        assert_eq!(limits.counters.buffered_bytes(), 0);
    }
}
