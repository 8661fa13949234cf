//! Extensions that say where a client is, one after the other.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode};
use tollgate_model::ip_detection::{IpDetection, TrustedProxies};

use super::forwarded::{X_FORWARDED_FOR, forwarded_for};

/// What an extension says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Detected {
    pub(super) address: IpAddr,
    /// It tells internal clients from others.
    pub(super) trusted: bool,
    /// The peer's address is appended to `x-forwarded-for`.
    pub(super) append: bool,
}

/// What the first extension says that knows anything. `None`: nobody does.
///
/// # Errors
/// The status of the answer to a request that may not pass.
pub(super) fn detect(
    extensions: &[IpDetection],
    fields: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<Option<Detected>, StatusCode> {
    for extension in extensions {
        let found = match extension {
            IpDetection::ForwardedFor { trusted, skip_append } => {
                let list = fields.get(&X_FORWARDED_FOR).and_then(|list| list.to_str().ok());
                let found = match trusted {
                    TrustedProxies::Hops(hops) => forwarded_for(fields, *hops),
                    TrustedProxies::At(ranges) => {
                        let is_trusted =
                            |address: &IpAddr| ranges.iter().any(|range| range.contains(address));
                        list.filter(|_| peer.as_ref().is_some_and(is_trusted))
                            .and_then(|list| last_untrusted(list, is_trusted))
                    }
                };
                // Of several addresses nobody knows who has written which.
                let only = list.is_some_and(|list| !list.contains(','));
                found.map(|address| Detected { address, trusted: only, append: !skip_append })
            }
            IpDetection::Header { name, trusted, reject } => {
                let said = fields.get(name).and_then(|value| value.to_str().ok()?.trim().parse().ok());
                match (said, reject) {
                    (None, Some(status)) => return Err(*status),
                    (said, _) => said.map(|address| Detected { address, trusted: *trusted, append: false }),
                }
            }
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The last address of a list that is not a trusted proxy's; the first one where all are. What is no address ends the list.
fn last_untrusted(list: &str, is_trusted: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
    let mut first = None;
    for entry in list.rsplit(',') {
        let address: IpAddr = entry.trim().parse().ok()?;
        if !is_trusted(&address) {
            return Some(address);
        }
        first = Some(address);
    }
    first
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn detected(extension: IpDetection, name: &'static str, value: &'static str) -> Option<String> {
        let fields: HeaderMap =
            std::iter::once((HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        let peer = Some("127.0.0.1".parse().unwrap());
        let detected = detect(&[extension], &fields, peer).unwrap();
        detected.map(|detected| detected.address.to_string())
    }

    #[test]
    fn proxies_are_passed_over() {
        let at = |ranges: &[&str]| IpDetection::ForwardedFor {
            trusted: TrustedProxies::At(ranges.iter().map(|range| range.parse().unwrap()).collect()),
            skip_append: true,
        };
        let of = |ranges: &[&str], list| detected(at(ranges), "x-forwarded-for", list);
        let trusted = ["127.0.0.0/8", "198.51.100.0/24"];
        assert_eq!(of(&trusted, "203.0.113.9, 192.0.2.1, 198.51.100.7").as_deref(), Some("192.0.2.1"));
        assert_eq!(of(&trusted, "198.51.100.1,198.51.100.7").as_deref(), Some("198.51.100.1"));
        assert_eq!(of(&trusted, "192.0.2.1, nobody, 198.51.100.7"), None);
        assert_eq!(of(&["10.0.0.0/8"], "192.0.2.1"), None, "the peer is not trusted");
    }

    #[test]
    fn a_header_may_be_a_must() {
        let header = |reject| IpDetection::Header {
            name: HeaderName::from_static("x-client"),
            trusted: false,
            reject,
        };
        assert_eq!(detected(header(None), "x-client", "192.0.2.9").as_deref(), Some("192.0.2.9"));
        assert_eq!(detected(header(None), "x-other", "192.0.2.9"), None);
        let refused = detect(&[header(Some(StatusCode::FORBIDDEN))], &HeaderMap::new(), None);
        assert_eq!(refused, Err(StatusCode::FORBIDDEN));
    }
}
