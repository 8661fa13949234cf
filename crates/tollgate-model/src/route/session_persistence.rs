//! Requests of one session go to one endpoint.

use std::time::Duration;

use http::HeaderName;
use serde::Serialize;

/// What tells the requests of a session. Its value names an endpoint; the first response of a session carries it, and the
/// client sends it with every further request. A value that names no endpoint of the cluster, or one that is not
/// healthy, is as good as none: an endpoint is chosen, and the response carries the new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum SessionPersistence {
    /// A cookie.
    Cookie {
        /// Its name.
        name: String,
        /// Its path; empty = the client's default. Requests outside of it do not belong to a session.
        path: String,
        /// How long the client keeps it; `None` = until the client ends its session.
        ttl: Option<Duration>,
    },
    /// A header field, of the request and of the response.
    Header {
        /// Its name.
        #[serde(serialize_with = "header_name")]
        name: HeaderName,
    },
}

fn header_name<S: serde::Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}
