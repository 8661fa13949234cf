//! The algorithm of section 6.1.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::{
    name::{Name, NameError, Pseudo},
    refused::{Refused, RefusedReason},
    rules::{MutationRules, Operation},
    target::{Changes, Target},
    value,
};
use crate::messages;

/// What a mutation may do to the message at hand.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'p> {
    /// `mutation_rules`.
    pub rules: &'p MutationRules,
    /// Prefix of the proxy's own headers, normally `x-envoy` (M-15.7).
    pub header_prefix: &'p str,
    /// The reply's status is CONTINUE_AND_REPLACE, which frees `:method` (M-11).
    pub replace_message: bool,
    /// The direction removes `content-length`, so setting it is skipped without counting (M-4.2, 7.7).
    pub content_length_removed: bool,
    /// Most entries the message may have, pseudo-headers included, and most removals and most sets in one mutation
    /// (M-1, M-8). Envoy's default: 100.
    pub max_count: usize,
    /// Most bytes the names and values of the message may have (M-8). Envoy's defaults: 60 KiB for requests, 80 KiB for
    /// responses.
    pub max_bytes: usize,
}

/// A mutation that was carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Operations that were ignored; each counts `rejected_header_mutations` (M-10).
    pub ignored: u32,
    /// Whether anything was set, or removed that was there.
    pub changed: bool,
    /// The name in the first operation that was ignored, fit for a log.
    pub header: Option<Box<str>>,
}

/// Applies a mutation to a message (6.1): all removals in order, then all sets in order.
///
/// # Errors
/// When the mutation is refused as a whole (M-9). What was done before stays done.
pub fn apply(
    mutation: &messages::HeaderMutation,
    target: Target<'_>,
    policy: &Policy<'_>,
) -> Result<Applied, Refused> {
    let operations = mutation.remove_headers.len().max(mutation.set_headers.len());
    if operations > policy.max_count {
        return Err(Refused::new(RefusedReason::OperationCountExceedsLimit, 0));
    }
    run(target, policy, |run| {
        mutation.remove_headers.iter().try_for_each(|name| run.remove(name))?;
        mutation.set_headers.iter().try_for_each(|option| {
            let append = option.append.is_some_and(|append| append.value);
            option.header.as_ref().map_or(Ok(()), |header| run.set(header, append))
        })
    })
}

/// Runs operations on a target, then checks the result against the limits.
pub(super) fn run(
    mut target: Target<'_>,
    policy: &Policy<'_>,
    operations: impl FnOnce(&mut Run<'_>) -> Result<(), RefusedReason>,
) -> Result<Applied, Refused> {
    let mut run = Run {
        changes: Changes::new(&mut target, policy.header_prefix),
        policy,
        applied: Applied::default(),
        refused_by: None,
    };
    let outcome = operations(&mut run);
    let Run { applied, refused_by, changes, .. } = run;
    let finished = changes.finish();
    let refused = |reason| Refused::new(reason, applied.ignored);
    outcome.map_err(|reason| Refused { header: refused_by, ..refused(reason) })?;
    finished.map_err(|_| refused(RefusedReason::ResultExceedsLimit))?;
    let (count, bytes) = target.size();
    if count > policy.max_count || bytes > policy.max_bytes {
        return Err(refused(RefusedReason::ResultExceedsLimit));
    }
    Ok(applied)
}

/// Operations under way.
#[derive(Debug)]
pub(super) struct Run<'r> {
    changes: Changes<'r>,
    policy: &'r Policy<'r>,
    applied: Applied,
    /// The name in the operation that was refused.
    refused_by: Option<Box<str>>,
}

impl Run<'_> {
    /// M-3.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), RefusedReason> {
        let parsed = match Name::parse(name) {
            Ok(name) => name,
            // No message has such a header.
            Err(NameError::Empty | NameError::TooLong) => return Ok(()),
            Err(NameError::InvalidCharacter) => {
                return self.refuse(RefusedReason::RemoveContainsInvalidCharacter, name);
            }
        };
        if !self.policy.rules.allows(Operation::Remove, parsed.as_str(), self.policy.header_prefix) {
            return self.forbidden(RefusedReason::RemoveHeadersFailed, name);
        }
        self.applied.changed |= self.changes.remove(&parsed);
        Ok(())
    }

    /// M-4.2 to M-4.7.
    pub(super) fn set(&mut self, header: &messages::HeaderValue, append: bool) -> Result<(), RefusedReason> {
        if self.policy.content_length_removed && header.key.eq_ignore_ascii_case("content-length") {
            return Ok(());
        }
        let Ok(value) = HeaderValue::from_maybe_shared(value_of(header)) else {
            return self.refuse(RefusedReason::SetContainsInvalidCharacter, &header.key);
        };
        let name = match Name::parse(&header.key) {
            Ok(name) => name,
            Err(NameError::InvalidCharacter) => {
                return self.refuse(RefusedReason::SetContainsInvalidCharacter, &header.key);
            }
            Err(NameError::TooLong) => return self.refuse(RefusedReason::ResultExceedsLimit, &header.key),
            Err(NameError::Empty) => return self.forbidden(RefusedReason::SetHeadersFailed, &header.key),
        };
        if !self.allows(&name, &value, append) || self.changes.set(&name, value, append).is_err() {
            return self.forbidden(RefusedReason::SetHeadersFailed, &header.key);
        }
        self.applied.changed = true;
        Ok(())
    }

    /// The status of a response the processor makes, which no rule forbids (S-3).
    pub(super) fn status(&mut self, header: &messages::HeaderValue) -> Result<StatusCode, RefusedReason> {
        let value = value_of(header);
        if HeaderValue::from_maybe_shared(value.clone()).is_err() {
            return self.refuse(RefusedReason::SetContainsInvalidCharacter, &header.key);
        }
        self.applied.changed = true;
        match value::status(&value) {
            Some(status) => Ok(status),
            None => self.refuse(RefusedReason::SetHeadersFailed, &header.key),
        }
    }

    fn allows(&self, name: &Name<'_>, value: &HeaderValue, append: bool) -> bool {
        if self.policy.replace_message && matches!(name, Name::Pseudo(Pseudo::Method, _)) {
            return true;
        }
        let operation =
            if append && self.changes.contains(name) { Operation::Append } else { Operation::Set };
        self.policy.rules.allows(operation, name.as_str(), self.policy.header_prefix)
            && value::is_allowed(name, value.as_bytes())
    }

    /// M-17.
    fn forbidden(&mut self, reason: RefusedReason, name: &str) -> Result<(), RefusedReason> {
        if self.policy.rules.disallow_is_error {
            return self.refuse(reason, name);
        }
        self.applied.ignored += 1;
        self.applied.header.get_or_insert_with(|| fit_for_a_log(name));
        Ok(())
    }

    fn refuse<T>(&mut self, reason: RefusedReason, name: &str) -> Result<T, RefusedReason> {
        self.refused_by = Some(fit_for_a_log(name));
        Err(reason)
    }
}

/// A name of the processor's choice, without what would disturb a log line.
fn fit_for_a_log(name: &str) -> Box<str> {
    const LONGEST: usize = 100;
    let mut text: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if name.chars().nth(LONGEST).is_some() {
        text.push_str("...");
    }
    text.into()
}

/// `raw_value`, or, if that is empty, `value` (decision 1).
fn value_of(header: &messages::HeaderValue) -> Bytes {
    if header.raw_value.is_empty() {
        Bytes::copy_from_slice(header.value.as_bytes())
    } else {
        header.raw_value.clone()
    }
}
