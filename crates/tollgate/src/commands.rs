//! One module a command.

pub(crate) mod check;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod echo;
pub(crate) mod envoy;
pub(crate) mod explain;
pub(crate) mod processor;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod try_processor;
