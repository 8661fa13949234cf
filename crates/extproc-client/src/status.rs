//! How an exchange with a processor ended.

use std::fmt::{self, Write};

/// A gRPC status other than a clean end: what the processor said, or what the failure of its connection, its stream or
/// its answer amounts to (F-8, F-9, F-12, N-7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcStatus {
    /// The gRPC code. −1 if the processor sent something that is not one (F-12).
    pub code: i32,
    /// The message, as it was on the wire: percent-encoding is not decoded (F-12). May be empty.
    pub message: String,
    /// What happened on the HTTP level, in the words of response code details, e.g. `via_upstream`. May be empty.
    pub details: String,
}

impl GrpcStatus {
    /// The response code details of an exchange that fails with this status (F-8):
    /// `ext_proc_error_gRPC_error_<code>{<message>{<details>}}`, white space replaced by underscores.
    #[must_use]
    pub fn rcd(&self) -> String {
        let mut text = format!("ext_proc_error_gRPC_error_{}{{", self.code);
        // Writing to a string cannot fail.
        let _ = match (self.message.is_empty(), self.details.is_empty()) {
            (_, true) => write!(text, "{}}}", self.message),
            (true, false) => write!(text, "{}}}", self.details),
            (false, false) => write!(text, "{}{{{}}}}}", self.message, self.details),
        };
        text.chars().map(|c| if c.is_ascii_whitespace() { '_' } else { c }).collect()
    }
}

impl fmt::Display for GrpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gRPC error {}: {} ({})", self.code, self.message, self.details)
    }
}

impl std::error::Error for GrpcStatus {}

#[cfg(test)]
mod tests {
    use super::*;

    /// F-8, F-9: as observed on Envoy 1.39.3.
    #[test]
    fn response_code_details_are_envoys() {
        let rcd = |code, message: &str, details: &str| {
            GrpcStatus { code, message: message.to_owned(), details: details.to_owned() }.rcd()
        };
        assert_eq!(rcd(14, "x y", "via_upstream"), "ext_proc_error_gRPC_error_14{x_y{via_upstream}}");
        assert_eq!(rcd(-1, "", "via_upstream"), "ext_proc_error_gRPC_error_-1{via_upstream}");
        assert_eq!(
            rcd(14, "Cluster not available", ""),
            "ext_proc_error_gRPC_error_14{Cluster_not_available}"
        );
        assert_eq!(rcd(13, "", ""), "ext_proc_error_gRPC_error_13{}");
    }
}
