//! Starts and stops a gateway process.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::{Gateway, admin};

/// A running gateway; dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

/// Why a gateway did not start.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// It exited, most often because of the configuration; what it wrote.
    Exited(String),
    /// Something that another configuration would not mend.
    Other(String),
}

impl From<String> for NotStarted {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

/// Starts a gateway on a bootstrap file and waits until it is ready.
///
/// # Errors
/// What the gateway wrote before it exited, or that it did not become ready.
pub(crate) async fn start(
    gateway: Gateway,
    binary: &Path,
    bootstrap: &Path,
    admin_port: u16,
) -> Result<Running, NotStarted> {
    begin(gateway, binary, bootstrap, admin_port, |status| status == 200).await
}

/// The same, and waits only until its admin server answers.
///
/// # Errors
/// As there.
pub(crate) async fn start_unready(
    gateway: Gateway,
    binary: &Path,
    bootstrap: &Path,
    admin_port: u16,
) -> Result<Running, NotStarted> {
    begin(gateway, binary, bootstrap, admin_port, |_| true).await
}

async fn begin(
    gateway: Gateway,
    binary: &Path,
    bootstrap: &Path,
    admin_port: u16,
    is_enough: impl Fn(u16) -> bool,
) -> Result<Running, NotStarted> {
    let log = bootstrap.with_extension("log");
    let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let other = file.try_clone().map_err(|error| error.to_string())?;
    let mut command = Command::new(binary);
    match gateway {
        Gateway::Envoy => {
            command.arg("-c").arg(bootstrap);
            command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "warning"]);
            command.args(["--file-flush-interval-msec", "10"]);
        }
        Gateway::Tollgate => {
            command.arg("run").arg(bootstrap).args(["--workers", "1"]);
        }
    }
    command.stdin(Stdio::null()).stdout(file).stderr(other).kill_on_drop(true);
    let child = command.spawn().map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
    let mut running = Running { child, log };
    let begin = Instant::now();
    loop {
        if let Ok(Some(status)) = running.child.try_wait() {
            return Err(NotStarted::Exited(format!("exited with {status}:\n{}", running.log())));
        }
        if admin::get(admin_port, "/ready").await.is_ok_and(|(status, _)| is_enough(status)) {
            return Ok(running);
        }
        if Instant::now().duration_since(begin) > Duration::from_secs(20) {
            return Err(NotStarted::Other(format!("not ready after 20 s:\n{}", running.log())));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

impl Running {
    /// What the process wrote, its end if that is long.
    pub(crate) fn log(&self) -> String {
        tail(&fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// The first line about a panic in what the process wrote: some threads and tasks end without the process.
    pub(crate) fn panic(&self) -> Option<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().find(|line| line.contains("panicked at")).map(str::to_owned)
    }

    /// Whether the process is still there.
    pub(crate) fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the process and waits for its end.
    pub(crate) async fn stop(&mut self) {
        let _ = self.child.kill().await;
    }
}

fn tail(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Whether a gateway accepts a configuration, and what it says.
///
/// # Errors
/// The binary could not be run, or did not end in time.
pub(crate) async fn check(
    gateway: Gateway,
    binary: &Path,
    bootstrap: &Path,
) -> Result<(bool, String), String> {
    let mut command = Command::new(binary);
    match gateway {
        Gateway::Envoy => {
            command
                .args(["--mode", "validate", "--disable-hot-restart", "-l", "warning", "-c"])
                .arg(bootstrap);
        }
        Gateway::Tollgate => {
            command.arg("check").arg(bootstrap);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(Duration::from_secs(20), command.output())
        .await
        .map_err(|_| "did not end within 20 s".to_owned())?
        .map_err(|error| format!("cannot run {}: {error}", binary.display()))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}
