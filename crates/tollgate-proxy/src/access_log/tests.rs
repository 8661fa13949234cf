use std::{path::PathBuf, rc::Rc, time::Instant};

use extproc::Messages;
use tollgate_model::{access_log::JsonFormat, format::Format};

use super::*;
use crate::{
    connection_manager::testing::{chain, connection, request},
    format::FormatContext,
    stream_info::{Protocol, StreamInfo},
};

/// A file that is removed with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("tollgate-{}-{name}.log", std::process::id())))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap_or_default()
    }

    /// Waits for a content, but not for ever.
    fn wait_for(&self, expected: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.text() != expected {
            assert!(Instant::now() < deadline, "{:?} instead of {expected:?}", self.text());
            std::thread::yield_now();
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn log_to(path: &std::path::Path, format: LogFormat) -> Arc<AccessLog> {
    Arc::new(AccessLog { filter: None, sink: LogSink::File(path.to_owned()), format })
}

fn text_log(path: &std::path::Path, format: &str) -> Arc<AccessLog> {
    log_to(path, LogFormat::Text(Format::parse(format).unwrap()))
}

/// Logs a request for `path`.
fn log(logger: &AccessLogger, logs: &[Arc<AccessLog>], path: &str) -> u64 {
    let info = StreamInfo::new(Rc::new(connection("127.0.0.1")), chain(), Protocol::Http11, Instant::now());
    let messages = Messages {
        request: request(path, &[]),
        request_trailers: None,
        response: None,
        response_trailers: None,
    };
    logger.log(logs, &FormatContext { info: &info, messages: &messages, logs: &[] })
}

/// Text lines end as their format says, JSON lines with a line break; both reach their file while the gateway runs.
#[test]
fn lines_are_written_while_running() {
    let (text, json) = (Scratch::new("text"), Scratch::new("json"));
    let (_writer, logger) = AccessLogWriter::start().unwrap();
    let object =
        JsonFormat::Object(vec![("p".into(), JsonFormat::Format(Format::parse("%REQ(:PATH)%").unwrap()))]);
    let logs = [text_log(&text.0, "[%REQ(:PATH)%]"), log_to(&json.0, LogFormat::Json(object))];
    assert_eq!(log(&logger, &logs, "/a"), 0);
    text.wait_for("[/a]");
    json.wait_for("{\"p\":\"/a\"}\n");
    log(&logger, &logs, "/b");
    text.wait_for("[/a][/b]");
    json.wait_for("{\"p\":\"/a\"}\n{\"p\":\"/b\"}\n");
}

/// Files are appended to, and nothing is lost when the gateway stops.
#[test]
fn everything_is_written_at_the_end() {
    let file = Scratch::new("end");
    std::fs::write(&file.0, "before\n").unwrap();
    let (writer, logger) = AccessLogWriter::start().unwrap();
    let logs = [text_log(&file.0, "%REQ(:PATH)%\n")];
    let threads: Vec<_> = (0..4)
        .map(|worker| {
            let (logger, logs) = (logger.clone(), logs.clone());
            std::thread::spawn(move || {
                for number in 0..1000 {
                    assert_eq!(log(&logger, &logs, &format!("/{worker}/{number}")), 0);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    drop(writer);
    let text = file.text();
    let mut lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.remove(0), "before");
    assert_eq!(lines.len(), 4000);
    // Lines of one worker stay in their order.
    for worker in 0..4 {
        let own = lines.iter().filter_map(|line| line.strip_prefix(&format!("/{worker}/")));
        assert!(own.map(|number| number.parse::<u32>().unwrap()).eq(0..1000));
    }
}

/// Lines that come after a file was moved away and asked to be opened again are in a new file.
#[test]
fn files_are_opened_again() {
    let (file, moved) = (Scratch::new("reopen"), Scratch::new("moved"));
    let (writer, logger) = AccessLogWriter::start().unwrap();
    let logs = [text_log(&file.0, "%REQ(:PATH)%\n")];
    log(&logger, &logs, "/first");
    file.wait_for("/first\n");
    std::fs::rename(&file.0, &moved.0).unwrap();
    log(&logger, &logs, "/second");
    moved.wait_for("/first\n/second\n");
    writer.files().reopen();
    log(&logger, &logs, "/third");
    file.wait_for("/third\n");
    assert_eq!(moved.text(), "/first\n/second\n");
}

/// A file that cannot be written costs its lines and nothing else.
#[test]
fn a_bad_file_does_not_disturb_others() {
    let good = Scratch::new("good");
    let (writer, logger) = AccessLogWriter::start().unwrap();
    let bad = std::env::temp_dir().join("tollgate-no-such-directory/x.log");
    assert_eq!(log(&logger, &[text_log(&bad, "lost"), text_log(&good.0, "kept")], "/"), 0);
    drop(writer);
    assert_eq!(good.text(), "kept");
}

/// What does not fit is dropped and counted.
#[test]
fn buffers_are_bounded() {
    let (writer, logger) = AccessLogWriter::start().unwrap();
    // Nobody writes any more.
    drop(writer);
    let sink = LogSink::File(Scratch::new("full").0.clone());
    assert!(logger.push(&sink, &vec![b'x'; MOST_WAITING - 1]));
    assert!(!logger.push(&sink, b"xx"));
    assert!(logger.push(&sink, b"x"));
    assert!(!logger.push(&sink, b"x"));
}

/// A destination that the configuration does not name any more is closed, with everything written.
#[test]
fn destinations_come_and_go() {
    let (old, new) = (Scratch::new("old"), Scratch::new("new"));
    let (writer, logger) = AccessLogWriter::start().unwrap();
    let (old_log, new_log) = ([text_log(&old.0, "%REQ(:PATH)%")], [text_log(&new.0, "%REQ(:PATH)%")]);
    log(&logger, &old_log, "/a");
    logger.keep_only(&HashSet::from([new_log[0].sink.clone()]));
    log(&logger, &new_log, "/b");
    old.wait_for("/a");
    new.wait_for("/b");
    let deadline = Instant::now() + Duration::from_secs(20);
    while lock(&writer.buffers.all).len() > 1 {
        assert!(Instant::now() < deadline, "the old destination is still there");
        log(&logger, &new_log, "/");
        std::thread::yield_now();
    }
}
