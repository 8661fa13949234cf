//! The load generator: clients of one kind, closed loop (each begins its next request when it has the answer) or open
//! loop (requests begin at times that do not depend on answers, and waiting for a free connection counts).

mod http1;
mod http2;
mod pace;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Instant,
};

use tokio::task::{JoinHandle, spawn_local};

pub(crate) use self::pace::{Pace, generate};
use crate::{Result, histogram::Histogram, http1::Message, scratch::Scratch};

/// What clients send and expect.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) method: &'static str,
    pub(crate) host: String,
    pub(crate) path: &'static str,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) body: usize,
    pub(crate) expect: Message,
}

/// Which clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    /// HTTP/1.1 connections, one request at a time on each.
    Http1 { connections: usize },
    /// HTTP/2 connections and requests at a time on each.
    Http2 { connections: usize, streams: usize },
}

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Load {
    exchange: Exchange,
    pace: Pace,
    begun: Cell<u64>,
    completed: Cell<u64>,
    failure: RefCell<Option<String>>,
    latency: RefCell<Histogram>,
    scratch: Scratch,
}

/// Running clients; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) load: Rc<Load>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn begun(&self) -> u64 {
        self.begun.get()
    }

    pub(crate) fn completed(&self) -> u64 {
        self.completed.get()
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The latencies since the last call.
    pub(crate) fn take_latency(&self) -> Histogram {
        self.latency.take()
    }

    /// # Errors
    /// The first thing that went wrong on any connection.
    pub(crate) fn check(&self) -> Result<()> {
        match &*self.failure.borrow() {
            Some(failure) => Err(failure.clone().into()),
            None => Ok(()),
        }
    }

    fn begin(&self) {
        self.begun.set(self.begun.get() + 1);
    }

    fn complete(&self, begun: Instant, message: Message) {
        if message == self.exchange.expect {
            self.completed.set(self.completed.get() + 1);
            self.latency.borrow_mut().record(Instant::now().duration_since(begun));
        } else {
            self.fail(&format!("got {message:?} instead of {:?}", self.exchange.expect));
        }
    }

    fn fail(&self, why: &str) {
        self.failure.borrow_mut().get_or_insert_with(|| why.to_owned());
    }
}

/// Requests at a time.
pub(crate) fn in_flight(clients: Clients) -> usize {
    match clients {
        Clients::Http1 { connections } => connections,
        Clients::Http2 { connections, streams } => connections * streams,
    }
}

/// Starts clients.
pub(crate) fn start(address: SocketAddr, clients: Clients, exchange: Exchange, pace: Pace) -> Running {
    let load = Rc::new(Load {
        exchange,
        pace,
        begun: Cell::default(),
        completed: Cell::default(),
        failure: RefCell::default(),
        latency: RefCell::default(),
        scratch: Scratch::default(),
    });
    let connections = match clients {
        Clients::Http1 { connections } | Clients::Http2 { connections, .. } => connections,
    };
    let tasks = (0..connections)
        .map(|index| {
            let load = load.clone();
            spawn_local(async move {
                let ended = match clients {
                    Clients::Http1 { .. } => http1::run(address, &load, index).await,
                    Clients::Http2 { streams, .. } => http2::run(address, &load, index, streams).await,
                };
                if let Err(error) = ended {
                    load.fail(&format!("client: {error}"));
                }
            })
        })
        .collect();
    Running { load, tasks }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
