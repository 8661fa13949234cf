//! Headers of responses the processor gives itself (section 13).

use http::{HeaderMap, StatusCode};

use super::{
    apply::{Applied, Policy, apply, run},
    refused::{Refused, RefusedReason},
    rules::MutationRules,
    target::Target,
};
use crate::{http_message::ResponseHeaders, messages};

/// Most removals and most sets on a local reply. Envoy has no limit here.
const LOCAL_REPLY_MAX_COUNT: usize = 1_000;

/// Applies the header mutation of an immediate response to the reply as far as it is made: its status, and no fields
/// that depend on its body (I-4).
///
/// Afterwards the reply is completed: `content-length` is set from the body, `content-type` to `text/plain` unless
/// the mutation set one; without a body both are absent. That is why the status and `content-length` come out of here
/// unchanged and absent, whatever the mutation says.
///
/// # Errors
/// When the mutation was refused. The reply is sent all the same, with what was done before (I-4); the refusal counts
/// `rejected_header_mutations` as always.
pub fn apply_to_local_reply(
    mutation: &messages::HeaderMutation,
    reply: &mut ResponseHeaders,
    rules: &MutationRules,
    header_prefix: &str,
) -> Result<Applied, Refused> {
    let status = reply.status;
    let policy = Policy {
        rules,
        header_prefix,
        replace_message: false,
        content_length_removed: true,
        max_count: LOCAL_REPLY_MAX_COUNT,
        max_bytes: usize::MAX,
    };
    let outcome = apply(mutation, Target::Response(reply), &policy);
    reply.status = status;
    outcome
}

/// Why the headers of a streamed immediate response cannot be used (S-3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamedHeadersError {
    /// `:status` is missing: 502, body [`MISSING_STATUS_BODY`](Self::MISSING_STATUS_BODY).
    #[error("filter_removed_required_response_headers{{missing_required_header:_:status}}")]
    MissingStatus {
        /// Entries that were ignored; each counts `rejected_header_mutations`.
        ignored: u32,
    },
    /// Refused like a mutation; a `:status` that is no number of at least 200 is
    /// [`SetHeadersFailed`](RefusedReason::SetHeadersFailed).
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl StreamedHeadersError {
    /// Body of the local reply for a missing status.
    pub const MISSING_STATUS_BODY: &str = "missing required header: :status";
}

/// The response headers of a streamed immediate response: each entry is a set under the rules, `:status` always is
/// (S-3). Of the policy, `replace_message` and `content_length_removed` should be false.
///
/// # Errors
/// As [`StreamedHeadersError`] says.
pub fn streamed_headers(
    headers: &messages::HeaderMap,
    policy: &Policy<'_>,
) -> Result<(ResponseHeaders, Applied), StreamedHeadersError> {
    check_count(headers, policy)?;
    let mut response = ResponseHeaders { status: StatusCode::OK, fields: HeaderMap::new() };
    let mut status = None;
    let applied = run(Target::Response(&mut response), policy, |run| {
        headers.headers.iter().try_for_each(|header| {
            if header.key.eq_ignore_ascii_case(":status") {
                status = Some(run.status(header)?);
                return Ok(());
            }
            run.set(header, false)
        })
    })?;
    response.status = status.ok_or(StreamedHeadersError::MissingStatus { ignored: applied.ignored })?;
    Ok((response, applied))
}

/// The trailers of a streamed immediate response, under the rules of [`streamed_headers`] (S-5).
///
/// # Errors
/// When they are refused like a mutation.
pub fn streamed_trailers(
    trailers: &messages::HeaderMap,
    policy: &Policy<'_>,
) -> Result<(HeaderMap, Applied), Refused> {
    check_count(trailers, policy)?;
    let mut map = HeaderMap::new();
    let applied = run(Target::Trailers(&mut map), policy, |run| {
        trailers.headers.iter().try_for_each(|header| run.set(header, false))
    })?;
    Ok((map, applied))
}

fn check_count(headers: &messages::HeaderMap, policy: &Policy<'_>) -> Result<(), Refused> {
    if headers.headers.len() > policy.max_count {
        return Err(Refused::new(RefusedReason::OperationCountExceedsLimit, 0));
    }
    Ok(())
}
