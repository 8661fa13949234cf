use super::*;

fn all(name: &str, domains: &[&str]) -> Arc<VirtualHost> {
    virtual_host(name, domains, vec![route(name, on_path(prefix("/")))])
}

fn chosen<'a>(table: &'a RouteConfiguration, authority: &str) -> &'a str {
    table.find(&request(authority, "/"), RequestFacts::default()).map_or("", |found| &found.virtual_host.name)
}

/// EN-10.
#[test]
fn most_specific_domain_wins() {
    let table = table(
        vec![
            all("exact", &["foo.com", "EXACT.com"]),
            all("port", &["foo.com:81"]),
            all("suffix", &["*.foo.com"]),
            all("longer suffix", &["*.bar.foo.com"]),
            all("dash suffix", &["*-bar.foo.com"]),
            all("prefix", &["foo.*"]),
            all("longer prefix", &["foo.com.*"]),
            all("default", &["*"]),
        ],
        false,
    );
    for (authority, expected) in [
        ("foo.com", "exact"),
        ("FOO.com", "exact"),
        ("exact.COM", "exact"),
        ("foo.com:81", "port"),
        ("foo.com:82", "prefix"),
        ("a.foo.com", "suffix"),
        ("A.FOO.com", "suffix"),
        ("a.bar.foo.com", "longer suffix"),
        ("a-bar.foo.com", "dash suffix"),
        ("-bar.foo.com", "suffix"),
        (".foo.com", "default"),
        ("foo.org", "prefix"),
        ("foo.", "default"),
        ("foo.com.", "prefix"),
        ("foo.com.au", "longer prefix"),
        ("x.foo.com:8080", "default"),
        ("", "default"),
        ("[::1]:80", "default"),
    ] {
        assert_eq!(chosen(&table, authority), expected, "{authority}");
    }
}

/// EN-10: the port of the request does not count, that of a domain stays.
#[test]
fn port_can_be_ignored() {
    let hosts = || {
        vec![
            all("exact", &["foo.com"]),
            all("suffix", &["*.foo.com"]),
            all("port", &["bar.com:81"]),
            all("v6", &["[::1]"]),
        ]
    };
    let ignoring = table(hosts(), true);
    for (authority, expected) in [
        ("foo.com:1", "exact"),
        ("foo.com:", "exact"),
        ("foo.com:x", "exact"),
        ("a.foo.com:1", "suffix"),
        ("bar.com:81", ""),
        ("bar.com", ""),
        ("[::1]:80", "v6"),
        ("[::1]", "v6"),
    ] {
        assert_eq!(chosen(&ignoring, authority), expected, "{authority}");
    }
    assert_eq!(chosen(&table(hosts(), false), "foo.com:1"), "");
}

#[test]
fn without_default_nothing_is_found() {
    assert_eq!(chosen(&table(vec![all("only", &["only.com"])], false), "other.com"), "");
}

#[test]
fn equal_domains_are_refused() {
    for (first, second) in [("a.com", "A.com"), ("*", "*"), ("*.a.com", "*.A.com"), ("a.*", "a.*")] {
        let error = VirtualHosts::new(vec![all("one", &[first]), all("two", &[second])]).unwrap_err();
        assert_eq!((error.first.as_str(), error.second.as_str()), ("one", "two"), "{first}");
    }
}

/// Every one of ten thousand hosts is found.
#[test]
fn ten_thousand_hosts() {
    let hosts = (0..10_000)
        .map(|number| {
            let domain = match number % 3 {
                0 => format!("host-{number}.test"),
                1 => format!("*.zone-{number}.test"),
                _ => format!("name-{number}.*"),
            };
            all(&number.to_string(), &[&domain])
        })
        .collect();
    let table = table(hosts, false);
    for number in 0..10_000 {
        let authority = match number % 3 {
            0 => format!("host-{number}.test"),
            1 => format!("any.zone-{number}.test"),
            _ => format!("name-{number}.test"),
        };
        assert_eq!(chosen(&table, &authority), number.to_string(), "{authority}");
    }
    assert_eq!(chosen(&table, "host-10000.test"), "");
}
