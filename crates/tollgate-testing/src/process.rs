//! The binary while it runs.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Instant,
};

use crate::DEADLINE;

/// A process that ends with the test.
#[derive(Debug)]
pub struct Running {
    id: u32,
    lines: Receiver<String>,
    /// What was read already.
    seen: Vec<String>,
    exit: Receiver<ExitStatus>,
    ended: bool,
}

impl Running {
    /// Starts it, and reads what it writes.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let (sender, lines) = channel();
        forward(child.stdout.take().expect("piped"), sender.clone());
        forward(child.stderr.take().expect("piped"), sender);
        let (exited, exit) = channel();
        let id = child.id();
        thread::spawn(move || exited.send(child.wait().expect("the process can be waited for")));
        Self { id, lines, seen: Vec::new(), exit, ended: false }
    }

    /// Waits for a line, on standard output or standard error, that contains `marker`, and gives what follows it up to
    /// the next space.
    pub fn wait_for(&mut self, marker: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {marker:?}:\n{}", self.seen.join("\n"));
            };
            let rest = line.split_once(marker).map(|(_, rest)| rest.to_owned());
            self.seen.push(line);
            if let Some(rest) = rest {
                return rest.split(' ').next().unwrap_or_default().to_owned();
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id.to_string()]).status();
        assert!(status.expect("kill").success());
    }

    /// Waits for the end; gives the status and everything that was written.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status =
            self.exit.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("it goes on: {:?}", self.seen));
        self.ended = true;
        self.seen.extend(self.lines.iter());
        (status, self.seen.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = Command::new("kill").args(["-s", "KILL", &self.id.to_string()]).status();
        }
    }
}

fn forward(output: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}
