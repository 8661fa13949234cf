//! Routes that are read and not served: TLSRoute, TCPRoute and UDPRoute.

use super::route::{Parent, read_parents};
use crate::schema::{Schema, Value, bookkeeping, read};

/// A route of a kind that is not served.
#[derive(Debug)]
pub(crate) struct OtherRoute {
    pub(crate) parents: Vec<Parent>,
}

static SPEC: Schema = Schema {
    name: "RouteSpec",
    title: "TLSRoute, TCPRoute and UDPRoute",
    fields: &[
        read("parentRefs", "[]", "What the route would be attached to."),
        bookkeeping("hostnames"),
        bookkeeping("rules"),
        bookkeeping("useDefaultGateways"),
    ],
    unsupported: &[],
};

/// Reads a route of `namespace`.
pub(super) fn read_other_route(value: &Value<'_>, namespace: &str) -> Option<OtherRoute> {
    let spec = value.message(&SPEC)?;
    Some(OtherRoute { parents: read_parents(&spec, namespace) })
}
