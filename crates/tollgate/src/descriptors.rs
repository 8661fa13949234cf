//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as it may be raised: what most systems start with is for people, not for servers.
pub(crate) fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    if before.current == before.maximum {
        return;
    }
    let text = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    match setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum }) {
        Ok(()) => tracing::debug!(
            from = text(before.current),
            to = text(before.maximum),
            "the limit of open files was raised"
        ),
        Err(error) => {
            tracing::warn!(%error, limit = text(before.current), "the limit of open files cannot be raised");
        }
    }
}

/// How many connections clients may have, so that enough descriptors are left for everything else: connections to hosts,
/// files, the admin server. Otherwise clients that do nothing could keep the gateway from answering anybody.
pub(crate) fn most_connections() -> Option<u64> {
    getrlimit(Resource::Nofile).current.map(|limit| limit - limit / 4)
}
