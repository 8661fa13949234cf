//! What the log says about requests.

use extproc::Direction;

use super::core::Core;
use crate::incident::Incident;

impl Core {
    /// Once in a while tells of a body that is too large for a filter that wants all of it.
    pub(super) fn report_too_large(&self, direction: Direction) {
        let Some(suppressed) = self.configuration.stats.http.admit(Incident::TooLarge) else { return };
        let direction = match direction {
            Direction::Request => "request",
            Direction::Response => "response",
        };
        tracing::warn!(
            listener = self.info.chain.listener.name,
            direction,
            limit_bytes = self.body_buffer_limit(),
            request_id = self.request_id(),
            suppressed,
            "a body is larger than what a filter may hold of it"
        );
    }

    /// Once in a while tells of a request without a route.
    pub(super) fn report_no_route(&self) {
        let Some(suppressed) = self.configuration.stats.http.admit(Incident::NoRoute) else { return };
        let request = &self.messages.request;
        tracing::warn!(
            listener = self.info.chain.listener.name,
            host = ?request.authority,
            path = ?request.path,
            suppressed,
            "a request has no route"
        );
    }

    pub(super) fn filter_name(&self, index: usize) -> Option<&str> {
        self.http().filter(index).map(|filter| filter.name.as_str())
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        self.messages.request.fields.get("x-request-id").and_then(|id| id.to_str().ok())
    }
}
