//! What an authorization service has answered.

use bytes::Bytes;
use extproc::{
    RequestHeaders, ResponseHeaders,
    messages::{Struct, Value},
    remove_fields,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tollgate_model::{
    filter::HttpAuthService,
    header::{AppendAction, FieldName},
    route::{split_parameter, split_path},
};

use super::{
    super::side_call::{Answer, grpc_message},
    check::matches,
    messages::{CheckResponse, DeniedHttpResponse, HeaderValueOption, OkHttpResponse},
};

/// The verdict about a request.
#[derive(Debug)]
pub(super) enum Verdict {
    Allowed(Box<Changes>),
    Denied(Refusal),
    /// The service failed; it may have said what the client is answered.
    Failed(Option<Refusal>),
    /// The service asks for what cannot be done.
    Invalid,
}

/// What the client is answered.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) body: Bytes,
    pub(super) metadata: Option<Struct>,
}

/// What is changed of a request that may pass.
#[derive(Debug, Default)]
pub(super) struct Changes {
    set: Vec<(FieldName, HeaderValue)>,
    /// Further values.
    add: Vec<(HeaderName, HeaderValue)>,
    /// Joined to the value that is there.
    append: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
    query_set: Vec<(String, String)>,
    query_remove: Vec<String>,
    /// Of the response.
    pub(super) response: Vec<(HeaderName, HeaderValue, AppendAction)>,
    pub(super) metadata: Option<Struct>,
}

/// The verdict of an answer over gRPC.
pub(super) fn of_grpc(answer: &Answer) -> Verdict {
    let Some(response) = grpc_message::<CheckResponse>(answer) else { return Verdict::Failed(None) };
    let metadata = response.dynamic_metadata.filter(|metadata| !metadata.fields.is_empty());
    if response.status.unwrap_or_default().code == 0 {
        let mut changes = Changes { metadata, ..Changes::default() };
        return match response.ok_response.map_or(Some(()), |ok| changes.take(ok)) {
            Some(()) => Verdict::Allowed(Box::new(changes)),
            None => Verdict::Invalid,
        };
    }
    if let Some(error) = response.error_response {
        return refusal(error, None).map_or(Verdict::Invalid, |refusal| Verdict::Failed(Some(refusal)));
    }
    let denied = response.denied_response.unwrap_or_default();
    refusal(denied, metadata).map_or(Verdict::Invalid, Verdict::Denied)
}

fn refusal(denied: DeniedHttpResponse, metadata: Option<Struct>) -> Option<Refusal> {
    let code = denied.status.unwrap_or_default().code;
    let status = match code {
        0 => StatusCode::FORBIDDEN,
        code => StatusCode::from_u16(u16::try_from(code).ok()?).ok()?,
    };
    let mut fields = HeaderMap::new();
    for option in denied.headers {
        let is_appended = option.append.unwrap_or_default().value;
        let (name, value) = option.field()?;
        let FieldName::Field(name) = name else { continue };
        if is_appended {
            fields.append(name, value);
        } else {
            fields.insert(name, value);
        }
    }
    Some(Refusal { status, fields, body: denied.body, metadata })
}

impl HeaderValueOption {
    fn field(self) -> Option<(FieldName, HeaderValue)> {
        let header = self.header?;
        let value = if header.raw_value.is_empty() { header.value } else { header.raw_value };
        Some((FieldName::parse(&header.key)?, HeaderValue::from_maybe_shared(value).ok()?))
    }
}

impl Changes {
    /// Takes over an answer; `None` when it holds what no message can have.
    fn take(&mut self, ok: OkHttpResponse) -> Option<()> {
        for option in ok.headers {
            let is_appended = option.append.unwrap_or_default().value;
            let (name, value) = option.field()?;
            match name {
                FieldName::Field(name) if is_appended => self.append.push((name, value)),
                name => self.set.push((name, value)),
            }
        }
        for name in ok.headers_to_remove {
            // As in Envoy what makes the request one stays.
            if let Some(FieldName::Field(name)) = FieldName::parse(&name) {
                self.remove.push(name);
            }
        }
        for option in ok.response_headers_to_add {
            let action = match (option.append, option.append_action) {
                (Some(append), _) if append.value => AppendAction::AppendIfExistsOrAdd,
                (Some(_), _) => AppendAction::OverwriteIfExistsOrAdd,
                (None, 0) => AppendAction::AppendIfExistsOrAdd,
                (None, 1) => AppendAction::AddIfAbsent,
                (None, 2) => AppendAction::OverwriteIfExistsOrAdd,
                (None, 3) => AppendAction::OverwriteIfExists,
                (None, _) => return None,
            };
            let (FieldName::Field(name), value) = option.field()? else { continue };
            self.response.push((name, value, action));
        }
        self.query_set.extend(ok.query_parameters_to_set.into_iter().map(|one| (one.key, one.value)));
        self.query_remove = ok.query_parameters_to_remove;
        Some(())
    }

    /// Makes the changes of the request. Whether there were any.
    pub(super) fn apply(&self, request: &mut RequestHeaders) -> bool {
        for (name, value) in &self.set {
            match name {
                FieldName::Field(name) => {
                    request.fields.insert(name.clone(), value.clone());
                }
                FieldName::Path => request.path = value.clone(),
                FieldName::Authority => request.authority = value.clone(),
                FieldName::Method => {
                    if let Ok(method) = Method::from_bytes(value.as_bytes()) {
                        request.method = method;
                    }
                }
                FieldName::Scheme | FieldName::Status => {}
            }
        }
        for (name, value) in &self.add {
            request.fields.append(name.clone(), value.clone());
        }
        for (name, value) in &self.append {
            // One that is not there is not added, as in Envoy.
            if let Some(old) = request.fields.get(name)
                && let Ok(joined) =
                    HeaderValue::from_bytes(&[old.as_bytes(), b",", value.as_bytes()].concat())
            {
                request.fields.insert(name.clone(), joined);
            }
        }
        remove_fields(&mut request.fields, &self.remove);
        let changes_query = !self.query_set.is_empty() || !self.query_remove.is_empty();
        if changes_query && let Some(path) = self.with_query(&request.path) {
            request.path = path;
        }
        changes_query
            || !(self.set.is_empty()
                && self.add.is_empty()
                && self.append.is_empty()
                && self.remove.is_empty())
    }

    /// The path with other query parameters, which are not decoded; they are sorted by name, as in Envoy.
    fn with_query(&self, path: &HeaderValue) -> Option<HeaderValue> {
        let (before, query) = split_path(path.as_bytes());
        let mut parameters: std::collections::BTreeMap<Vec<u8>, Vec<Vec<u8>>> =
            std::collections::BTreeMap::new();
        for parameter in query.split(|byte| *byte == b'&').filter(|_| !query.is_empty()) {
            let (key, value) = split_parameter(parameter);
            parameters.entry(key.to_vec()).or_default().push(value.to_vec());
        }
        for (key, value) in &self.query_set {
            parameters.insert(key.clone().into_bytes(), vec![value.clone().into_bytes()]);
        }
        for key in &self.query_remove {
            parameters.remove(key.as_bytes());
        }
        let mut path = before.to_vec();
        let mut separator = b'?';
        for (key, values) in &parameters {
            for value in values {
                path.push(separator);
                separator = b'&';
                path.extend_from_slice(key);
                path.push(b'=');
                path.extend_from_slice(value);
            }
        }
        // A space or a line break would end it.
        let is_whole = !path.iter().any(|byte| *byte <= b' ' || *byte == 0x7f);
        if is_whole { HeaderValue::from_bytes(&path).ok() } else { None }
    }
}

/// Names of headers that a service asks to remove.
const TO_REMOVE: &str = "x-envoy-auth-headers-to-remove";

/// Headers of a refusal that clients always get.
const ALWAYS: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::WWW_AUTHENTICATE, header::LOCATION, header::PROXY_AUTHENTICATE];

/// The verdict of an answer over HTTP.
pub(super) fn of_http(answer: &Answer, service: &HttpAuthService) -> Verdict {
    let ResponseHeaders { status, fields } = &answer.head;
    if status.is_server_error() {
        return Verdict::Failed(None);
    }
    let metadata = metadata_of(fields, service);
    if *status != StatusCode::OK {
        let allowed = |name: &HeaderName| match &service.allowed_client_headers {
            None => true,
            Some(allowed) => ALWAYS.contains(name) || matches(allowed, name.as_str()),
        };
        let own = |name: &&HeaderName| {
            !matches!(
                **name,
                header::CONTENT_LENGTH
                    | header::TRANSFER_ENCODING
                    | header::CONNECTION
                    | header::DATE
                    | header::SERVER
            )
        };
        let mut kept = HeaderMap::new();
        for (name, value) in fields.iter().filter(|(name, _)| own(name) && allowed(name)) {
            kept.append(name.clone(), value.clone());
        }
        return Verdict::Denied(Refusal {
            status: *status,
            fields: kept,
            body: answer.body.clone(),
            metadata,
        });
    }
    let mut changes = Changes { metadata, ..Changes::default() };
    for (name, value) in fields {
        if matches(&service.allowed_upstream_headers, name.as_str()) {
            changes.set.push((FieldName::Field(name.clone()), value.clone()));
        } else if matches(&service.allowed_upstream_headers_to_append, name.as_str()) {
            changes.add.push((name.clone(), value.clone()));
        }
        if matches(&service.allowed_client_headers_on_success, name.as_str()) {
            changes.response.push((name.clone(), value.clone(), AppendAction::AppendIfExistsOrAdd));
        }
        if name.as_str() == TO_REMOVE {
            let names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            changes.remove.extend(names.filter_map(|name| HeaderName::from_bytes(name).ok()));
        }
    }
    Verdict::Allowed(Box::new(changes))
}

fn metadata_of(fields: &HeaderMap, service: &HttpAuthService) -> Option<Struct> {
    let mut values = Struct::default();
    for (name, value) in fields {
        if matches(&service.dynamic_metadata_from_headers, name.as_str()) {
            let value = Value::string(String::from_utf8_lossy(value.as_bytes()));
            values.fields.insert(name.as_str().to_owned(), value);
        }
    }
    (!values.fields.is_empty()).then_some(values)
}
