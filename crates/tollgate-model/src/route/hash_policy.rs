//! What of a request is hashed, where its cluster chooses endpoints by a hash.

use std::time::Duration;

use serde::Serialize;

use crate::{header::FieldName, matching::Substitution};

/// A part of a request that is hashed. The hashes of all are put together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HashPolicy {
    /// The part.
    pub source: HashSource,
    /// If there is a hash by now, the policies behind this one do not count. Default false.
    pub terminal: bool,
}

/// What is hashed. What a request does not have is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum HashSource {
    /// All values of a header, in alphabetical order.
    Header {
        /// Its name; that of a pseudo-header, too.
        name: FieldName,
        /// What is done with each value before.
        rewrite: Option<Substitution>,
    },
    /// A cookie.
    Cookie(CookieHash),
    /// The client's address without its port.
    SourceIp,
    /// The first value of a parameter in the query, as it is written.
    QueryParameter(String),
}

/// A cookie that is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CookieHash {
    /// Its name.
    pub name: String,
    /// A client that has none gets one for so long, 0 = as long as its browser runs. `None`: it gets none.
    pub ttl: Option<Duration>,
    /// The path of the cookie that it gets; empty = none is said.
    pub path: String,
    /// Further attributes of that cookie: name and value, which may be empty.
    pub attributes: Vec<(String, String)>,
}
