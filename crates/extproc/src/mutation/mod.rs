//! Header mutation (section 6): what a processor may change, and how a change is made.

mod apply;
mod fields;
mod local_reply;
mod name;
mod refused;
mod rules;
mod single_entry;
mod target;
mod value;

#[cfg(test)]
mod tests;

pub use apply::{Applied, Policy, apply};
pub use local_reply::{StreamedHeadersError, apply_to_local_reply, streamed_headers, streamed_trailers};
pub use refused::{Refused, RefusedReason};
pub use rules::{MutationRules, Operation};
pub use single_entry::is_single_entry;
pub use target::{Side, Target};
