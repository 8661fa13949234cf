//! The gRPC health service.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::watch;

use crate::{
    Code, Status,
    service::{Inbound, framed_whole, trailers},
};

/// Path of the method that asks once.
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";
/// Path of the method that hears of changes.
pub(crate) const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// Names of what is served: all of it, or the service.
const SERVICES: [&str; 2] = ["", "envoy.service.ext_proc.v3.ExternalProcessor"];

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct HealthCheckRequest {
    /// Whose health is asked for.
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct HealthCheckResponse {
    /// A `ServingStatus`.
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
const SERVICE_UNKNOWN: i32 = 3;

/// What the health service says, and the means to change it.
///
/// A server is healthy when it serves, unless this says otherwise, and not any more when it stops.
#[derive(Debug, Clone)]
pub struct Health(Arc<watch::Sender<State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    ready: bool,
    /// The server accepts exchanges.
    serves: bool,
    /// Nothing changes any more.
    stopped: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State { ready: true, serves: false, stopped: false })))
    }
}

impl Health {
    /// Whether this processor is ready for exchanges. Default true. Say no while something that it needs is missing: gateways
    /// with health checks go elsewhere.
    pub fn set_ready(&self, ready: bool) {
        self.0.send_modify(|state| state.ready = ready);
    }

    pub(crate) fn serve(&self) {
        self.0.send_modify(|state| state.serves = true);
    }

    /// Says no, and ends the calls of those who watch.
    pub(crate) fn stop(&self) {
        self.0.send_modify(|state| *state = State { serves: false, stopped: true, ..*state });
    }

    fn status(&self) -> i32 {
        let state = *self.0.borrow();
        if state.ready && state.serves { SERVING } else { NOT_SERVING }
    }
}

/// The answer to a health check.
pub(crate) struct HealthReply {
    health: Health,
    inbound: Inbound,
    watches: bool,
    state: Asked,
}

enum Asked {
    /// The question has not arrived.
    Not,
    /// This was said last.
    Said {
        service_known: bool,
        status: i32,
        changes: Changes,
    },
    /// Only the end is left to be said.
    End,
    Over,
}

type Changes = Pin<Box<dyn Future<Output = ()> + Send>>;

impl HealthReply {
    pub(crate) fn check(health: &Health, inbound: Inbound) -> Self {
        Self { health: health.clone(), inbound, watches: false, state: Asked::Not }
    }

    pub(crate) fn watch(health: &Health, inbound: Inbound) -> Self {
        Self { health: health.clone(), inbound, watches: true, state: Asked::Not }
    }

    pub(crate) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        loop {
            match &mut self.state {
                Asked::Over => return Poll::Ready(None),
                Asked::End => {
                    self.state = Asked::Over;
                    return Poll::Ready(Some(trailers(&Status::ok())));
                }
                Asked::Not => match self.inbound.next::<HealthCheckRequest>() {
                    Ok(Some(request)) => {
                        let known = SERVICES.contains(&request.service.as_str());
                        if !known && !self.watches {
                            let text = format!("there is no service {}", request.service);
                            return self.fail(&Status::new(Code::NotFound, text));
                        }
                        return self.say(known);
                    }
                    Err(status) => return self.fail(&status),
                    Ok(None) => match self.inbound.poll_arrived(context) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(Some(()))) => {}
                        Poll::Ready(Ok(None)) => {
                            return self.fail(&Status::invalid_argument("nothing was asked"));
                        }
                        Poll::Ready(Err(status)) => return self.fail(&status),
                    },
                },
                Asked::Said { service_known, status, changes } => {
                    if *service_known && *status != self.health.status() {
                        return self.say(true);
                    }
                    if self.health.0.borrow().stopped {
                        self.state = Asked::End;
                        continue;
                    }
                    if changes.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    let next = changes_of(&self.health);
                    *changes = next;
                }
            }
        }
    }

    fn fail(&mut self, status: &Status) -> Poll<Option<Frame<Bytes>>> {
        self.state = Asked::Over;
        Poll::Ready(Some(trailers(status)))
    }

    /// Says how it is, which may be known before it has changed.
    fn say(&mut self, service_known: bool) -> Poll<Option<Frame<Bytes>>> {
        let changes = changes_of(&self.health);
        let status = if service_known { self.health.status() } else { SERVICE_UNKNOWN };
        self.state = match self.watches {
            true => Asked::Said { service_known, status, changes },
            false => Asked::End,
        };
        Poll::Ready(Some(Frame::data(framed_whole(&HealthCheckResponse { status }))))
    }
}

/// Ready with the next change from now on.
fn changes_of(health: &Health) -> Changes {
    let mut receiver = health.0.subscribe();
    Box::pin(async move {
        // The sender lives as long as the reply.
        let _ = receiver.changed().await;
    })
}
