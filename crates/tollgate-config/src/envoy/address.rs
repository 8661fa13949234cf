//! Addresses.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use tollgate_model::listener::BindAddress;

use crate::schema::{Enumeration, Message, Schema, Value, read, refused};

pub(super) static ADDRESS: Schema = Schema {
    name: "envoy.config.core.v3.Address",
    title: "",
    fields: &[
        read("socket_address", "", "A TCP address."),
        read("pipe", "", "A Unix socket."),
        refused("envoy_internal_address", "use socket_address or pipe"),
    ],
    unsupported: &[],
};

pub(super) static SOCKET_ADDRESS: Schema = Schema {
    name: "envoy.config.core.v3.SocketAddress",
    title: "",
    fields: &[
        read("protocol", "TCP", "TCP."),
        read("address", "", "An IP address; for endpoints of DNS clusters a host name. Required."),
        read("port_value", "0", "The port. For listeners 0 lets the system choose."),
        read(
            "ipv4_compat",
            "false",
            "A listener on an IPv6 address also takes IPv4 connections; only with an IPv6 address.",
        ),
        refused("named_port", "use port_value"),
        refused("resolver_name", "names are resolved by the system"),
    ],
    unsupported: &["network_namespace_filepath"],
};

pub(super) static PIPE: Schema = Schema {
    name: "envoy.config.core.v3.Pipe",
    title: "",
    fields: &[
        read("path", "", "Path of the socket. Required."),
        read("mode", "0", "Permission bits of a listener's socket; 0 leaves the default. 0 to 511."),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 3] = [&ADDRESS, &SOCKET_ADDRESS, &PIPE];

pub(in crate::envoy) static PROTOCOL: Enumeration<()> =
    Enumeration { values: &[("TCP", 0, Some(())), ("UDP", 1, None)] };

/// An address as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Socket { host: String, port: u16, ipv4_compat: bool },
    Pipe { path: PathBuf, mode: Option<u32> },
}

/// Reads an `Address`.
pub(super) fn read_address(value: &Value<'_>) -> Option<Address> {
    match value.message(&ADDRESS)?.required_one_of(&["socket_address", "pipe"])? {
        ("socket_address", value) => read_socket_address(&value.message(&SOCKET_ADDRESS)?),
        (_, value) => read_pipe(&value.message(&PIPE)?),
    }
}

fn read_socket_address(message: &Message<'_>) -> Option<Address> {
    message.enumeration("protocol", &PROTOCOL, ());
    let host = message.required_string("address");
    // A oneof in the API, so the port has to be written even when it is 0.
    let port = message.required("port_value")?.port(0)?;
    let ipv4_compat = message.boolean("ipv4_compat", false);
    (!host.is_empty()).then_some(Address::Socket { host, port, ipv4_compat })
}

/// Longest path of a Unix socket.
const LONGEST_PATH: usize = 107;

fn read_pipe(message: &Message<'_>) -> Option<Address> {
    let path = message.required_string("path");
    if path.len() > LONGEST_PATH {
        message
            .value()
            .error(format!("the path has more than {LONGEST_PATH} bytes, the most a Unix socket can have"));
    }
    if path.starts_with('@') {
        message.value().error("abstract Unix sockets are not supported; use a path");
    }
    let mode = message
        .get("mode")
        .and_then(|value| value.integer(0..=0o777))
        .and_then(|mode| u32::try_from(mode).ok())
        .filter(|mode| *mode != 0);
    (!path.is_empty()).then(|| Address::Pipe { path: path.into(), mode })
}

/// Reads an address that can be listened on.
pub(super) fn read_bind_address(value: &Value<'_>) -> Option<BindAddress> {
    Some(match read_address(value)? {
        Address::Pipe { path, mode } => BindAddress::Pipe { path, mode },
        Address::Socket { host, port, .. } => BindAddress::Socket(SocketAddr::new(ip(value, &host)?, port)),
    })
}

/// Reads what a listener binds. A socket takes connections of one family, so that `ipv4_compat` is an address of its own:
/// every one where every IPv6 address is meant, and the one inside a mapped address.
pub(super) fn read_bind_addresses(value: &Value<'_>) -> Vec<BindAddress> {
    let Some(address) = read_address(value) else { return Vec::new() };
    let (host, port, ipv4_compat) = match address {
        Address::Pipe { path, mode } => return vec![BindAddress::Pipe { path, mode }],
        Address::Socket { host, port, ipv4_compat } => (host, port, ipv4_compat),
    };
    let Some(address) = ip(value, &host) else { return Vec::new() };
    let mapped = match address {
        IpAddr::V6(address) if ipv4_compat => address.to_ipv4_mapped(),
        _ => None,
    };
    let mut addresses = vec![mapped.map_or(address, IpAddr::V4)];
    if ipv4_compat && address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        addresses.push(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    }
    addresses.into_iter().map(|address| BindAddress::Socket(SocketAddr::new(address, port))).collect()
}

/// An IP address; anything else is reported.
pub(super) fn ip(value: &Value<'_>, host: &str) -> Option<IpAddr> {
    let address = host.parse().ok();
    if address.is_none() {
        value.error(format!("\"{host}\" is not an IP address"));
    }
    address
}
