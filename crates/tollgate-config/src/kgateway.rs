//! The dialect of kgateway (section 4).

use crate::kubernetes::Kind;

/// The objects of this dialect.
#[derive(Debug, Default)]
pub(crate) struct Objects {}

pub(crate) const KINDS: &[Kind] = &[];
