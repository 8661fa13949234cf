//! A gateway process on a core of its own, and what the kernel tells of it.

use std::{
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

use crate::Result;

const START_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Gateway {
    Envoy,
    Tollgate,
}

impl Gateway {
    pub(crate) const BOTH: [Self; 2] = [Self::Envoy, Self::Tollgate];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Tollgate => "tollgate",
        }
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A running gateway; the process ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: u32,
    log: PathBuf,
}

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
}

impl Process {
    /// Starts a gateway on the first cores, one for each worker, and waits until it accepts connections.
    ///
    /// # Errors
    /// It ended, or did not listen in time.
    pub(crate) async fn start(
        gateway: Gateway,
        binary: &Path,
        bootstrap: &Path,
        port: u16,
        workers: usize,
    ) -> Result<Self> {
        let log = bootstrap.with_extension(format!("{gateway}.log"));
        let file = File::create(&log)?;
        let mut command = Command::new("taskset");
        let (cores, workers) = (format!("0-{}", workers.saturating_sub(1)), workers.to_string());
        command.args(["-c", &cores]).arg(binary);
        match gateway {
            Gateway::Envoy => {
                command.arg("-c").arg(bootstrap);
                command.args(["--concurrency", &workers, "--disable-hot-restart", "-l", "error"]);
            }
            Gateway::Tollgate => {
                command.arg("run").arg(bootstrap);
                command.args(["--workers", &workers, "--admin-address", "127.0.0.1:0"]);
            }
        }
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        let child = command.spawn()?;
        let pid = child.id().ok_or("the gateway ended at once")?;
        let mut process = Self { child, pid, log };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if process.child.try_wait()?.is_some() {
                return Err(format!("{gateway} ended:\n{}", process.log()).into());
            }
            if Instant::now().duration_since(begin) > START_DEADLINE {
                return Err(format!("{gateway} does not listen:\n{}", process.log()).into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Time on a core so far, of all threads.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let field = |name: &str| -> Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
        };
        Ok(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
    }

    /// Ends the process and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// System calls of a process during some time, by perf; `None` where perf is missing or not allowed.
pub(crate) async fn count_system_calls(pid: u32, time: Duration) -> Option<u64> {
    let output = Command::new("perf")
        .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pid.to_string(), "--timeout"])
        .arg(time.as_millis().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("raw_syscalls"))?;
    line.split(',').next()?.parse().ok()
}
