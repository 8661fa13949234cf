//! `x-forwarded-*` and what is trusted of them.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;
use tollgate_model::http_connection_manager::HttpConnectionManager;

use super::{envoy_headers::EnvoyHeaders, fields::append_to_list, ip_detection::Detected};
use crate::stream_info::ConnectionInfo;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Sets the `x-forwarded-*` fields of a request. Gives the client's address as far as it can be trusted: with port 0 if
/// a proxy named it.
///
/// With `use_remote_address` the peer is the client (or the last of `xff_num_trusted_hops` proxies): its address is
/// appended. Without it, which is the default, what the peer says is believed and left alone.
pub(super) fn set_forwarded(
    fields: &mut HeaderMap,
    http: &HttpConnectionManager,
    connection: &ConnectionInfo,
    own_address: IpAddr,
    detected: Option<Detected>,
) -> Option<SocketAddr> {
    let peer = connection.remote_address;
    let append = |fields: &mut HeaderMap, peer: SocketAddr| {
        // A client on this machine is named by the machine's address.
        let address = if peer.ip().is_loopback() { own_address } else { peer.ip() };
        append_to_list(fields, &X_FORWARDED_FOR, ",", &text(address));
    };
    let named = |hops| forwarded_for(fields, hops).map(|address| SocketAddr::new(address, 0));
    let client;
    if http.use_remote_address {
        client = http.xff_num_trusted_hops.checked_sub(1).and_then(named).or(peer);
        if !http.skip_xff_append
            && let Some(peer) = peer
        {
            append(fields, peer);
        }
    } else if !http.ip_detection.is_empty() {
        client = detected.map(|detected| SocketAddr::new(detected.address, 0)).or(peer);
        if detected.is_some_and(|detected| detected.append)
            && let Some(peer) = peer
        {
            append(fields, peer);
        }
    } else {
        client = named(http.xff_num_trusted_hops).or(peer);
    }
    // Trusted proxies know better than we do.
    let is_first = http.use_remote_address && http.xff_num_trusted_hops == 0;
    if is_first || !fields.contains_key(&X_FORWARDED_PROTO) {
        fields.insert(X_FORWARDED_PROTO, scheme_of(connection));
    }
    if http.append_x_forwarded_port
        && (is_first || !fields.contains_key(&X_FORWARDED_PORT))
        && let Some(local) = connection.local_address
    {
        fields.insert(X_FORWARDED_PORT, HeaderValue::from(local.port()));
    }
    client
}

/// An address as text. Every request needs that of its client, and the general formatting costs ten times as much.
fn text(address: IpAddr) -> SmallVec<[u8; 40]> {
    let mut text = SmallVec::new();
    match address {
        IpAddr::V4(address) => {
            for (position, octet) in address.octets().into_iter().enumerate() {
                if position > 0 {
                    text.push(b'.');
                }
                text.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        IpAddr::V6(address) => text.extend_from_slice(address.to_string().as_bytes()),
    }
    text
}

/// Whether a request comes from an internal client. Its address has to be beyond doubt: nobody but the peer has named it. Asked
/// before the `x-forwarded-*` fields are set.
pub(super) fn is_internal(
    fields: &HeaderMap,
    http: &HttpConnectionManager,
    connection: &ConnectionInfo,
    detected: Option<Detected>,
) -> bool {
    let internal = &http.internal_addresses;
    if !internal.unix_sockets && internal.ranges.is_empty() {
        return false;
    }
    if !http.ip_detection.is_empty() {
        return detected.is_some_and(|detected| detected.trusted && internal.contain(Some(detected.address)));
    }
    if http.use_remote_address {
        let client = connection.remote_address.map(|peer| peer.ip());
        return !fields.contains_key(&X_FORWARDED_FOR) && internal.contain(client);
    }
    let list = fields.get(&X_FORWARDED_FOR).and_then(|list| list.to_str().ok());
    let only = list.filter(|list| !list.contains(',') && http.xff_num_trusted_hops == 0);
    only.and_then(|address| address.trim().parse().ok()).is_some_and(|client| internal.contain(Some(client)))
}

/// At the edge the client's address is told apart from what it says itself.
pub(super) fn set_external_address(fields: &mut HeaderMap, names: &EnvoyHeaders, client: Option<SocketAddr>) {
    if let Some(value) = client.and_then(|client| HeaderValue::from_bytes(&text(client.ip())).ok()) {
        fields.insert(names.external_address.clone(), value);
    }
}

/// The scheme of a request that does not name one: `x-forwarded-proto` if it is one, else that of the connection.
pub(super) fn scheme(fields: &HeaderMap, connection: &ConnectionInfo) -> HeaderValue {
    let forwarded = fields.get(&X_FORWARDED_PROTO).map(|value| value.as_bytes().to_ascii_lowercase());
    match forwarded.as_deref() {
        Some(b"http") => HeaderValue::from_static("http"),
        Some(b"https") => HeaderValue::from_static("https"),
        _ => scheme_of(connection),
    }
}

fn scheme_of(connection: &ConnectionInfo) -> HeaderValue {
    HeaderValue::from_static(if connection.tls.is_some() { "https" } else { "http" })
}

/// The address `hops` places before the last one of `x-forwarded-for`.
pub(super) fn forwarded_for(fields: &HeaderMap, hops: u32) -> Option<IpAddr> {
    let list = fields.get(&X_FORWARDED_FOR)?.to_str().ok()?;
    list.rsplit(',').nth(usize::try_from(hops).ok()?)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_everywhere() {
        for address in ["0.0.0.0", "10.9.100.255", "127.0.0.1", "::", "::1", "2001:db8::ff00:42:8329"] {
            let parsed: IpAddr = address.parse().expect("an address");
            assert_eq!(&text(parsed)[..], address.as_bytes());
        }
    }
}
