//! A file of recorded exchanges: a line that says what it is, then a line for each exchange.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use extproc::messages::{ProcessingRequest, ProcessingResponse};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tollgate_proxy::{Party, RecordedExchange};

/// The version of the form.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    tollgate_recording: u32,
    exchanges: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    processor: String,
    /// Seconds since 1970.
    began: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    messages: Vec<Message>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    at_ms: f64,
    from: From,
    /// Base64 of protobuf's wire format.
    message: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum From {
    Gateway,
    Processor,
}

/// Writes exchanges.
pub(crate) fn write(exchanges: &[RecordedExchange]) -> serde_json::Result<String> {
    let head = Head { tollgate_recording: VERSION, exchanges: exchanges.len() };
    let mut text = serde_json::to_string(&head)? + "\n";
    for exchange in exchanges {
        let began = exchange.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let messages = exchange.messages.iter().map(|message| Message {
            at_ms: milliseconds(message.at),
            from: match message.from {
                Party::Gateway => From::Gateway,
                Party::Processor => From::Processor,
            },
            message: STANDARD.encode(&message.message),
        });
        let line = Exchange {
            processor: exchange.processor.clone(),
            began: began.as_secs_f64(),
            status: exchange.status,
            truncated: exchange.truncated,
            messages: messages.collect(),
        };
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    Ok(text)
}

/// In milliseconds, to the microsecond.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// An exchange that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) processor: String,
    pub(crate) status: Option<i32>,
    pub(crate) truncated: bool,
    pub(crate) messages: Vec<Said>,
}

/// A message that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Gateway(ProcessingRequest),
    Processor(ProcessingResponse),
}

/// Why a file cannot be read.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    #[error("{}: {error}", .path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{}: this is no recording: `tollgate record` makes one", .0.display())]
    NoRecording(PathBuf),
    #[error("{}: the recording is of version {version}, and this program reads version {VERSION}", .path.display())]
    Version { path: PathBuf, version: u32 },
    #[error("{}, line {line}: {problem}", .path.display())]
    Line { path: PathBuf, line: usize, problem: String },
    #[error("{}: {expected} exchanges were recorded, and {found} are left", .path.display())]
    CutOff { path: PathBuf, expected: usize, found: usize },
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Recorded>, ReadError> {
    let text = fs::read_to_string(path).map_err(|error| ReadError::File { path: path.to_owned(), error })?;
    let mut lines = text.lines().enumerate();
    let head = lines.next().and_then(|(_, line)| serde_json::from_str::<Head>(line).ok());
    let Some(head) = head else { return Err(ReadError::NoRecording(path.to_owned())) };
    if head.tollgate_recording != VERSION {
        return Err(ReadError::Version { path: path.to_owned(), version: head.tollgate_recording });
    }
    let wrong = |line, problem| ReadError::Line { path: path.to_owned(), line: line + 1, problem };
    let mut exchanges = Vec::new();
    for (number, line) in lines {
        let exchange: Exchange =
            serde_json::from_str(line).map_err(|error| wrong(number, error.to_string()))?;
        let messages = exchange.messages.iter().map(said).collect::<Result<_, _>>();
        exchanges.push(Recorded {
            processor: exchange.processor,
            status: exchange.status,
            truncated: exchange.truncated,
            messages: messages.map_err(|problem| wrong(number, problem))?,
        });
    }
    if exchanges.len() != head.exchanges {
        let found = exchanges.len();
        return Err(ReadError::CutOff { path: path.to_owned(), expected: head.exchanges, found });
    }
    Ok(exchanges)
}

fn said(message: &Message) -> Result<Said, String> {
    let bytes = STANDARD.decode(&message.message).map_err(|error| error.to_string())?;
    let said = match message.from {
        From::Gateway => ProcessingRequest::decode(&*bytes).map(Said::Gateway),
        From::Processor => ProcessingResponse::decode(&*bytes).map(Said::Processor),
    };
    said.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use tollgate_proxy::RecordedMessage;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let request = ProcessingRequest { observability_mode: true, ..Default::default() };
        let message = |at, from, message| RecordedMessage { at: Duration::from_micros(at), from, message };
        let exchange = RecordedExchange {
            processor: "p".to_owned(),
            began: SystemTime::UNIX_EPOCH + Duration::from_secs(3),
            messages: vec![
                message(0, Party::Gateway, request.encode_to_vec()),
                message(1500, Party::Processor, Vec::new()),
            ],
            status: Some(13),
            truncated: false,
        };
        let text = write(&[exchange]).unwrap();
        assert!(text.contains(r#""at_ms":1.5,"from":"processor""#), "{text}");
        let path = std::env::temp_dir().join(format!("tollgate-recording-{}", std::process::id()));
        fs::write(&path, &text).unwrap();
        let recorded = read(&path).unwrap();
        let messages = vec![Said::Gateway(request), Said::Processor(ProcessingResponse::default())];
        let expected = Recorded { processor: "p".to_owned(), status: Some(13), truncated: false, messages };
        assert_eq!(recorded, [expected]);

        for (text, problem) in [
            ("", "no recording"),
            ("{\"tollgate_recording\":2,\"exchanges\":0}", "version 2"),
            ("{\"tollgate_recording\":1,\"exchanges\":1}\n{}", "line 2: missing field"),
            (text.lines().next().unwrap(), "1 exchanges were recorded, and 0 are left"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(read(&path), Err(ReadError::File { .. })));
    }
}
