//! The ext_proc protocol without I/O: messages, wire codec, header and body mutation, processing modes, and the
//! exchange state machine.

pub mod attributes;
pub mod codec;
pub mod exchange;
mod forward;
mod header_map;
mod http_message;
pub mod log;
pub mod matching;
pub mod messages;
pub mod metadata;
mod mode;
pub mod mutation;
mod plan;
mod slices;

pub use attributes::Attributes;
pub use forward::ForwardRules;
pub use header_map::remove_fields;
pub use http_message::{Direction, Messages, RequestHeaders, ResponseHeaders};
pub use mode::{BodySendMode, HeaderSendMode, ProcessingMode, UndefinedMode};
pub use mutation::MutationRules;
pub use plan::{MetadataNamespaces, MetadataOptions, Plan, RouteCacheAction};
pub use slices::Slices;
