//! How peers that are not there any more are found: settings of sockets, and PINGs.

use std::{os::fd::AsFd, time::Duration};

use http2_io::KeepAlive;
use socket2::{SockRef, TcpKeepalive};
use tollgate_model::{http_connection_manager::Http2Keepalive, socket::TcpOptions};

/// How long a processor may take to answer a PING when nothing is configured.
const PROCESSOR_TIMEOUT: Duration = Duration::from_secs(5);
/// How long another host may take. Some answer nothing while they work on a request.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(15);

/// Sets the options of a TCP connection.
pub(crate) fn apply(options: &TcpOptions, socket: &impl AsFd) {
    let socket = SockRef::from(socket);
    let outcome = match &options.keepalive {
        None => socket.set_keepalive(false),
        Some(keepalive) => {
            let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
            let mut probes = TcpKeepalive::new();
            if let Some(time) = keepalive.time {
                probes = probes.with_time(seconds(time));
            }
            if let Some(interval) = keepalive.interval {
                probes = probes.with_interval(seconds(interval));
            }
            if let Some(retries) = keepalive.probes {
                probes = probes.with_retries(retries);
            }
            socket.set_keepalive(true).and_then(|()| socket.set_tcp_keepalive(&probes))
        }
    };
    let outcome = outcome.and_then(|()| match options.user_timeout {
        None => Ok(()),
        limit => socket.set_tcp_user_timeout(limit),
    });
    if let Err(error) = outcome {
        tracing::debug!(%error, "cannot set TCP keepalive");
    }
}

/// The PINGs to a client, if any are configured.
pub(crate) fn downstream(configured: Option<&Http2Keepalive>) -> Option<KeepAlive> {
    let configured = configured?;
    Some(KeepAlive { idle_interval: None, on_suspicion: false, ..pings(configured) })
}

/// The PINGs to a host: when nothing is configured there is one when a request got no answer.
pub(crate) fn upstream(configured: Option<&Http2Keepalive>) -> KeepAlive {
    configured.map_or_else(|| KeepAlive::on_suspicion(UPSTREAM_TIMEOUT), pings)
}

/// The PINGs to a processor: when nothing is configured there is one when an exchange got no answer.
pub(crate) fn processor(configured: Option<&Http2Keepalive>) -> KeepAlive {
    configured.map_or_else(|| KeepAlive::on_suspicion(PROCESSOR_TIMEOUT), pings)
}

fn pings(configured: &Http2Keepalive) -> KeepAlive {
    KeepAlive {
        interval: configured.interval,
        jitter: configured.interval_jitter / 100.0,
        timeout: configured.timeout,
        idle_interval: configured.connection_idle_interval,
        on_suspicion: true,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn options_of_sockets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        apply(&TcpOptions::HTTP2_UPSTREAM, &stream);
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(5));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(20)));
        apply(&TcpOptions { keepalive: None, user_timeout: None }, &stream);
        assert!(!socket.keepalive().unwrap());
    }
}
