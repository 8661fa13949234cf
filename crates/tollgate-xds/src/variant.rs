//! The two forms of the protocol, for one kind of resource each: what to ask for, and what to answer.

pub(crate) mod delta;
pub(crate) mod sotw;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::proto::Status;

/// What is wanted of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything there is.
    All,
    /// These; nothing is asked for before there is a name.
    Names(BTreeSet<String>),
}

impl Wanted {
    /// Nothing.
    pub(crate) fn nothing() -> Self {
        Self::Names(BTreeSet::new())
    }

    /// Whether a resource of that name is wanted.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) => names.contains(name),
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Names(names) if names.is_empty())
    }

    /// The names as requests list them: everything is an empty list.
    fn names(&self) -> Vec<String> {
        match self {
            Self::All => Vec::new(),
            Self::Names(names) => names.iter().cloned().collect(),
        }
    }
}

/// The longest reason that a refusal gives.
const LONGEST_REASON: usize = 4096;
/// `INTERNAL`, as Envoy has it.
const REFUSED: i32 = 13;

/// Why a response is refused, in a request.
fn status(reason: &str) -> Status {
    Status { code: REFUSED, message: reason[..reason.floor_char_boundary(LONGEST_REASON)].to_owned() }
}
