//! The ext_proc protocol without I/O: messages, wire codec, header and body mutation, processing modes, and the
//! exchange state machine.

mod attributes;
mod forward;
mod http_message;
pub mod log;
pub mod messages;
mod mode;
mod mutation;
mod plan;

pub use attributes::Attributes;
pub use forward::ForwardRules;
pub use http_message::{Direction, Messages, RequestHeaders, ResponseHeaders};
pub use mode::{BodySendMode, HeaderSendMode, ProcessingMode, UndefinedMode};
pub use mutation::MutationRules;
pub use plan::{MetadataNamespaces, MetadataOptions, Plan, RouteCacheAction};
