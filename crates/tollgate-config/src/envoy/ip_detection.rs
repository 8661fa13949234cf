//! `original_ip_detection_extensions`: who says where a client is.

use http::StatusCode;
use tollgate_model::ip_detection::{IpDetection, TrustedProxies};

use super::{
    cluster::TYPED_EXTENSION_CONFIG, header::read_header_name, listener::read_cidr_range,
    status::read_http_status,
};
use crate::schema::{Message, Schema, Value, read};

pub(super) static XFF_CONFIG: Schema = Schema {
    name: "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig",
    title: "",
    fields: &[
        read("xff_num_trusted_hops", "0", "Trusted proxies beside the peer."),
        read(
            "xff_trusted_cidrs",
            "",
            "Addresses of trusted proxies, the peer among them, instead of their number.",
        ),
        read("skip_xff_append", "true", "Do not add the peer address to `x-forwarded-for`."),
    ],
    unsupported: &[],
};

pub(super) static XFF_TRUSTED_CIDRS: Schema = Schema {
    name: "envoy.extensions.http.original_ip_detection.xff.v3.XffTrustedCidrs",
    title: "",
    fields: &[read("cidrs", "[]", "Addresses of trusted proxies.")],
    unsupported: &[],
};

pub(super) static CUSTOM_HEADER_CONFIG: Schema = Schema {
    name: "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig",
    title: "",
    fields: &[
        read("header_name", "", "The header that names the client's address. Required."),
        read(
            "allow_extension_to_set_address_as_trusted",
            "false",
            "What it says tells internal clients from others.",
        ),
        read(
            "reject_with_status",
            "",
            "Status of the answer where it says nothing, 403 unless it is an error; without it the next extension is asked.",
        ),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 3] = [&XFF_CONFIG, &XFF_TRUSTED_CIDRS, &CUSTOM_HEADER_CONFIG];

/// Reads the extensions of a connection manager.
pub(super) fn read_ip_detection(manager: &Message<'_>) -> Vec<IpDetection> {
    let extensions = manager.list("original_ip_detection_extensions");
    if let Some(first) = extensions.first() {
        for other in ["use_remote_address", "xff_num_trusted_hops"] {
            let is_set =
                manager.get(other).is_some_and(|value| !value.is_text("false") && !value.is_text("0"));
            if is_set {
                first.error(format!("original_ip_detection_extensions and {other} cannot be given together"));
            }
        }
    }
    extensions.iter().filter_map(read_extension).collect()
}

fn read_extension(value: &Value<'_>) -> Option<IpDetection> {
    let extension = value.message(&TYPED_EXTENSION_CONFIG)?;
    extension.required_string("name");
    let any = extension.required("typed_config")?.any()?;
    if any.type_name == XFF_CONFIG.name {
        let message = any.value.message(&XFF_CONFIG)?;
        let hops = message.u32("xff_num_trusted_hops").unwrap_or(0);
        let cidrs = message.message("xff_trusted_cidrs", &XFF_TRUSTED_CIDRS);
        if cidrs.is_some() && hops > 0 {
            any.value.error("\"xff_num_trusted_hops\" and \"xff_trusted_cidrs\" cannot be given together");
        }
        let at = cidrs.map(|cidrs| cidrs.list("cidrs").iter().filter_map(read_cidr_range).collect());
        let trusted = at.map_or(TrustedProxies::Hops(hops), TrustedProxies::At);
        return Some(IpDetection::ForwardedFor {
            trusted,
            skip_append: message.boolean("skip_xff_append", true),
        });
    }
    if any.type_name == CUSTOM_HEADER_CONFIG.name {
        let message = any.value.message(&CUSTOM_HEADER_CONFIG)?;
        let name = message.required("header_name").and_then(|name| read_header_name(&name, false));
        let status = message.get("reject_with_status").map(|status| read_http_status(&status));
        let reject = match status {
            None => None,
            Some(status) => Some(
                StatusCode::from_u16(status?)
                    .ok()
                    .filter(|status| status.is_client_error() || status.is_server_error())
                    .unwrap_or(StatusCode::FORBIDDEN),
            ),
        };
        let trusted = message.boolean("allow_extension_to_set_address_as_trusted", false);
        return Some(IpDetection::Header { name: name?, trusted, reject });
    }
    any.unsupported("detection of addresses", &[XFF_CONFIG.name, CUSTOM_HEADER_CONFIG.name]);
    None
}
