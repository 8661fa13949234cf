//! Which names the admin server is asked by.
//!
//! A web page can have its own name resolve to any address and then read what is served there, as if it were its own
//! server (DNS rebinding). Such requests carry the name of the page.

use std::net::IpAddr;

use hyper::{Request, header::HOST, http::uri::Authority};

/// Names beside IP addresses and `localhost`.
#[derive(Debug, Default)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// These names, in any case.
    pub(super) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// The name that a request asks by, if it is none of ours. Browsers always send one.
    pub(super) fn foreign<B>(&self, request: &Request<B>) -> Option<String> {
        let of_target = request.uri().host();
        let fields = request.headers().get_all(HOST).iter();
        let of_fields = fields.map(|field| {
            let text = String::from_utf8_lossy(field.as_bytes()).into_owned();
            text.parse::<Authority>().map_or(text, |authority| authority.host().to_owned())
        });
        of_target.map(str::to_owned).into_iter().chain(of_fields).find(|host| !self.is_ours(host))
    }

    fn is_ours(&self, host: &str) -> bool {
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        address.parse::<IpAddr>().is_ok() || name == "localhost" || self.0.contains(&name)
    }

    /// What is said about a name that is none of ours.
    pub(super) fn refusal(host: &str) -> String {
        format!("\"{host}\" is not a name of this server; add it with --admin-host {host}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(hosts: &Hosts, host: &str) -> Option<String> {
        hosts.foreign(&Request::get("/config").header(HOST, host).body(()).unwrap())
    }

    #[test]
    fn pages_of_others_are_told_nothing() {
        let hosts = Hosts::new(&["Metrics.Example".to_owned()]);
        for ours in [
            "127.0.0.1",
            "10.0.0.7:15000",
            "[::1]:15000",
            "localhost",
            "LOCALHOST:80",
            "localhost.",
            "metrics.example:1",
        ] {
            assert_eq!(foreign(&hosts, ours), None, "{ours}");
        }
        for other in [
            "evil.example",
            "evil.example:15000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "a b",
        ] {
            assert!(foreign(&hosts, other).is_some(), "{other}");
        }
        let absolute = Request::get("http://evil.example/config").header(HOST, "localhost").body(()).unwrap();
        assert_eq!(hosts.foreign(&absolute).as_deref(), Some("evil.example"));
        assert_eq!(hosts.foreign(&Request::get("/config").body(()).unwrap()), None);
    }
}
