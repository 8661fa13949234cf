//! Sessions of clients: what a request says about the endpoint it wants, and how a response tells it.
//!
//! Values are those of Envoy's stateful sessions: the endpoint's address in base64, in a cookie as a message with the
//! time at which it expires.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use extproc::RequestHeaders;
use http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use tollgate_model::route::{SessionPersistence, cookie, split_path};

use crate::base64;

/// What a request says about its session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Address of the endpoint it wants, if it named one.
    wanted: Option<String>,
}

impl Session {
    /// `None` if the request belongs to no session, whatever it says: it is outside of the cookie's path.
    pub(crate) fn of(
        persistence: &SessionPersistence,
        request: &RequestHeaders,
        now: SystemTime,
    ) -> Option<Self> {
        let wanted = match persistence {
            SessionPersistence::Header { name } => {
                let value = request.fields.get(name).and_then(|value| base64::decode(value.as_bytes()));
                value.and_then(|value| String::from_utf8(value).ok())
            }
            SessionPersistence::Cookie { name, path, .. } => {
                if !is_below(split_path(request.path.as_bytes()).0, path.as_bytes()) {
                    return None;
                }
                cookie(&request.fields, name).and_then(|value| address(&base64::decode(value)?, now))
            }
        };
        Some(Self { wanted })
    }

    /// Address of the endpoint it wants.
    pub(crate) fn wanted(&self) -> Option<&str> {
        self.wanted.as_deref()
    }

    /// Tells the client where its session is, unless it knows.
    pub(crate) fn tell(
        &self,
        persistence: &SessionPersistence,
        address: &str,
        fields: &mut HeaderMap,
        now: SystemTime,
    ) {
        if self.wanted() == Some(address) {
            return;
        }
        let (name, value) = match persistence {
            SessionPersistence::Header { name } => (name.clone(), base64::encode(address.as_bytes(), true)),
            SessionPersistence::Cookie { name, path, ttl } => {
                let value = base64::encode(&message(address, *ttl, now), true);
                let mut cookie = format!("{name}=\"{value}\"");
                if let Some(ttl) = ttl {
                    cookie.push_str(&format!("; Max-Age={}", ttl.as_secs()));
                }
                if !path.is_empty() {
                    cookie.push_str("; Path=");
                    cookie.push_str(path);
                }
                cookie.push_str("; HttpOnly");
                (SET_COOKIE, cookie)
            }
        };
        let Ok(value) = HeaderValue::try_from(value) else { return };
        // A map that is full keeps what it has.
        if name == SET_COOKIE {
            let _ = fields.try_append(name, value);
        } else {
            let _ = fields.try_insert(name, value);
        }
    }
}

/// Whether a path is that of a cookie or below it (RFC 6265, 5.1.4).
fn is_below(path: &[u8], cookie_path: &[u8]) -> bool {
    path.strip_prefix(cookie_path).is_some_and(|rest| {
        cookie_path.is_empty() || rest.is_empty() || cookie_path.ends_with(b"/") || rest.starts_with(b"/")
    })
}

const ADDRESS: u8 = 1 << 3 | 2;
const EXPIRES: u8 = 2 << 3;

/// The message of a cookie: the address, and when it expires, in seconds since 1970.
fn message(address: &str, ttl: Option<Duration>, now: SystemTime) -> Vec<u8> {
    let mut message = vec![ADDRESS];
    put_varint(&mut message, address.len() as u64);
    message.extend_from_slice(address.as_bytes());
    if let Some(ttl) = ttl {
        message.push(EXPIRES);
        put_varint(&mut message, seconds(now).saturating_add(ttl.as_secs()));
    }
    message
}

/// The address in the message of a cookie that has not expired; a plain address is as good.
fn address(message: &[u8], now: SystemTime) -> Option<String> {
    let Some(mut rest) = message.strip_prefix(&[ADDRESS]) else {
        return String::from_utf8(message.to_vec()).ok();
    };
    let length = usize::try_from(take_varint(&mut rest)?).ok()?;
    let (address, mut rest) = rest.split_at_checked(length)?;
    if let Some((&EXPIRES, expires)) = rest.split_first() {
        rest = expires;
        if take_varint(&mut rest)? <= seconds(now) {
            return None;
        }
    }
    String::from_utf8(address.to_vec()).ok()
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Method};

    use super::*;

    fn request(path: &'static str, fields: &[(&'static str, &str)]) -> RequestHeaders {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        RequestHeaders {
            method: Method::GET,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("a"),
            path: HeaderValue::from_static(path),
            fields,
        }
    }

    fn on(path: &str) -> SessionPersistence {
        let ttl = Some(Duration::from_secs(100));
        SessionPersistence::Cookie { name: "sess".to_owned(), path: path.to_owned(), ttl }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// As Envoy 1.39.3 writes and reads it.
    #[test]
    fn cookies() {
        let persistence = on("/p");
        let now = at(1_795_683_190);
        let session = Session::of(&persistence, &request("/p/1", &[]), now).unwrap();
        let mut fields = HeaderMap::new();
        session.tell(&persistence, "127.0.0.1:29912", &mut fields, now);
        assert_eq!(
            fields[SET_COOKIE],
            "sess=\"Cg8xMjcuMC4wLjE6Mjk5MTIQ2uef2AY=\"; Max-Age=100; Path=/p; HttpOnly"
        );
        for value in
            ["\"Cg8xMjcuMC4wLjE6Mjk5MTIQ2uef2AY=\"", "Cg8xMjcuMC4wLjE6Mjk5MTI=", "MTI3LjAuMC4xOjI5OTEy"]
        {
            let request =
                request("/p?x", &[("cookie", "a=b"), ("cookie", &format!("c=d; sess={value}; e=f"))]);
            let session = Session::of(&persistence, &request, now).unwrap();
            assert_eq!(session.wanted(), Some("127.0.0.1:29912"), "{value}");
            let mut fields = HeaderMap::new();
            session.tell(&persistence, "127.0.0.1:29912", &mut fields, now);
            assert!(fields.is_empty());
        }
    }

    #[test]
    fn cookies_of_no_use() {
        let later = at(1_795_683_290);
        let values =
            ["\"Cg8xMjcuMC4wLjE6Mjk5MTIQ2uef2AY=\"", "%", "", "Cv8=", "Cg8xMjc=", "CoCAgICAgICAgICAgA=="];
        for value in values {
            let request = request("/", &[("cookie", &format!("sess={value}"))]);
            let session = Session::of(&on("/"), &request, later).unwrap();
            assert_eq!(session.wanted().unwrap_or_default(), "", "{value}");
        }
        let other = request("/", &[("cookie", "sessx=MTI3; x=sess=MTI3")]);
        assert_eq!(Session::of(&on(""), &other, later).unwrap().wanted(), None);
    }

    #[test]
    fn paths() {
        for (path, cookie_path, inside) in [
            ("/p", "/p", true),
            ("/p/", "/p", true),
            ("/pp", "/p", false),
            ("/", "/p", false),
            ("/x", "/", true),
            ("/x", "", true),
            ("/p/x", "/p/", true),
        ] {
            assert_eq!(is_below(path.as_bytes(), cookie_path.as_bytes()), inside, "{path} {cookie_path}");
        }
        assert_eq!(Session::of(&on("/p"), &request("/pp", &[]), at(0)), None);
    }

    #[test]
    fn headers() {
        let persistence = SessionPersistence::Header { name: HeaderName::from_static("x-session") };
        let known = request("/", &[("x-session", "MTI3LjAuMC4xOjI5OTEx")]);
        let session = Session::of(&persistence, &known, at(0)).unwrap();
        assert_eq!(session.wanted(), Some("127.0.0.1:29911"));
        let mut fields = HeaderMap::new();
        session.tell(&persistence, "127.0.0.1:29911", &mut fields, at(0));
        assert!(fields.is_empty());
        session.tell(&persistence, "127.0.0.1:29912", &mut fields, at(0));
        assert_eq!(fields["x-session"], "MTI3LjAuMC4xOjI5OTEy");
    }
}
