//! A client that asks for a path.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Status and body; 0 where nobody listens.
pub(super) fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return Ok((0, String::new())) };
    let text = |error: std::io::Error| error.to_string();
    stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    let sent = stream.write_all(request.as_bytes());
    match sent.and_then(|()| stream.read_to_string(&mut answer)) {
        // It was closed before anything was answered.
        Err(error) if is_closed(&error) && answer.is_empty() => return Ok((0, String::new())),
        Ok(0) => return Ok((0, String::new())),
        read => read.map_err(text)?,
    };
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    Ok((status, body.to_owned()))
}

/// The peer has closed the connection: before the request was written, or with bytes unread.
fn is_closed(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// A client that asks again and again.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<u16, usize>>,
}

impl Load {
    pub(super) fn start(port: u16, path: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut answers = BTreeMap::new();
            while !stopped.load(SeqCst) {
                // 999: the answer broke off.
                let status = get(port, &path).map_or(999, |(status, _)| status);
                *answers.entry(status).or_default() += 1;
            }
            answers
        });
        Self { stop, thread }
    }

    /// How often each status came.
    pub(super) fn stop(self) -> BTreeMap<u16, usize> {
        self.stop.store(true, SeqCst);
        self.thread.join().unwrap_or_default()
    }
}
