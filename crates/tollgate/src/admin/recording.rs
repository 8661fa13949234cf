//! `/record`: exchanges with processors as they happen.

use std::time::Duration;

use hyper::StatusCode;
use tokio::time::timeout;
use tollgate_proxy::{Recorder, RecordingLimits};

use crate::recording;

/// Longest time; connections of the admin server do not live much longer.
const LONGEST: u64 = 60;
/// Largest number of exchanges, and of bytes: they are in memory until the recording ends.
const EXCHANGES: usize = 100_000;
const BYTES: usize = 64 << 20;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Parameters {
    time: Duration,
    limits: RecordingLimits,
}

/// Records as `query` says, and gives what was recorded.
pub(super) async fn answer(recorder: &Recorder, query: &str) -> (StatusCode, String) {
    let Parameters { time, limits } = match parse(query) {
        Ok(parameters) => parameters,
        Err(problem) => return (StatusCode::BAD_REQUEST, problem + "\n"),
    };
    // Whoever asks and leaves ends it: this future is dropped then.
    let recording = match recorder.start(limits) {
        Ok(recording) => recording,
        Err(error) => return (StatusCode::CONFLICT, format!("{error}; try again when that has ended\n")),
    };
    tracing::info!(?time, exchanges = limits.exchanges, bytes = limits.bytes, "exchanges are recorded");
    let _ = timeout(time, recording.full()).await;
    let exchanges = recording.finish();
    tracing::info!(exchanges = exchanges.len(), "the recording has ended");
    match recording::write(&exchanges) {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn parse(query: &str) -> Result<Parameters, String> {
    let (mut seconds, mut exchanges, mut bytes) = (10, 1000, 16 << 20);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let number = value.parse::<u64>().ok();
        let within = |most: u64| {
            let number = number.filter(|number| (1..=most).contains(number));
            number.ok_or_else(|| format!("{name}: a number from 1 to {most} is expected, not `{value}`"))
        };
        match name {
            "seconds" => seconds = within(LONGEST)?,
            "exchanges" => exchanges = usize::try_from(within(EXCHANGES as u64)?).unwrap_or(EXCHANGES),
            "bytes" => bytes = usize::try_from(within(BYTES as u64)?).unwrap_or(BYTES),
            other => return Err(format!("`{other}` is none of seconds, exchanges and bytes")),
        }
    }
    Ok(Parameters { time: Duration::from_secs(seconds), limits: RecordingLimits { exchanges, bytes } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_limits() {
        let limits = RecordingLimits { exchanges: 5, bytes: 16 << 20 };
        assert_eq!(parse("seconds=2&exchanges=5"), Ok(Parameters { time: Duration::from_secs(2), limits }));
        for (query, problem) in [
            ("seconds=61", "a number from 1 to 60 is expected, not `61`"),
            ("exchanges=0", "a number from 1 to 100000"),
            ("bytes=x", "not `x`"),
            ("second=1", "`second` is none of"),
        ] {
            assert!(parse(query).unwrap_err().contains(problem), "{query}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_recording_goes_on_at_a_time() {
        let recorder = Recorder::default();
        let (first, second) = tokio::join!(answer(&recorder, "seconds=1"), answer(&recorder, ""));
        assert_eq!((first.0, second.0), (StatusCode::OK, StatusCode::CONFLICT));
        assert_eq!(first.1, "{\"tollgate_recording\":1,\"exchanges\":0}\n");
        assert_eq!(answer(&recorder, "seconds=1").await.0, StatusCode::OK);
        // One that is given up makes room.
        drop(timeout(Duration::from_millis(1), answer(&recorder, "")).await);
        assert_eq!(answer(&recorder, "seconds=1").await.0, StatusCode::OK);
    }
}
