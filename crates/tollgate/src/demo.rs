//! What the demo runs beside the gateway, and the configuration that connects it.

pub(crate) mod configuration;
pub(crate) mod echo;
