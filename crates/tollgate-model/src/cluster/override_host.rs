//! Endpoints that filters have picked, as the endpoint picker protocol has it.

use http::HeaderName;
use serde::{Serialize, Serializer};

use crate::metadata::MetadataKey;

/// Where a request says which endpoints may have it: a list of `ip:port`, separated by commas. The first try goes to the
/// first one that the cluster has, each further try to the next. Without any left, the policy of the cluster chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverrideHost {
    /// Where such lists are; all of them are one list, in this order. Never empty.
    pub sources: Vec<OverrideHostSource>,
    /// The dynamic metadata that tell which endpoint was chosen, by whomever. Default: nobody is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_host_key: Option<MetadataKey>,
}

/// Where a list of endpoints is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum OverrideHostSource {
    /// In the first header of this name.
    Header(#[serde(serialize_with = "name")] HeaderName),
    /// In a string of dynamic metadata.
    Metadata(MetadataKey),
}

fn name<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}
