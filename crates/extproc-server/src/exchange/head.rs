//! Heads: from the protocol's to those of `http`, and the difference between two.

use bytes::Bytes;
use extproc::{
    Direction,
    messages::{self, BoolValue, HeaderMutation, HeaderValueOption},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request, response,
    uri::{self, Authority, PathAndQuery, Scheme},
};

use super::shown::{Field, Shown};
use crate::{BoxError, Code, Status};

const LENGTH: &str = "content-length";

/// All fields but pseudo-headers.
pub(crate) fn fields(shown: &Shown) -> Result<HeaderMap, BoxError> {
    let mut fields = HeaderMap::with_capacity(shown.len());
    for field in shown.iter().filter(|field| !field.is_pseudo()) {
        let name = HeaderName::from_bytes(field.name())?;
        fields.append(name, HeaderValue::from_maybe_shared(field.shared_value())?);
    }
    Ok(fields)
}

fn unreadable(error: &BoxError) -> BoxError {
    Status::new(Code::InvalidArgument, format!("the head of the message cannot be read: {error}")).into()
}

/// What stands in the place of a head that the gateway does not show.
pub(crate) fn hidden(direction: Direction) -> Shown {
    match direction {
        Direction::Request => Shown::from([(":method", "GET"), (":path", "/")]),
        Direction::Response => Shown::from([(":status", "200")]),
    }
}

/// The head of a request.
pub(crate) fn request(shown: &Shown) -> Result<request::Parts, BoxError> {
    read_request(shown).map_err(|error| unreadable(&error))
}

fn read_request(shown: &Shown) -> Result<request::Parts, BoxError> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    let mut uri = uri::Parts::default();
    let (mut method, mut scheme) = (None, None);
    for field in shown.iter().take_while(Field::is_pseudo) {
        // The first of several counts.
        match field.name() {
            b":method" if method.is_none() => method = Some(Method::from_bytes(field.value())?),
            b":authority" if uri.authority.is_none() => {
                uri.authority = Some(Authority::from_maybe_shared(field.shared_value())?);
            }
            b":path" if uri.path_and_query.is_none() => {
                uri.path_and_query = Some(PathAndQuery::from_maybe_shared(field.shared_value())?);
            }
            b":scheme" if scheme.is_none() => scheme = Some(field.value()),
            _ => {}
        }
    }
    parts.method = method.unwrap_or_default();
    if uri.authority.is_some() && uri.path_and_query.is_some() {
        uri.scheme = Some(scheme.map_or(Ok(Scheme::HTTP), Scheme::try_from)?);
    }
    if uri.authority.is_some() || uri.path_and_query.is_some() {
        parts.uri = Uri::from_parts(uri)?;
    }
    parts.headers = fields(shown)?;
    Ok(parts)
}

/// The head of a response.
pub(crate) fn response(shown: &Shown) -> Result<response::Parts, BoxError> {
    read_response(shown).map_err(|error| unreadable(&error))
}

fn read_response(shown: &Shown) -> Result<response::Parts, BoxError> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    if let Some(status) = shown.pseudo(":status") {
        parts.status = StatusCode::from_bytes(status.value())?;
    }
    parts.headers = fields(shown)?;
    Ok(parts)
}

/// What changes one head into another. `original` is what was shown; `length` whether `content-length` counts: it is not the
/// handler's business where the body is another one.
pub(crate) fn request_difference(
    original: &Shown,
    new: &request::Parts,
    length: bool,
) -> Option<HeaderMutation> {
    let mut mutation = HeaderMutation::default();
    let mut set = |name: &str, new: &[u8]| {
        let old = original.pseudo(name);
        if !new.is_empty() && old.is_none_or(|old| old.value() != new) {
            put(&mut mutation, name, Bytes::copy_from_slice(new), false);
        }
    };
    set(":method", new.method.as_str().as_bytes());
    // A head without a path has got one, too.
    let path = new.uri.path_and_query().map(PathAndQuery::as_str);
    if let Some(path) = path.filter(|path| *path != "/" || original.pseudo(":path").is_some()) {
        set(":path", path.as_bytes());
    }
    if let Some(authority) = new.uri.authority() {
        set(":authority", authority.as_str().as_bytes());
    }
    // A head without a scheme has got one, for an `http::Uri` must have it.
    if let (Some(scheme), Some(_)) = (new.uri.scheme_str(), original.pseudo(":scheme")) {
        set(":scheme", scheme.as_bytes());
    }
    fields_difference(original, &new.headers, length, &mut mutation);
    non_empty(mutation)
}

/// As [`request_difference`].
pub(crate) fn response_difference(
    original: &Shown,
    new: &response::Parts,
    length: bool,
) -> Option<HeaderMutation> {
    let mut mutation = HeaderMutation::default();
    let status = new.status.as_str().as_bytes();
    if original.pseudo(":status").is_none_or(|old| old.value() != status) {
        put(&mut mutation, ":status", Bytes::copy_from_slice(status), false);
    }
    fields_difference(original, &new.headers, length, &mut mutation);
    non_empty(mutation)
}

/// As [`request_difference`], of trailers.
pub(crate) fn trailers_difference(original: &Shown, new: &HeaderMap) -> Option<HeaderMutation> {
    let mut mutation = HeaderMutation::default();
    fields_difference(original, new, true, &mut mutation);
    non_empty(mutation)
}

fn non_empty(mutation: HeaderMutation) -> Option<HeaderMutation> {
    (!mutation.set_headers.is_empty() || !mutation.remove_headers.is_empty()).then_some(mutation)
}

/// The whole head of a response, for an answer of the processor's own. Its length is the gateway's business.
pub(crate) fn answer(new: &HeaderMap) -> Option<HeaderMutation> {
    let mut mutation = HeaderMutation::default();
    fields_difference(&Shown::default(), new, false, &mut mutation);
    non_empty(mutation)
}

/// The head of a response as the protocol writes it.
pub(crate) fn written(status: StatusCode, fields: &HeaderMap) -> messages::HeaderMap {
    let status = entry(":status", Bytes::copy_from_slice(status.as_str().as_bytes()));
    let mut map = written_fields(fields);
    map.headers.insert(0, status);
    map
}

/// Fields as the protocol writes them.
pub(crate) fn written_fields(fields: &HeaderMap) -> messages::HeaderMap {
    let entries =
        fields.iter().map(|(name, value)| entry(name.as_str(), Bytes::copy_from_slice(value.as_bytes())));
    messages::HeaderMap { headers: entries.collect() }
}

fn entry(key: &str, raw_value: Bytes) -> messages::HeaderValue {
    messages::HeaderValue { key: key.to_owned(), raw_value, ..Default::default() }
}

/// Per name: nothing if the values are equal; more values are appended; others are set; none is a removal.
fn fields_difference(original: &Shown, new: &HeaderMap, length: bool, mutation: &mut HeaderMutation) {
    let counts = |name: &[u8]| length || name != LENGTH.as_bytes();
    if let Some(added) = added(original, new) {
        // One that was there last may have more values now.
        let mut before = original.iter().next_back().map(|field| field.name());
        for (name, value) in added.filter(|(name, _)| counts(name.as_str().as_bytes())) {
            let name = name.as_str();
            put(mutation, name, value.clone(), before.replace(name.as_bytes()) == Some(name.as_bytes()));
        }
        return;
    }
    let mut known = 0;
    for (index, field) in original.iter().enumerate() {
        let same = |other: &Field<'_>| other.name() == field.name();
        if field.is_pseudo() || original.iter().take(index).any(|other| same(&other)) {
            continue;
        }
        // A name that `http` does not have cannot be in the new fields either: it stays.
        let Ok(name) = HeaderName::from_bytes(field.name()) else { continue };
        let is_there = new.contains_key(&name);
        known += usize::from(is_there);
        if !counts(field.name()) {
            continue;
        }
        let mut values = new.get_all(&name).iter();
        let is_prefix = original
            .iter()
            .skip(index)
            .filter(same)
            .all(|old| values.next().is_some_and(|new| new.as_bytes() == old.value()));
        let name = name.as_str();
        if is_prefix {
            values.for_each(|added| put(mutation, name, added.clone(), true));
        } else if is_there {
            let values = new.get_all(name).iter();
            values.enumerate().for_each(|(index, value)| put(mutation, name, value.clone(), index > 0));
        } else {
            mutation.remove_headers.push(name.to_owned());
        }
    }
    if known == new.keys_len() {
        return;
    }
    for name in new.keys() {
        let is_new = || !original.iter().any(|field| field.name() == name.as_str().as_bytes());
        if counts(name.as_str().as_bytes()) && is_new() {
            let values = new.get_all(name).iter();
            let name = name.as_str();
            values.enumerate().for_each(|(index, value)| put(mutation, name, value.clone(), index > 0));
        }
    }
}

/// What follows the fields that were there, if all of those are as they were: no name has to be looked for then.
fn added<'n>(
    original: &Shown,
    new: &'n HeaderMap,
) -> Option<impl Iterator<Item = (&'n HeaderName, &'n HeaderValue)>> {
    let mut fields = new.iter();
    for field in original.iter().filter(|field| !field.is_pseudo()) {
        let (name, new) = fields.next()?;
        if name.as_str().as_bytes() != field.name() || new.as_bytes() != field.value() {
            return None;
        }
    }
    Some(fields)
}

/// The bytes of a value.
trait IntoBytes {
    fn into_bytes(self) -> Bytes;
}

impl IntoBytes for Bytes {
    fn into_bytes(self) -> Bytes {
        self
    }
}

impl IntoBytes for HeaderValue {
    fn into_bytes(self) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }
}

fn put(mutation: &mut HeaderMutation, name: &str, value: impl IntoBytes, append: bool) {
    mutation.set_headers.push(HeaderValueOption {
        header: Some(entry(name, value.into_bytes())),
        append: append.then_some(BoolValue { value: true }),
        // What newer gateways look at instead of `append`.
        append_action: match append {
            true => messages::append_action::APPEND_IF_EXISTS_OR_ADD,
            false => messages::append_action::OVERWRITE_IF_EXISTS_OR_ADD,
        },
        ..Default::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map<const N: usize>(entries: [(&str, &str); N]) -> Shown {
        Shown::from(entries)
    }

    /// `=` sets, `+` appends, `-` removes.
    fn changes(mutation: Option<HeaderMutation>) -> Vec<String> {
        let Some(mutation) = mutation else { return Vec::new() };
        let set = mutation.set_headers.iter().map(|option| {
            let header = option.header.as_ref().unwrap();
            let sign = if option.append.is_some() { '+' } else { '=' };
            format!("{}{sign}{}", header.key, String::from_utf8_lossy(&header.raw_value))
        });
        set.chain(mutation.remove_headers.iter().map(|name| format!("-{name}"))).collect()
    }

    fn changed(change: impl FnOnce(&mut request::Parts)) -> Vec<String> {
        let original = map([
            (":authority", "example.com"),
            (":path", "/a?b"),
            (":method", "GET"),
            (":scheme", "https"),
            ("accept", "*/*"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("content-length", "5"),
        ]);
        let mut parts = request(&original).unwrap();
        assert_eq!(
            (parts.method.as_str(), parts.uri.to_string().as_str()),
            ("GET", "https://example.com/a?b")
        );
        change(&mut parts);
        changes(request_difference(&original, &parts, false))
    }

    #[test]
    fn only_what_differs_is_said() {
        assert_eq!(changed(|_| {}), [""; 0]);
        assert_eq!(changed(|head| head.headers.clear()), ["-accept", "-cookie"]);
        assert_eq!(
            changed(|head| drop(head.headers.insert("accept", "text/html".parse().unwrap()))),
            ["accept=text/html"]
        );
        assert_eq!(
            changed(|head| assert!(head.headers.append("cookie", "c=3".parse().unwrap()))),
            ["cookie+c=3"]
        );
        let shorter = |head: &mut request::Parts| drop(head.headers.insert("cookie", "a=1".parse().unwrap()));
        assert_eq!(changed(shorter), ["cookie=a=1"]);
        let twice = |head: &mut request::Parts| {
            head.headers.append("x-new", "1".parse().unwrap());
            head.headers.append("x-new", "2".parse().unwrap());
        };
        assert_eq!(changed(twice), ["x-new=1", "x-new+2"]);
        assert_eq!(changed(|head| head.uri = "https://example.com/other".parse().unwrap()), [":path=/other"]);
        assert_eq!(changed(|head| head.uri = "/other".parse().unwrap()), [":path=/other"]);
        assert_eq!(changed(|head| head.method = Method::POST), [":method=POST"]);
        let same = |head: &mut request::Parts| {
            head.headers.insert("x-new", "1".parse().unwrap());
            head.headers.append("x-new", "2".parse().unwrap());
            head.headers.insert("x-newer", "3".parse().unwrap());
        };
        assert_eq!(changed(same), ["x-new=1", "x-new+2", "x-newer=3"]);
        let original = map([(":method", "GET"), ("cookie", "a=1"), ("cookie", "b=2")]);
        let mut parts = request(&original).unwrap();
        parts.headers.append("cookie", "c=3".parse().unwrap());
        parts.headers.insert("x-new", "1".parse().unwrap());
        assert_eq!(changes(request_difference(&original, &parts, true)), ["cookie+c=3", "x-new=1"]);
        // A name that takes the place of another.
        let replaced = |head: &mut request::Parts| {
            head.headers.remove("accept");
            head.headers.insert("x-new", "1".parse().unwrap());
        };
        assert_eq!(changed(replaced), ["x-new=1", "-accept"]);
    }

    #[test]
    fn a_head_that_is_not_shown_differs_in_nothing() {
        let none = hidden(Direction::Request);
        let parts = request(&none).unwrap();
        assert_eq!((&parts.method, parts.uri.path()), (&Method::GET, "/"));
        assert_eq!(request_difference(&none, &parts, true), None);
        let none = hidden(Direction::Response);
        assert_eq!(response_difference(&none, &response(&none).unwrap(), true), None);
    }

    #[test]
    fn heads_that_http_does_not_have_are_errors() {
        for entry in [("x", "a\nb"), (":path", "/a b"), (":method", "G T"), ("a b", "c")] {
            let error = request(&map([entry])).unwrap_err();
            assert!(error.to_string().contains("the head of the message cannot be read"), "{error}");
        }
    }
}
