//! Addresses and their parts.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tollgate_model::format::AddressPart;

use super::Value;

/// A part of a socket address.
pub(super) fn of_socket(address: SocketAddr, part: AddressPart) -> Value<'static> {
    match part {
        AddressPart::Whole => Value::owned(address.to_string()),
        AddressPart::WithoutPort => Value::owned(address.ip().to_string()),
        AddressPart::Network(length) => Value::owned(network(address.ip(), length)),
        AddressPart::Port => Value::Number(u64::from(address.port())),
    }
}

/// A part of an address as text: `ip:port` or the path of a socket, which has no port.
pub(super) fn of_text(address: &str, part: AddressPart) -> Option<Value<'_>> {
    match (address.parse::<SocketAddr>(), part) {
        (_, AddressPart::Whole) => Some(Value::text(address)),
        (Ok(address), part) => Some(of_socket(address, part)),
        (Err(_), AddressPart::WithoutPort) => Some(Value::text(address)),
        (Err(_), AddressPart::Network(_) | AddressPart::Port) => None,
    }
}

/// The network of an address, `ip/length`; a length beyond the address' own is its own.
fn network(address: IpAddr, length: u8) -> String {
    let longest = if address.is_ipv4() { 32 } else { 128 };
    IpNet::new(address, length.min(longest))
        .map_or_else(|_| address.to_string(), |network| network.trunc().to_string())
}
