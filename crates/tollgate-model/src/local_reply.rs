//! What answers of the gateway's own look like.

use bytes::Bytes;
use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::{
    access_log::{LogFilter, LogFormat},
    header::HeaderAddition,
};

/// What answers of the gateway's own look like (`local_reply_config`).
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct LocalReplies {
    /// Of these the first one that applies counts.
    pub mappers: Vec<ReplyMapper>,
    /// What every body becomes. Default: what it is.
    pub body_format: Option<BodyFormat>,
}

/// A change of some answers.
#[derive(Debug, PartialEq, Serialize)]
pub struct ReplyMapper {
    /// Which answers it is about: a condition on the request and its answer so far.
    pub filter: LogFilter,
    /// The status instead of the one that it has.
    #[serde(serialize_with = "status")]
    pub status: Option<StatusCode>,
    /// The body instead of the one that it has.
    pub body: Option<Bytes>,
    /// What the body becomes, instead of [`LocalReplies::body_format`].
    pub body_format: Option<BodyFormat>,
    /// Header changes.
    pub headers: Vec<HeaderAddition>,
}

/// What a body becomes.
#[derive(Debug, PartialEq, Serialize)]
pub struct BodyFormat {
    /// The new body; `%LOCAL_REPLY_BODY%` is the old one.
    pub format: LogFormat,
    /// Its content type. Default `text/plain`, or `application/json` of a JSON format.
    pub content_type: Option<String>,
}

impl BodyFormat {
    /// The content type of the new body.
    #[must_use]
    pub fn content_type(&self) -> &str {
        match (&self.content_type, &self.format) {
            (Some(content_type), _) => content_type,
            (None, LogFormat::Text(_)) => "text/plain",
            (None, LogFormat::Json(_)) => "application/json",
        }
    }
}

fn status<S: Serializer>(status: &Option<StatusCode>, serializer: S) -> Result<S::Ok, S::Error> {
    status.map(|status| status.as_u16()).serialize(serializer)
}
