//! Who says where a client is.

use http::{HeaderName, StatusCode};
use ipnet::IpNet;
use serde::{Serialize, Serializer};

/// Somebody who may know where a client is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum IpDetection {
    /// The proxies that have named it in `x-forwarded-for`.
    ForwardedFor {
        /// Which of them.
        trusted: TrustedProxies,
        /// The peer's address is not appended. Default true.
        skip_append: bool,
    },
    /// A header.
    Header {
        /// Its name.
        #[serde(serialize_with = "write_name")]
        name: HeaderName,
        /// What it says tells internal clients from others. Default false.
        trusted: bool,
        /// Requests that it says nothing about are answered like this. Default: somebody else is asked.
        #[serde(serialize_with = "write_status")]
        reject: Option<StatusCode>,
    },
}

/// Which proxies are believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum TrustedProxies {
    /// So many, beside the peer.
    Hops(u32),
    /// Those at these addresses, the peer among them.
    At(Vec<IpNet>),
}

fn write_name<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

fn write_status<S: Serializer>(status: &Option<StatusCode>, serializer: S) -> Result<S::Ok, S::Error> {
    status.map(|status| status.as_u16()).serialize(serializer)
}
