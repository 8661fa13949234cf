//! The request that is asked about.

use std::net::IpAddr;

use extproc::RequestHeaders;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

/// The request that is asked about.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) head: RequestHeaders,
    /// Without port, lower case.
    pub(crate) host: String,
    /// The host, if it is an address.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    uri: Uri,
}

impl Question {
    /// Reads `[METHOD] URL [-H 'name: value']...`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let mut fields = HeaderMap::new();
        let mut rest = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word != "-H" && word != "--header" {
                rest.push(word.as_str());
                continue;
            }
            let field = words.next().ok_or("-H needs a header, 'name: value'")?;
            let (name, value) =
                field.split_once(':').ok_or_else(|| format!("\"{field}\" is not 'name: value'"))?;
            let name =
                HeaderName::try_from(name.trim()).map_err(|_| format!("\"{name}\" names no header"))?;
            let value =
                HeaderValue::from_str(value.trim()).map_err(|_| format!("\"{value}\" is no value"))?;
            fields.append(name, value);
        }
        let (method, url) = match rest.as_slice() {
            [url] => ("GET", *url),
            [method, url] => (*method, *url),
            _ => return Err("the request is [METHOD] URL [-H 'name: value']...".to_owned()),
        };
        let method = Method::try_from(method).map_err(|_| format!("\"{method}\" is no method"))?;
        let uri: Uri = match url.split_once("://") {
            Some((_, "")) => return Err(format!("\"{url}\" has no host")),
            _ => url.parse().map_err(|error| not_a_url(url, &error))?,
        };
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("\"{url}\" is not a URL: add http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| format!("\"{url}\" has no host"))?;
        let behind_host = authority.as_str().rsplit(['@', ']']).next().unwrap_or_default();
        if let Some((_, port)) = behind_host.rsplit_once(':')
            && !port.is_empty()
            && authority.port_u16().is_none()
        {
            return Err(format!("\"{port}\" is no port"));
        }
        let host_header = fields.remove(http::header::HOST);
        let default_port = if tls { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default_port);
        // Clients leave the port of the scheme out.
        let own = match port == default_port {
            true => authority.host().to_owned(),
            false => format!("{}:{port}", authority.host()),
        };
        let shown = host_header.as_ref().map_or(own.as_bytes(), HeaderValue::as_bytes);
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).map_err(|error| error.to_string());
        let host = authority.host().to_ascii_lowercase();
        Ok(Self {
            head: RequestHeaders {
                method,
                // HTTP/1.1 has none.
                scheme: HeaderValue::from_static(if tls { "https" } else { "" }),
                authority: value(shown)?,
                path: value(path.as_bytes())?,
                fields,
            },
            address: host.trim_start_matches('[').trim_end_matches(']').parse().ok(),
            host,
            port,
            tls,
            uri,
        })
    }

    /// `GET http://www.example.com/myapp`.
    pub(super) fn describe(&self) -> String {
        format!("{} {}", self.head.method, self.uri)
    }
}

fn not_a_url(url: &str, error: &impl std::fmt::Display) -> String {
    if url.contains("://") {
        format!("\"{url}\" is not a URL: {error}")
    } else {
        format!("\"{url}\" is not a URL: add http:// or https://")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[&str]) -> Result<Question, String> {
        Question::parse(&text.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_request_is_a_method_a_url_and_headers() {
        let asked = parse(&["POST", "https://A.example:8443/b?c", "-H", "x-a: 1"]).unwrap();
        assert_eq!((asked.host.as_str(), asked.port, asked.tls), ("a.example", 8443, true));
        assert_eq!(asked.head.path, "/b?c");
        assert_eq!(asked.head.fields["x-a"], "1");
        let asked = parse(&["http://a.example", "-H", "host: b.example"]).unwrap();
        assert_eq!((asked.head.authority.to_str().unwrap(), asked.port), ("b.example", 80));
        assert_eq!(asked.describe(), "GET http://a.example/");
        let authority = |url: &str| parse(&[url]).unwrap().head.authority;
        assert_eq!(authority("https://a.example:443"), "a.example");
        assert_eq!(authority("https://user@a.example:80"), "a.example:80");
        assert_eq!(authority("http://[::1]:80"), "[::1]");
        assert_eq!(asked.address, None);
        assert_eq!(parse(&["http://[::1]:80/"]).unwrap().address, Some("::1".parse().unwrap()));
        assert_eq!(parse(&["http://127.0.0.1"]).unwrap().address, Some("127.0.0.1".parse().unwrap()));
        for wrong in
            [&["a.example"][..], &[], &["GET"], &["ftp://a"], &["http://a", "-H"], &["http://a", "-H", "x"]]
        {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        let problem = |url| parse(&[url]).unwrap_err();
        assert_eq!(problem("http://a:99999/"), "\"99999\" is no port");
        assert_eq!(problem("http://[::1]:x/"), "\"x\" is no port");
        assert_eq!(authority("http://user:password@a.example:/"), "a.example");
        assert_eq!(problem("http://"), "\"http://\" has no host");
    }
}
