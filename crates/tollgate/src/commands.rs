//! One module a command.

pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod processor;
pub(crate) mod run;
