//! Targets: `host:port`, `dns:///host:port`, `ipv4:`, `ipv6:`, `unix:`.

use std::net::SocketAddr;

use tollgate_model::cluster::EndpointAddress;

/// The port of a target without one, as in the gRPC library.
const DEFAULT_PORT: u16 = 443;

/// Where a target is and how it is called by name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) addresses: Vec<EndpointAddress>,
    pub(super) authority: String,
    /// Name that the certificate has to be for.
    pub(super) host: String,
}

/// Reads a target; the error says what is wrong with it.
pub(super) fn parse_target(uri: &str) -> Result<Target, String> {
    let Some((scheme, rest)) = uri.split_once(':') else { return dns_target(uri) };
    match scheme {
        "dns" => match rest.strip_prefix("//") {
            None => dns_target(rest),
            Some(with_server) => match with_server.split_once('/') {
                Some(("", name)) => dns_target(name),
                _ => Err(format!("\"{uri}\" names a DNS server; the system's is used")),
            },
        },
        "ipv4" | "ipv6" => {
            let addresses = rest
                .split(',')
                .map(|address| address_target(address, scheme == "ipv4"))
                .collect::<Result<Vec<_>, _>>()?;
            let host = addresses.first().map(|address| address.ip().to_string()).unwrap_or_default();
            Ok(Target {
                authority: rest.split(',').next().unwrap_or_default().to_owned(),
                addresses: addresses.into_iter().map(EndpointAddress::Socket).collect(),
                host,
            })
        }
        "unix" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() || rest.starts_with("//") && !path.starts_with('/') {
                return Err(format!("\"{uri}\" names no path"));
            }
            Ok(Target {
                addresses: vec![EndpointAddress::Pipe(path.into())],
                authority: "localhost".to_owned(),
                host: "localhost".to_owned(),
            })
        }
        "unix-abstract" | "vsock" | "xds" | "google-c2p" => {
            Err(format!("targets of the scheme \"{scheme}\" are not supported"))
        }
        _ => dns_target(uri),
    }
}

/// `host`, `host:port`, `address:port` or `[address]:port`.
fn dns_target(text: &str) -> Result<Target, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("\"{port}\" is not a port"))?)
        }
        _ => (text, DEFAULT_PORT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        return Err(format!("\"{text}\" is not a target"));
    }
    let address = match host.parse() {
        Ok(ip) => EndpointAddress::Socket(SocketAddr::new(ip, port)),
        Err(_) => EndpointAddress::Dns { host: host.to_owned(), port },
    };
    Ok(Target { addresses: vec![address], authority: text.to_owned(), host: host.to_owned() })
}

fn address_target(text: &str, ipv4: bool) -> Result<SocketAddr, String> {
    let problem = || format!("\"{text}\" is not an address");
    let with_port = text.parse::<SocketAddr>().ok();
    let bare = || {
        let ip = text.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        Some(SocketAddr::new(ip, DEFAULT_PORT))
    };
    with_port.or_else(bare).filter(|address| address.is_ipv4() == ipv4).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> (Vec<EndpointAddress>, String, String) {
        let Target { addresses, authority, host } = parse_target(uri).unwrap();
        (addresses, authority, host)
    }

    fn dns(host: &str, port: u16) -> Vec<EndpointAddress> {
        vec![EndpointAddress::Dns { host: host.into(), port }]
    }

    fn socket(address: &str) -> EndpointAddress {
        EndpointAddress::Socket(address.parse().unwrap())
    }

    #[test]
    fn every_form_of_a_target_is_read() {
        // EN-24
        let named =
            |authority: &str, port| (dns("a.example", port), authority.to_owned(), "a.example".to_owned());
        assert_eq!(target("a.example:80"), named("a.example:80", 80));
        assert_eq!(target("a.example"), named("a.example", 443));
        assert_eq!(target("dns:///a.example:80"), named("a.example:80", 80));
        assert_eq!(target("dns:a.example:80"), named("a.example:80", 80));
        assert_eq!(
            target("127.0.0.1:80"),
            (vec![socket("127.0.0.1:80")], "127.0.0.1:80".into(), "127.0.0.1".into())
        );
        assert_eq!(target("[::1]:80"), (vec![socket("[::1]:80")], "[::1]:80".into(), "::1".into()));
        assert_eq!(
            target("ipv4:127.0.0.1:80,127.0.0.2:81"),
            (vec![socket("127.0.0.1:80"), socket("127.0.0.2:81")], "127.0.0.1:80".into(), "127.0.0.1".into())
        );
        assert_eq!(target("ipv6:[::1]:80"), (vec![socket("[::1]:80")], "[::1]:80".into(), "::1".into()));
        let pipe = |path: &str| {
            (vec![EndpointAddress::Pipe(path.into())], "localhost".to_owned(), "localhost".to_owned())
        };
        assert_eq!(target("unix:run/x.sock"), pipe("run/x.sock"));
        assert_eq!(target("unix:///run/x.sock"), pipe("/run/x.sock"));
    }

    #[test]
    fn other_targets_are_refused() {
        let refused = [
            "dns://8.8.8.8/a.example",
            "unix:",
            "unix://x",
            "unix-abstract:x",
            "xds:///x",
            "a.example:http",
            "ipv4:[::1]:80",
            "ipv6:127.0.0.1:80",
            ":80",
            "a/b:80",
        ];
        for uri in refused {
            assert!(parse_target(uri).is_err(), "{uri}");
        }
    }
}
