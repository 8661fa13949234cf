//! What scripts send: requests to clusters, and answers to clients.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use extproc::{Direction, RequestHeaders};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_LENGTH};
use mlua::{Error, Lua, LuaString, MultiValue, Result, Table, Value};

use super::{
    super::side_call::{Answer, SideCall, Unanswered},
    headers::{header_name, header_value},
    run::{Asked, Run},
};
use crate::{
    connection_manager::EnvoyHeaders, local_reply::LocalReply, stream_info::ResponseFlags,
    transaction::core::Core,
};

/// Largest answer that is taken.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// How long a call may take that nobody waits for and that has no end of its own.
const LONGEST: Duration = Duration::from_secs(15);

/// How a call is made.
#[derive(Debug)]
pub(super) struct Options {
    timeout: Duration,
    asynchronous: bool,
    keeps_duplicates: bool,
    send_xff: bool,
}

impl Options {
    /// Of a time in milliseconds and the old flag, or of a table.
    pub(super) fn read(value: &Value, flag: Option<&Value>) -> Result<Self> {
        let mut options =
            Self { timeout: Duration::ZERO, asynchronous: false, keeps_duplicates: false, send_xff: true };
        let Value::Table(table) = value else {
            options.timeout = timeout(value)?;
            options.asynchronous = match flag {
                None | Some(Value::Nil) => false,
                Some(Value::Boolean(flag)) => *flag,
                Some(_) => {
                    let message = "http call asynchronous flag must be 'true', 'false', or empty";
                    return Err(Error::runtime(message));
                }
            };
            return Ok(options);
        };
        for pair in table.pairs::<String, Value>() {
            let (key, value) = pair?;
            let boolean = || match &value {
                Value::Boolean(value) => Ok(*value),
                _ => Err(Error::runtime(format!("httpCall() option \"{key}\" must be a boolean"))),
            };
            match &*key {
                "asynchronous" => options.asynchronous = boolean()?,
                "timeout_ms" => options.timeout = timeout(&value)?,
                "return_duplicate_headers" => options.keeps_duplicates = boolean()?,
                "send_xff" => options.send_xff = boolean()?,
                // Nothing is traced.
                "trace_sampled" => _ = boolean()?,
                _ => {
                    return Err(Error::runtime(format!("\"{key}\" is not valid key for httpCall() options")));
                }
            }
        }
        Ok(options)
    }
}

fn timeout(value: &Value) -> Result<Duration> {
    let number = match value {
        Value::Integer(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "parts of milliseconds do not count")]
        Value::Number(number) => Some(*number as i64),
        Value::String(text) => text.to_string_lossy().trim().parse().ok(),
        _ => None,
    };
    let kind = value.type_name();
    let number = number.ok_or_else(|| {
        Error::runtime(format!("bad argument #4 to 'httpCall' (number expected, got {kind})"))
    })?;
    let number = u64::try_from(number).map_err(|_| Error::runtime("http call timeout must be >= 0"))?;
    Ok(Duration::from_millis(number))
}

/// Sends a request. Whether its answer is to be waited for.
pub(super) fn begin(
    run: &Rc<Run>,
    cluster: &str,
    headers: &Table,
    body: Option<LuaString>,
    options: &Options,
) -> Result<bool> {
    let body = body.map(|body| Bytes::copy_from_slice(&body.as_bytes()));
    let call = run.core(|core| {
        if core.configuration.clusters.get(cluster).is_none() {
            return Err(Error::runtime("http call cluster invalid. Must be configured"));
        }
        let head = request(headers, body.as_ref(), options, core)?;
        let body = body.unwrap_or_default();
        Ok(SideCall::start(core, cluster, head, body, options.timeout, LONGEST_ANSWER, Instant::now()))
    })?;
    if !options.asynchronous {
        let call = match call {
            Ok(call) => Called::Begun(Box::new(call)),
            Err(why) => Called::Failed(Some(why)),
        };
        *run.asked.borrow_mut() = Some(Asked::Call { call, keeps_duplicates: options.keeps_duplicates });
        return Ok(true);
    }
    if let Ok(mut call) = call
        && tokio::runtime::Handle::try_current().is_ok()
    {
        let timeout = if options.timeout.is_zero() { LONGEST } else { options.timeout };
        // The answer is nobody's business.
        tokio::task::spawn_local(async move {
            let answer = std::future::poll_fn(|task| call.poll(task));
            tokio::time::timeout(timeout, answer).await.ok()
        });
    }
    Ok(false)
}

/// A call, or why there is none.
#[derive(Debug)]
pub(super) enum Called {
    Begun(Box<SideCall>),
    Failed(Option<Unanswered>),
}

impl Called {
    /// Goes on. Ready with the answer.
    pub(super) fn poll(&mut self, task: &mut Context<'_>) -> Poll<std::result::Result<Answer, Unanswered>> {
        match self {
            Self::Begun(call) => call.poll(task),
            Self::Failed(why) => Poll::Ready(Err(why.take().unwrap_or(Unanswered::TimedOut))),
        }
    }

    /// When the answer comes too late.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Begun(call) => call.deadline,
            Self::Failed(_) => None,
        }
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Begun(call) => call.held(),
            Self::Failed(_) => 0,
        }
    }
}

fn request(headers: &Table, body: Option<&Bytes>, options: &Options, core: &Core) -> Result<RequestHeaders> {
    let missing = || Error::runtime("http call headers must include ':path', ':method', and ':authority'");
    let (mut method, mut path, mut authority, mut scheme) = (None, None, None, None);
    let mut fields = HeaderMap::new();
    for_each_header(headers, |name, value| {
        match name {
            ":method" => method = Some(value),
            ":path" => path = Some(value),
            ":authority" | "host" => authority = Some(value),
            ":scheme" => scheme = Some(value),
            name if name.starts_with(':') => {}
            name => _ = fields.append(header_name(name.as_bytes())?, value),
        }
        Ok(())
    })?;
    let method = Method::from_bytes(method.ok_or_else(missing)?.as_bytes())
        .map_err(|_| Error::runtime("this is no method"))?;
    let (path, authority) = (path.ok_or_else(missing)?, authority.ok_or_else(missing)?);
    if path.as_bytes().iter().any(u8::is_ascii_whitespace) || path.is_empty() {
        return Err(Error::runtime("this is no path"));
    }
    fields.remove(http::header::TRANSFER_ENCODING);
    match body {
        Some(body) => _ = fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len())),
        None => _ = fields.remove(CONTENT_LENGTH),
    }
    let names = EnvoyHeaders::of(&core.http().header_prefix);
    fields.insert(names.internal.clone(), HeaderValue::from_static("true"));
    if options.send_xff {
        fields.append("x-forwarded-for", core.worker.own_address_value.clone());
    }
    if let Ok(timeout) = u64::try_from(options.timeout.as_millis())
        && timeout > 0
    {
        fields.insert(names.expected_rq_timeout_ms.clone(), HeaderValue::from(timeout));
    }
    let scheme = scheme.unwrap_or_else(|| HeaderValue::from_static("http"));
    Ok(RequestHeaders { method, scheme, authority, path, fields })
}

/// Names in lower case, and values: a list has several.
fn for_each_header(headers: &Table, mut take: impl FnMut(&str, HeaderValue) -> Result<()>) -> Result<()> {
    headers.for_each(|name: LuaString, value: Value| {
        let name = name.to_string_lossy().to_ascii_lowercase();
        match value {
            Value::Table(values) => {
                for value in values.sequence_values::<LuaString>() {
                    take(&name, header_value(&value?.as_bytes())?)?;
                }
                Ok(())
            }
            Value::String(value) => take(&name, header_value(&value.as_bytes())?),
            Value::Integer(_) | Value::Number(_) => take(&name, header_value(value.to_string()?.as_bytes())?),
            other => Err(Error::runtime(format!(
                "bad value of the header \"{name}\" (string expected, got {})",
                other.type_name()
            ))),
        }
    })
}

/// Answers the client.
pub(super) fn respond(run: &Run, headers: &Table, body: Option<LuaString>) -> Result<()> {
    if run.continued.get() {
        return Err(Error::runtime("respond() cannot be called if headers have been continued"));
    }
    let mut status = None;
    let mut fields = HeaderMap::new();
    for_each_header(headers, |name, value| {
        match name {
            ":status" => status = Some(value),
            name if name.starts_with(':') => {}
            name => _ = fields.append(header_name(name.as_bytes())?, value),
        }
        Ok(())
    })?;
    let status = status.and_then(|status| StatusCode::from_bytes(status.as_bytes()).ok());
    let status = status.filter(|status| (200..600).contains(&status.as_u16()));
    let status = status.ok_or_else(|| Error::runtime(":status must be between 200-599"))?;
    if run.direction == Direction::Response {
        return Err(Error::runtime("respond not currently supported in the response path"));
    }
    fields.remove(http::header::TRANSFER_ENCODING);
    *run.asked.borrow_mut() = Some(Asked::Response(Box::new(LocalReply {
        status,
        fields,
        body: body.map(|body| Bytes::copy_from_slice(&body.as_bytes())).unwrap_or_default(),
        grpc_status: None,
        details: "lua_response".into(),
        flags: ResponseFlags::default(),
    })));
    Ok(())
}

/// What a script gets of a call: a table of headers, and the body.
pub(super) fn values(
    lua: &Lua,
    answer: std::result::Result<Answer, Unanswered>,
    keeps_duplicates: bool,
) -> Result<MultiValue> {
    let (status, fields, body) = match answer {
        Ok(answer) => (answer.head.status, answer.head.fields, answer.body),
        Err(why) => {
            let reply = match why {
                Unanswered::TimedOut => LocalReply::upstream_timeout(""),
                Unanswered::Failed(failure) => LocalReply::upstream_failure(&failure, false),
                _ => LocalReply {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    body: Bytes::from_static(b"upstream failure"),
                    ..LocalReply::upstream_timeout("")
                },
            };
            let mut fields = reply.fields;
            fields.insert(CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
            fields.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            (reply.status, fields, reply.body)
        }
    };
    let table = lua.create_table()?;
    table.raw_set(":status", status.as_str())?;
    for name in fields.keys() {
        let values: Vec<&HeaderValue> = fields.get_all(name).iter().collect();
        match values[..] {
            [.., last] if !keeps_duplicates || values.len() == 1 => {
                table.raw_set(name.as_str(), lua.create_string(last.as_bytes())?)?;
            }
            _ => {
                let list = lua.create_table()?;
                for (index, value) in values.iter().enumerate() {
                    list.raw_set(index + 1, lua.create_string(value.as_bytes())?)?;
                }
                table.raw_set(name.as_str(), list)?;
            }
        }
    }
    let body = match body.is_empty() {
        true => Value::Nil,
        false => Value::String(lua.create_string(&body)?),
    };
    Ok(MultiValue::from_iter([Value::Table(table), body]))
}
