//! `x-forwarded-*` and what is trusted of them.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_model::http_connection_manager::HttpConnectionManager;

use crate::stream_info::ConnectionInfo;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_ENVOY_EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");

/// Sets the `x-forwarded-*` fields of a request.
///
/// With `use_remote_address` the peer is the client (or the last of `xff_num_trusted_hops` proxies): its address is
/// appended and named in `x-envoy-external-address`. Without it, which is the default, what the peer says is left alone.
pub(super) fn set_forwarded(
    fields: &mut HeaderMap,
    http: &HttpConnectionManager,
    connection: &ConnectionInfo,
    own_address: IpAddr,
) {
    let peer = connection.remote_address.map(|address| address.ip());
    if http.use_remote_address {
        let client = trusted_client(fields, http.xff_num_trusted_hops).or(peer);
        if !http.skip_xff_append
            && let Some(peer) = peer
        {
            // A client on this machine is named by the machine's address.
            append_xff(fields, if peer.is_loopback() { own_address } else { peer });
        }
        if http.xff_num_trusted_hops == 0 {
            fields.insert(X_FORWARDED_PROTO, scheme(connection));
            if http.append_x_forwarded_port {
                set_port(fields, connection);
            }
        }
        if let Some(value) = client.and_then(|client| HeaderValue::from_str(&client.to_string()).ok()) {
            fields.insert(X_ENVOY_EXTERNAL_ADDRESS, value);
        }
    }
    if !fields.contains_key(&X_FORWARDED_PROTO) {
        fields.insert(X_FORWARDED_PROTO, scheme(connection));
    }
    if http.append_x_forwarded_port && !fields.contains_key(&X_FORWARDED_PORT) {
        set_port(fields, connection);
    }
}

fn scheme(connection: &ConnectionInfo) -> HeaderValue {
    HeaderValue::from_static(if connection.tls.is_some() { "https" } else { "http" })
}

fn set_port(fields: &mut HeaderMap, connection: &ConnectionInfo) {
    if let Some(local) = connection.local_address {
        fields.insert(X_FORWARDED_PORT, HeaderValue::from(local.port()));
    }
}

/// The address `hops` places from the end of `x-forwarded-for`, if trusted proxies vouch for it.
fn trusted_client(fields: &HeaderMap, hops: u32) -> Option<IpAddr> {
    let place = usize::try_from(hops.checked_sub(1)?).ok()?;
    let list = fields.get(&X_FORWARDED_FOR)?.to_str().ok()?;
    list.rsplit(',').nth(place)?.trim().parse().ok()
}

/// Appends to the list in the field, as Envoy writes it: without a space.
fn append_xff(fields: &mut HeaderMap, address: IpAddr) {
    let value = match fields.get(&X_FORWARDED_FOR).and_then(|value| value.to_str().ok()) {
        Some(list) if !list.is_empty() => format!("{list},{address}"),
        _ => address.to_string(),
    };
    if let Ok(value) = HeaderValue::from_str(&value) {
        fields.insert(X_FORWARDED_FOR, value);
    }
}
