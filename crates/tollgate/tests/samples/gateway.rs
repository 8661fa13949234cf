//! A gateway as a process.

use std::{collections::HashMap, env, fs, net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::support::{DEADLINE, http, process::Running, scratch, tollgate};

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Envoy,
    Tollgate,
}

/// A running gateway, and where its listeners are.
#[derive(Debug)]
pub(crate) struct Gateway {
    _process: Running,
    listeners: HashMap<String, SocketAddr>,
}

impl Gateway {
    pub(crate) async fn start(test: &str, kind: Kind, bootstrap: &Value) -> Self {
        let directory = scratch(test);
        let file = directory.join("bootstrap.json");
        fs::write(&file, bootstrap.to_string()).expect("the file is written");
        let admin_file = directory.join("admin");
        let mut command = match kind {
            Kind::Envoy => envoy(&admin_file),
            Kind::Tollgate => {
                let mut command = tollgate();
                command.args(["run", "--workers", "1"]).arg(&file);
                command
            }
        };
        if kind == Kind::Envoy {
            command.arg("-c").arg(&file);
        }
        let mut process = Running::spawn(&mut command);
        let admin = match kind {
            Kind::Tollgate => {
                let admin = blocking(move || {
                    let admin = process.wait_for("admin server at ");
                    (process, admin)
                });
                let (running, admin) = admin.await;
                process = running;
                admin
            }
            Kind::Envoy => timeout(DEADLINE, written(&admin_file)).await.expect("Envoy starts"),
        };
        let listeners = timeout(DEADLINE, listeners(&admin)).await.expect("it is ready");
        Self { _process: process, listeners }
    }

    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        *self.listeners.get(name).unwrap_or_else(|| panic!("no listener {name}: {:?}", self.listeners))
    }
}

fn envoy(admin_file: &PathBuf) -> Command {
    let mut command = Command::new(env::var_os("ENVOY").expect("ENVOY names the binary of Envoy"));
    command.args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"]);
    command.arg("--admin-address-path").arg(admin_file);
    command
}

/// Waits until a file has an address.
async fn written(file: &PathBuf) -> String {
    loop {
        match fs::read_to_string(file) {
            Ok(text) if text.trim().parse::<SocketAddr>().is_ok() => return text.trim().to_owned(),
            _ => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Waits until the gateway is ready, and asks where it listens.
async fn listeners(admin: &str) -> HashMap<String, SocketAddr> {
    loop {
        let address = admin.to_owned();
        let get = move |path| http::get(&address, path, &[]);
        let (ready, text) = blocking(move || (get("/ready").status, get("/listeners").body)).await;
        if ready == 200 {
            let lines = text.lines().filter_map(|line| line.split_once("::"));
            return lines.map(|(name, at)| (name.to_owned(), at.parse().expect("an address"))).collect();
        }
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(run).await.expect("it does not panic")
}
