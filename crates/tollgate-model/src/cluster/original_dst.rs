//! Clusters whose endpoints are where requests want to go.

use std::time::Duration;

use http::HeaderName;
use serde::{Serialize, Serializer};

use crate::metadata::MetadataKey;

/// How a request says which address it wants: its metadata come first, then its header, then the address that the client
/// wanted to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OriginalDst {
    /// The header with an address. Default: none is looked at.
    #[serde(serialize_with = "name", skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderName>,
    /// The dynamic metadata with an address. Default: none are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_key: Option<MetadataKey>,
    /// Stands for the port of whatever address it is. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_override: Option<u16>,
    /// Endpoints that had no request for so long are forgotten. Default 5 s.
    pub cleanup_interval: Duration,
}

impl Default for OriginalDst {
    fn default() -> Self {
        Self {
            header: None,
            metadata_key: None,
            port_override: None,
            cleanup_interval: Duration::from_secs(5),
        }
    }
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn name<S: Serializer>(name: &Option<HeaderName>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name.as_ref().map_or("", HeaderName::as_str))
}
