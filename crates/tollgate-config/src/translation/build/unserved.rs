//! What is translated and not yet served: it is never left out in silence. Each goes with the test that is ignored for it
//! (`crates/tollgate/tests/gateway_api/`) and its line in `docs/conformance.md`.

use super::Builder;
use crate::translation::Rule;

impl Builder<'_, '_> {
    pub(super) fn warn_of_unserved(&self, rule: &Rule) {
        let warn = |message: &str| self.translator.diagnostics.warning(&rule.place, message, None);
        if rule.filters.cors.is_some() {
            warn("filters of type CORS have no effect yet: requests go on to the backend");
        }
        if !rule.filters.mirrors.is_empty() {
            warn("filters of type RequestMirror have no effect yet: no copies are sent");
        }
    }
}
