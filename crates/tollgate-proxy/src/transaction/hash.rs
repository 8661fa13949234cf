//! The hash of a request, by which its cluster may choose the host.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use smallvec::SmallVec;
use tollgate_model::{
    header::FieldName,
    route::{CookieHash, HashSource, cookie, split_parameter, split_path},
};

use super::core::Core;
use crate::upstream::{HashedRequest, xx_hash};

impl HashedRequest for Core {
    /// The hashes of everything that the route names and the request has, put together as in Envoy.
    fn hash(&self) -> Option<u64> {
        let policies = &self.route_action()?.hash_policies;
        let mut hash: Option<u64> = None;
        for policy in policies {
            if let Some(new) = self.hash_of(&policy.source) {
                // Turned, so that the same part twice is not the same as nothing.
                hash = Some(hash.map_or(0, |hash| hash.rotate_left(1)) ^ new);
            }
            if policy.terminal && hash.is_some() {
                break;
            }
        }
        hash
    }
}

impl Core {
    fn hash_of(&self, source: &HashSource) -> Option<u64> {
        let request = &self.messages.request;
        match source {
            HashSource::Header { name, rewrite } => {
                let written: SmallVec<[&[u8]; 2]> = match name {
                    FieldName::Field(name) => {
                        request.fields.get_all(name).iter().map(HeaderValue::as_bytes).collect()
                    }
                    name => name.first_in_request(request).into_iter().collect(),
                };
                let mut values: SmallVec<[Cow<'_, [u8]>; 2]> = written
                    .into_iter()
                    .map(|value| match rewrite {
                        Some(rewrite) => rewrite.replace_all(value),
                        None => Cow::Borrowed(value),
                    })
                    .collect();
                values.sort_unstable();
                let hash = values.iter().fold(0, |seed, value| xx_hash(value, seed));
                (!values.is_empty()).then_some(hash)
            }
            HashSource::Cookie(policy) => {
                let known = cookie(&request.fields, &policy.name).filter(|value| !value.is_empty());
                match (known, policy.ttl) {
                    (Some(value), _) => Some(xx_hash(value, 0)),
                    (None, Some(_)) => Some(self.give_cookie(policy)),
                    (None, None) => None,
                }
            }
            HashSource::SourceIp => Some(xx_hash(self.info.remote_address?.ip().to_string().as_bytes(), 0)),
            HashSource::QueryParameter(name) => {
                let (_, query) = split_path(request.path.as_bytes());
                let mut parameters = query.split(|byte| *byte == b'&').map(split_parameter);
                parameters.find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| xx_hash(value, 0))
            }
        }
    }

    /// The client will get a cookie. Its value is the same for all requests of a connection, so that those that are under way
    /// at the same time go to the same host.
    fn give_cookie(&self, policy: &CookieHash) -> u64 {
        let connection = &self.info.connection;
        let addresses = [connection.remote_address, connection.local_address];
        let addresses: String = addresses.into_iter().flatten().map(|address| address.to_string()).collect();
        let value = format!("{:016x}", xx_hash(addresses.as_bytes(), 0));
        if let Ok(cookie) = HeaderValue::try_from(set_cookie(policy, &value)) {
            self.decision.cookies.borrow_mut().push(cookie);
        }
        xx_hash(value.as_bytes(), 0)
    }

    /// Gives the client its cookies with the response of an upstream.
    pub(super) fn tell_cookies(&self, fields: &mut HeaderMap) {
        for cookie in self.decision.cookies.borrow_mut().drain(..) {
            // A map that is full keeps what it has.
            let _ = fields.try_append(SET_COOKIE, cookie);
        }
    }
}

fn set_cookie(policy: &CookieHash, value: &str) -> String {
    let mut cookie = format!("{}=\"{value}\"", policy.name);
    let seconds = policy.ttl.map_or(0, |ttl| ttl.as_secs());
    if seconds > 0 {
        cookie.push_str(&format!("; Max-Age={seconds}"));
    }
    if !policy.path.is_empty() {
        cookie.push_str("; Path=");
        cookie.push_str(&policy.path);
    }
    for (name, value) in &policy.attributes {
        cookie.push_str("; ");
        cookie.push_str(name);
        if !value.is_empty() {
            cookie.push('=');
            cookie.push_str(value);
        }
    }
    cookie.push_str("; HttpOnly");
    cookie
}
