//! Client connections: TLS, the choice of the protocol, HTTP/1 and HTTP/2.

mod client_stream;
mod counts;
mod establish;
pub(crate) mod filter_chain;
mod fingerprint;
mod http1;
mod http2;
mod noted;
mod proxy_protocol;
mod record;
mod tcp;
#[cfg(test)]
mod tests;

use std::{cell::OnceCell, rc::Rc, time::Duration};

use tokio::task::AbortHandle;
use tollgate_model::overload::OverloadActionKind;

use crate::{
    configuration::{ChainConfiguration, ServedChain, ServedListener},
    handler::{Handler, Origin},
    io::Socket,
    memory::ConnectionMemory,
    overload::Overload,
    stats::HttpMetric,
    stream_info::{ConnectionInfo, Protocol},
    worker::Worker,
};
pub(crate) use record::ConnectionRecord;

use counts::{HttpConnection, ListenerConnection};
use establish::{Accepted, Established, HttpVersion, establish};
use record::LoggedConnection;

/// How long the preface of HTTP/2 may take (RFC 9113 section 3.4), where it is certain that one comes. Clients send it at once.
const PREFACE_LIMIT: Duration = Duration::from_secs(15);

/// What the requests of a connection have in common, whatever the configuration.
struct Client<H> {
    worker: Rc<Worker>,
    handler: Rc<H>,
    connection: Rc<ConnectionInfo>,
    chain: Rc<ServedChain>,
    memory: Rc<ConnectionMemory>,
    /// What the logs of the listener will show; `None` = it has none.
    record: Option<Rc<ConnectionRecord>>,
}

impl<H> Client<H> {
    /// Whether an overload action asks for this connection to end; it is counted then.
    fn overload_ends_connections(&self, configuration: &ChainConfiguration) -> bool {
        let asked = self
            .overload(configuration)
            .is_some_and(|overload| overload.applies(OverloadActionKind::DisableHttpKeepalive));
        if asked {
            configuration.stats.http.increment(HttpMetric::DownstreamCxOverloadDisableKeepalive);
        }
        asked
    }

    /// The overload actions, if they concern the listener.
    fn overload(&self, configuration: &ChainConfiguration) -> Option<&Overload> {
        let bypassed = configuration.chain.listener.limits.bypass_overload_manager;
        (!bypassed).then(|| &*self.worker.overload)
    }

    /// Whether a load shed point turns the connection away.
    fn sheds(&self, point: OverloadActionKind) -> bool {
        self.chain
            .with(|configuration| self.overload(configuration).is_some_and(|overload| overload.sheds(point)))
    }

    fn origin<'a>(&'a self, protocol: Protocol, configuration: &'a Rc<ChainConfiguration>) -> Origin<'a> {
        Origin { worker: &self.worker, connection: &self.connection, protocol, configuration }
    }
}

/// Serves a connection to its end. `task` is the one that does it.
pub(crate) async fn serve<H: Handler>(
    worker: Rc<Worker>,
    handler: Rc<H>,
    listener: Rc<ServedListener>,
    socket: Socket,
    task: Rc<OnceCell<AbortHandle>>,
) {
    let _counted = ListenerConnection::new(&listener.metrics);
    let id = worker.next_connection_id();
    let accepted = Accepted::new(id, &socket, listener.current().listener.original_dst);
    let mut logged = LoggedConnection::new(&worker, &listener.current().listener, || accepted.info());
    let record = logged.as_ref().map(|logged| logged.record().clone());
    // Each phase is boxed: the task of an idle connection holds the state of its present phase and no more.
    let establishing = Box::pin(establish(&worker, &listener, socket, accepted, record.clone()));
    let Some(established) = establishing.await else {
        logged.iter().for_each(LoggedConnection::over);
        return;
    };
    drop(listener);
    let Established { stream, first, connection, chain, version } = established;
    let _known = task.get().map(|task| chain.connected(connection.id, task.clone()));
    drop(task);
    let Some(version) = version else {
        let configuration = chain.current();
        let Some(served) = tcp::Proxied::new(&configuration, connection, stream, first, &worker, &mut logged)
        else {
            return;
        };
        Box::pin(tcp::serve(configuration, served)).await;
        logged.iter().for_each(LoggedConnection::over);
        return;
    };
    if let Some(logged) = &mut logged {
        logged.established(&connection);
    }
    let http = chain.with(|configuration| configuration.stats.http.clone());
    let _counted_http = HttpConnection::new(http, version, connection.tls.is_some());
    let stream_limit = chain.with(|configuration| match version {
        HttpVersion::Http1 => configuration.chain.listener.per_connection_buffer_limit_bytes,
        HttpVersion::Http2 => configuration.http().http2.stream_buffer_limit,
    });
    let memory = worker.memory.connection(stream_limit);
    let client = Client { worker, handler, connection, chain, memory, record };
    match version {
        HttpVersion::Http1 => Box::pin(http1::serve(client, stream, first)).await,
        HttpVersion::Http2 => Box::pin(http2::serve(client, stream, first)).await,
    }
    logged.iter().for_each(LoggedConnection::over);
}
