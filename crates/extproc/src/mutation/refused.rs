//! Mutations that are refused as a whole (M-9).

use std::fmt;

use crate::log::ProcessingEffect;

/// Why a whole mutation is refused. The texts are the response code details (12.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedReason {
    /// More removals or more sets than the message may have headers (M-1).
    OperationCountExceedsLimit,
    /// A name to remove is no header name (M-3).
    RemoveContainsInvalidCharacter,
    /// A name or value to set is none (M-4.4).
    SetContainsInvalidCharacter,
    /// A forbidden set under `disallow_is_error` (M-17).
    SetHeadersFailed,
    /// A forbidden removal under `disallow_is_error` (M-17).
    RemoveHeadersFailed,
    /// The result has too many headers or bytes (M-8).
    ResultExceedsLimit,
}

impl RefusedReason {
    /// The response code details.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OperationCountExceedsLimit => "header_mutation_operation_count_exceeds_limit",
            Self::RemoveContainsInvalidCharacter => "header_mutation_remove_contains_invalid_character",
            Self::SetContainsInvalidCharacter => "header_mutation_set_contains_invalid_character",
            Self::SetHeadersFailed => "header_mutation_set_headers_failed",
            Self::RemoveHeadersFailed => "header_mutation_remove_headers_failed",
            Self::ResultExceedsLimit => "header_mutation_result_exceeds_limit",
        }
    }

    /// What the log shows for it (G-4).
    #[must_use]
    pub const fn effect(self) -> ProcessingEffect {
        match self {
            Self::OperationCountExceedsLimit | Self::ResultExceedsLimit => {
                ProcessingEffect::MutationRejectedSizeLimitExceeded
            }
            Self::RemoveContainsInvalidCharacter | Self::SetContainsInvalidCharacter => {
                ProcessingEffect::InvalidMutationRejected
            }
            Self::SetHeadersFailed | Self::RemoveHeadersFailed => ProcessingEffect::MutationFailed,
        }
    }
}

impl fmt::Display for RefusedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused mutation. What was done before the refusal stays done (M-4.4, I-4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Why.
    pub reason: RefusedReason,
    /// Operations ignored before it; each counts `rejected_header_mutations`, the refusal itself counts once more.
    pub ignored_before: u32,
    /// What the log shows (G-4): 2, 3 or 4.
    pub effect: ProcessingEffect,
    /// The name in the operation that was refused, fit for a log. `None` when no single operation is at fault.
    pub header: Option<Box<str>>,
}

impl Refused {
    pub(super) const fn new(reason: RefusedReason, ignored_before: u32) -> Self {
        Self { reason, ignored_before, effect: reason.effect(), header: None }
    }
}
