//! Access logs.

use std::sync::Arc;

use tollgate_model::access_log::AccessLog;

use crate::protobuf::Value;

/// Reads `access_log`.
pub(super) fn read_access_logs(values: &[Value<'_>]) -> Vec<Arc<AccessLog>> {
    for value in values {
        value.error("access logs are not supported yet");
    }
    Vec::new()
}
