//! Sample processors that come with Tollgate.

pub(crate) mod instructions;
pub(crate) mod mark;
