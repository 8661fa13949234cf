//! Finds scenario files and reads them, with the overlay of one gateway applied.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Scenario;
use crate::gateway::Gateway;

/// A scenario as written, before overlays.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The file it is in.
    pub file: PathBuf,
    /// Its name.
    pub name: String,
    value: Value,
}

impl Written {
    /// What is written, with the overlay of one gateway laid over it.
    pub(crate) fn overlaid(&self, gateway: Gateway) -> Value {
        let mut value = self.value.clone();
        for other in [Gateway::Envoy, Gateway::Tollgate] {
            let overlay = value.as_object_mut().and_then(|map| map.remove(other.name()));
            if let (true, Some(overlay)) = (other == gateway, overlay) {
                lay_over(&mut value, &overlay);
            }
        }
        value
    }

    /// What is written, of whatever form, for one gateway.
    ///
    /// # Errors
    /// Names the file, the case and what is wrong in it.
    pub(crate) fn read<T: DeserializeOwned>(&self, gateway: Gateway) -> Result<T, String> {
        serde_json::from_value(self.overlaid(gateway)).map_err(|error| self.wrong(error))
    }

    /// What is wrong, with its place.
    pub(crate) fn wrong(&self, error: impl Display) -> String {
        format!("{}: {}: {error}", self.file.display(), self.name)
    }

    /// The scenario for one gateway, `$names` as they are written.
    ///
    /// # Errors
    /// Names the file, the scenario and what is wrong in it.
    pub(crate) fn for_gateway(&self, gateway: Gateway) -> Result<Scenario, String> {
        read(&self.file, &self.name, self.overlaid(gateway))
    }
}

/// Reads a scenario.
///
/// # Errors
/// Names the file, the scenario and what is wrong in it.
pub(crate) fn read(file: &Path, name: &str, value: Value) -> Result<Scenario, String> {
    let place = |error: String| format!("{}: {name}: {error}", file.display());
    let scenario: Scenario = serde_json::from_value(value).map_err(|error| place(error.to_string()))?;
    scenario.check().map_err(place)?;
    Ok(scenario)
}

/// Lays `over` over `base`: maps are merged member by member, everything else is replaced.
pub(crate) fn lay_over(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// Reads every `*.yaml` under a directory, in the order of the paths.
///
/// # Errors
/// Names the file that cannot be read, or that has a scenario without a name or with the name of another one.
pub(crate) fn read_all(directory: &Path) -> Result<Vec<Written>, String> {
    let mut files = Vec::new();
    find(directory, &mut files)?;
    files.sort();
    let mut all: Vec<Written> = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let read = read_file(&file, &text)?;
        for written in read {
            if let Some(other) = all.iter().find(|other| other.name == written.name) {
                let (file, other) = (file.display(), other.file.display());
                return Err(format!("{file}: the name {:?} is already used in {other}", written.name));
            }
            all.push(written);
        }
    }
    Ok(all)
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", directory.display()))?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

fn read_file(file: &Path, text: &str) -> Result<Vec<Written>, String> {
    // `no` and `on` are header values like any other word.
    let options = serde_saphyr::options! { strict_booleans: true };
    let root: Value = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let (defaults, scenarios) = match root {
        Value::Array(scenarios) => (Value::Object(serde_json::Map::new()), scenarios),
        Value::Object(mut map) => {
            let defaults = map.remove("defaults").unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            let scenarios = map.remove("scenarios");
            match scenarios {
                Some(Value::Array(scenarios)) if map.is_empty() => (defaults, scenarios),
                _ => return Err(format!("{}: expected {{defaults, scenarios}} or a list", file.display())),
            }
        }
        _ => return Err(format!("{}: expected a list of scenarios", file.display())),
    };
    scenarios
        .into_iter()
        .enumerate()
        .map(|(index, scenario)| {
            let name = scenario.get("name").and_then(Value::as_str).map(str::to_owned);
            let name = name.ok_or_else(|| format!("{}: scenario {index} has no name", file.display()))?;
            let mut value = defaults.clone();
            lay_over(&mut value, &scenario);
            Ok(Written { file: file.to_owned(), name, value })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
defaults:
  filter: {processing_mode: {response_header_mode: SKIP}}
scenarios:
- name: one
  request: POST /x
  expect: {client: {status: 200, headers: {x-a: 1}}}
  tollgate: {expect: {client: {status: 500}}}
";

    #[test]
    fn defaults_and_overlays() {
        let written = read_file(Path::new("f.yaml"), FILE).expect("file");
        let envoy = written[0].for_gateway(Gateway::Envoy).expect("envoy");
        assert_eq!(envoy.expect.client.status, Some(200));
        assert!(envoy.filter.is_some());
        assert_eq!(envoy.request.method, "POST");
        let tollgate = written[0].for_gateway(Gateway::Tollgate).expect("tollgate");
        assert_eq!(tollgate.expect.client.status, Some(500));
        assert!(tollgate.expect.client.headers.0.contains_key("x-a"));
    }

    #[test]
    fn unknown_members_are_refused() {
        let written = read_file(Path::new("f.yaml"), "[{name: a, requests: {}}]").expect("file");
        assert!(written[0].for_gateway(Gateway::Envoy).is_err());
        assert!(read_file(Path::new("f.yaml"), "[{request: GET /}]").is_err());
    }
}
