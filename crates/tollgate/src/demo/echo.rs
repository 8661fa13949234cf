//! An upstream that answers with the request it got, as httpbin's `/headers` and `/get` do.

use std::{collections::BTreeMap, net::SocketAddr};

use hyper::{Method, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::json;

/// Values by name.
type Lists = BTreeMap<String, Vec<String>>;

/// Answers one request of a client at `peer`.
pub(crate) fn answer<B>(request: &Request<B>, peer: SocketAddr) -> Response<String> {
    let body = match request.uri().path() {
        "/headers" => json!({ "headers": headers(request) }),
        "/get" => json!({
            "args": arguments(request.uri().query().unwrap_or_default()),
            "headers": headers(request),
            "method": request.method().as_str(),
            "origin": origin(request, peer),
            "url": url(request),
        }),
        path => return text(StatusCode::NOT_FOUND, format!("nothing at {path}; try /headers or /get\n")),
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD only\n".to_owned());
    }
    response(StatusCode::OK, "application/json; charset=utf-8", format!("{body:#}\n"))
}

fn text(status: StatusCode, body: String) -> Response<String> {
    response(status, "text/plain; charset=utf-8", body)
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

fn headers<B>(request: &Request<B>) -> Lists {
    let mut headers = Lists::new();
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(canonical(name.as_str())).or_default().push(value);
    }
    headers
}

/// `x-request-id` as Go writes it: `X-Request-Id`.
fn canonical(name: &str) -> String {
    let mut after_dash = true;
    name.chars()
        .map(|letter| {
            let letter = if after_dash { letter.to_ascii_uppercase() } else { letter };
            after_dash = letter == '-';
            letter
        })
        .collect()
}

fn arguments(query: &str) -> Lists {
    let mut arguments = Lists::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        arguments.entry(decode(name)).or_default().push(decode(value));
    }
    arguments
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// The first address that a proxy noted, else the peer.
fn origin<B>(request: &Request<B>, peer: SocketAddr) -> String {
    let forwarded = request.headers().get("x-forwarded-for").and_then(|value| value.to_str().ok());
    match forwarded.and_then(|list| list.split(',').next()).map(str::trim) {
        Some(address) if !address.is_empty() => address.to_owned(),
        _ => peer.ip().to_string(),
    }
}

fn url<B>(request: &Request<B>) -> String {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let scheme = header("x-forwarded-proto").unwrap_or("http");
    format!("{scheme}://{}{}", header("host").unwrap_or_default(), request.uri())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn get(uri: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let answer = answer(&request.body(()).unwrap(), "192.0.2.7:50000".parse().unwrap());
        (answer.status(), answer.into_body())
    }

    #[test]
    fn headers_come_back_as_lists_under_go_names() {
        let (status, body) =
            get("/headers", &[("host", "a.example"), ("x-request-id", "1"), ("x-two", "a"), ("x-two", "b")]);
        assert_eq!(status, StatusCode::OK);
        let expected =
            json!({"headers": {"Host": ["a.example"], "X-Request-Id": ["1"], "X-Two": ["a", "b"]}});
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    }

    #[test]
    fn get_tells_the_rest_of_the_request() {
        let fields = [("host", "a.example"), ("x-forwarded-for", "198.51.100.1, 10.0.0.1")];
        let (_, body) = get("/get?a=1&a=2%20x+y&b", &fields);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["args"], json!({"a": ["1", "2 x y"], "b": [""]}));
        assert_eq!(body["method"], "GET");
        assert_eq!(body["origin"], "198.51.100.1");
        assert_eq!(body["url"], "http://a.example/get?a=1&a=2%20x+y&b");
        let (_, body) = get("/get", &[]);
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["origin"], "192.0.2.7");
    }

    #[test]
    fn nothing_else_is_there() {
        assert_eq!(get("/", &[]).0, StatusCode::NOT_FOUND);
        let post = Request::post("/headers").body(()).unwrap();
        assert_eq!(
            answer(&post, "192.0.2.7:50000".parse().unwrap()).status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
    }
}
