//! Settings of sockets, as far as they are about peers that are not there any more.

use std::time::Duration;

use tollgate_model::{
    cluster::UpstreamProtocol,
    socket::{TcpKeepalive, TcpOptions},
};

use crate::schema::{Enumeration, Message, Schema, Value, harmless, read, refused, unimplemented};

pub(super) static TCP_KEEPALIVE: Schema = Schema {
    name: "envoy.config.core.v3.TcpKeepalive",
    title: "",
    fields: &[
        read(
            "keepalive_probes",
            "the system's",
            "Unanswered probes that end a connection, 1 to 127; 0 = no probes.",
        ),
        read(
            "keepalive_time",
            "the system's",
            "Seconds without traffic before a probe, 1 to 32767; 0 = no probes.",
        ),
        read("keepalive_interval", "the system's", "Seconds between probes, 1 to 32767; 0 = no probes."),
    ],
    unsupported: &[],
};

pub(super) static SOCKET_OPTION: Schema = Schema {
    name: "envoy.config.core.v3.SocketOption",
    title: "",
    fields: &[
        read("description", "", "Any text."),
        read("level", "0", "1 (SOL_SOCKET) or 6 (IPPROTO_TCP)."),
        read(
            "name",
            "0",
            "SO_KEEPALIVE (1/9), TCP_NODELAY (6/1, on), TCP_KEEPIDLE (6/4), TCP_KEEPINTVL (6/5), TCP_KEEPCNT (6/6) or \
             TCP_USER_TIMEOUT (6/18).",
        ),
        read("int_value", "", "The value. Required."),
        read("state", "STATE_PREBIND", "Accepted: the options hold for every connection."),
        refused("buf_value", "use int_value"),
    ],
    unsupported: &["type", "ip_version"],
};

pub(super) static UPSTREAM_CONNECTION_OPTIONS: Schema = Schema {
    name: "envoy.config.cluster.v3.UpstreamConnectionOptions",
    title: "",
    fields: &[
        read("tcp_keepalive", "15 s, then 3 probes every 5 s", "Probes of connections without traffic."),
        harmless(
            "set_local_interface_name_on_upstream_connections",
            "nothing shows the name of the interface",
        ),
        unimplemented("happy_eyeballs_config", "addresses of a name are tried one after the other"),
    ],
    unsupported: &[],
};

pub(super) static BIND_CONFIG: Schema = Schema {
    name: "envoy.config.core.v3.BindConfig",
    title: "",
    fields: &[
        read("socket_options", "[]", "Settings of the connections."),
        refused("source_address", "the system chooses the source address"),
        refused("freebind", "the system chooses the source address"),
    ],
    unsupported: &[
        "extra_source_addresses",
        "additional_source_addresses",
        "local_address_selector",
        "validate_network_namespaces",
    ],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 4] =
    [&TCP_KEEPALIVE, &SOCKET_OPTION, &UPSTREAM_CONNECTION_OPTIONS, &BIND_CONFIG];

/// Longest time between probes, seconds, and most probes, as the system takes them.
const LONGEST: i64 = 32_767;
const MOST_PROBES: i64 = 127;

pub(in crate::envoy) static STATE: Enumeration<()> = Enumeration {
    values: &[("STATE_PREBIND", 0, Some(())), ("STATE_BOUND", 1, Some(())), ("STATE_LISTENING", 2, Some(()))],
};

/// Reads `tcp_keepalive`; what is not given is as the system has it. `None`: there are no probes.
pub(super) fn read_tcp_keepalive(value: &Value<'_>) -> Option<TcpKeepalive> {
    let message = value.message(&TCP_KEEPALIVE)?;
    let number = |name, most| {
        let number = message.get(name)?.integer(0..=most)?;
        u32::try_from(number).ok()
    };
    let keepalive = TcpKeepalive {
        probes: number("keepalive_probes", MOST_PROBES),
        time: number("keepalive_time", LONGEST),
        interval: number("keepalive_interval", LONGEST),
    };
    let is_off = [keepalive.probes, keepalive.time, keepalive.interval].contains(&Some(0));
    (!is_off).then_some(keepalive)
}

/// Reads a list of socket options.
pub(super) fn read_socket_options(options: &[Value<'_>], tcp: &mut TcpOptions) {
    for option in options {
        read_socket_option(option, tcp);
    }
}

fn read_socket_option(value: &Value<'_>, tcp: &mut TcpOptions) {
    let Some(message) = value.message(&SOCKET_OPTION) else { return };
    message.string("description");
    message.enumeration("state", &STATE, ());
    let number = |name| message.get(name).and_then(|value| value.integer(0..=i64::MAX)).unwrap_or(0);
    let (level, name) = (number("level"), number("name"));
    let wanted = |most| -> Option<u32> {
        let number = message.required("int_value")?.integer(0..=most)?;
        u32::try_from(number).ok()
    };
    let mut keepalive = tcp.keepalive.unwrap_or_default();
    match (level, name) {
        (1, 9) => {
            let Some(on) = wanted(i64::from(i32::MAX)) else { return };
            tcp.keepalive = (on != 0).then_some(keepalive);
            return;
        }
        (6, 1) => {
            if wanted(i64::from(i32::MAX)) == Some(0) {
                value.error("TCP_NODELAY is always on");
            }
            return;
        }
        (6, 4) => keepalive.time = wanted(LONGEST),
        (6, 5) => keepalive.interval = wanted(LONGEST),
        (6, 6) => keepalive.probes = wanted(MOST_PROBES),
        (6, 18) => {
            let limit = wanted(i64::from(i32::MAX)).filter(|limit| *limit > 0);
            tcp.user_timeout = limit.map(|limit| Duration::from_millis(u64::from(limit)));
            return;
        }
        _ => {
            value.error_with_help(
                format!("the socket option {name} of level {level} is not supported"),
                "SO_KEEPALIVE (1/9), TCP_NODELAY (6/1), TCP_KEEPIDLE (6/4), TCP_KEEPINTVL (6/5), TCP_KEEPCNT (6/6) and \
                 TCP_USER_TIMEOUT (6/18) are",
            );
            return;
        }
    }
    if [keepalive.time, keepalive.interval, keepalive.probes].contains(&Some(0)) {
        value.error("must be more than 0");
        return;
    }
    // Without SO_KEEPALIVE they would do nothing.
    tcp.keepalive = Some(keepalive);
}

/// The settings of a cluster's connections.
pub(super) fn read_upstream_options(cluster: &Message<'_>, protocol: &UpstreamProtocol) -> TcpOptions {
    let mut tcp = protocol.usual_tcp();
    if let Some(bind) = cluster.message("upstream_bind_config", &BIND_CONFIG) {
        read_socket_options(&bind.list("socket_options"), &mut tcp);
    }
    if let Some(options) = cluster.message("upstream_connection_options", &UPSTREAM_CONNECTION_OPTIONS)
        && let Some(keepalive) = options.get("tcp_keepalive")
    {
        tcp.keepalive = read_tcp_keepalive(&keepalive);
    }
    tcp
}
