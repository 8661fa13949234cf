//! Puts scenarios into batches, one gateway process each.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    gateway::{
        Gateway, bootstrap,
        process::{self, NotStarted},
    },
    play::{Outcome, play},
    prepare::{Prepared, reserve},
    scenario::{Scenario, load::Written},
};

/// Most scenarios in one process.
const LARGEST: usize = 40;

/// Everything a run needs to know.
#[derive(Debug)]
pub(crate) struct Run {
    /// The gateway.
    pub gateway: Gateway,
    /// Its binary.
    pub binary: PathBuf,
    /// A directory of this run for configurations and logs.
    pub directory: PathBuf,
    /// Scenarios played at once.
    pub jobs: usize,
    next: AtomicUsize,
}

impl Run {
    /// A run of one gateway.
    pub(crate) fn new(gateway: Gateway, binary: PathBuf, directory: PathBuf, jobs: usize) -> Self {
        Self { gateway, binary, directory, jobs, next: AtomicUsize::new(0) }
    }

    fn number(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Plays all scenarios once and reports each outcome as soon as it is there.
    ///
    /// # Errors
    /// A scenario that cannot be read.
    pub(crate) async fn all(
        &self,
        written: &[Written],
        mut report: impl FnMut(Outcome),
    ) -> Result<(), String> {
        let mut batches: Vec<(String, Vec<&Written>)> = Vec::new();
        let mut only_config = Vec::new();
        for one in written {
            let scenario = one.for_gateway(self.gateway)?;
            if scenario.only_config() {
                only_config.push(one);
                continue;
            }
            let key = key(&scenario);
            let open = batches.iter_mut().find(|(other, batch)| *other == key && batch.len() < LARGEST);
            match open {
                Some((_, batch)) if !scenario.alone => batch.push(one),
                _ => batches.push((if scenario.alone { one.name.clone() } else { key }, vec![one])),
            }
        }
        for one in only_config {
            report(self.config(one).await);
        }
        for (_, batch) in &batches {
            self.batch(batch, &mut report).await;
        }
        Ok(())
    }

    /// Plays a batch; if the gateway does not start with it, its halves, so that only the culprit fails.
    async fn batch(&self, batch: &[&Written], report: &mut impl FnMut(Outcome)) {
        let mut attempts = 0;
        let why = loop {
            match self.start(batch).await {
                Ok((running, prepared, admin_port)) => {
                    return self.play(running, prepared, admin_port, report).await;
                }
                // Somebody else took one of the ports meanwhile.
                Err(NotStarted::Exited(why))
                    if attempts < 3 && why.to_ascii_lowercase().contains("address already in use") =>
                {
                    attempts += 1;
                }
                Err(why) => break why,
            }
        };
        if let (NotStarted::Exited(_), 2..) = (&why, batch.len()) {
            let (left, right) = batch.split_at(batch.len() / 2);
            Box::pin(self.batch(left, report)).await;
            return Box::pin(self.batch(right, report)).await;
        }
        let (NotStarted::Exited(why) | NotStarted::Other(why)) = why;
        for one in batch {
            report(Outcome {
                name: one.name.clone(),
                file: one.file.clone(),
                differences: vec![format!("{} did not start: {why}", self.gateway.name())],
                transcript: Vec::new(),
            });
        }
    }

    async fn start(&self, batch: &[&Written]) -> Result<(process::Running, Vec<Prepared>, u16), NotStarted> {
        let mut prepared = Vec::new();
        for written in batch {
            let id = format!("s{}", self.number());
            prepared.push(Prepared::new(written, self.gateway, id, &self.directory)?);
        }
        let admin = reserve()?;
        let admin_port = admin.port;
        let file = self.write(&bootstrap::build(&prepared, admin_port))?;
        drop(admin);
        prepared.iter_mut().for_each(Prepared::release);
        prepared.iter_mut().for_each(Prepared::serve_early);
        let running = process::start(self.gateway, &self.binary, &file, admin_port).await?;
        Ok((running, prepared, admin_port))
    }

    fn write(&self, bootstrap: &Value) -> Result<PathBuf, String> {
        let file = self.directory.join(format!("bootstrap{}.yaml", self.number()));
        let text = serde_json::to_string_pretty(bootstrap).map_err(|error| error.to_string())?;
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(file)
    }

    async fn play(
        &self,
        mut running: process::Running,
        prepared: Vec<Prepared>,
        admin_port: u16,
        report: &mut impl FnMut(Outcome),
    ) {
        let permits = Arc::new(Semaphore::new(self.jobs));
        let mut playing = JoinSet::new();
        for one in prepared {
            let permits = Arc::clone(&permits);
            playing.spawn(async move {
                let _permit = permits.acquire_owned().await;
                play(one, admin_port).await
            });
        }
        let mut panicked = false;
        while let Some(outcome) = playing.join_next().await {
            match outcome {
                Ok(mut outcome) => {
                    if !panicked && let Some(line) = running.panic() {
                        panicked = true;
                        let name = self.gateway.name();
                        outcome.differences.push(format!("{name} panicked here or beside this: {line}"));
                    }
                    if !outcome.differences.is_empty() && !running.alive() {
                        outcome.differences.push(format!("{} died:\n{}", self.gateway.name(), running.log()));
                    }
                    report(outcome);
                }
                Err(error) => report(Outcome {
                    name: "a scenario".to_owned(),
                    file: PathBuf::new(),
                    differences: vec![format!("the runner failed: {error}")],
                    transcript: Vec::new(),
                }),
            }
        }
        running.stop().await;
        if !panicked && let Some(line) = running.panic() {
            report(Outcome {
                name: format!("{} while it was stopped", self.gateway.name()),
                file: PathBuf::new(),
                differences: vec![format!("it panicked: {line}")],
                transcript: Vec::new(),
            });
        }
    }

    async fn config(&self, written: &Written) -> Outcome {
        let result = self.try_config(written).await;
        let differences = match result {
            Ok(differences) => differences,
            Err(error) => vec![error],
        };
        Outcome {
            name: written.name.clone(),
            file: written.file.clone(),
            differences,
            transcript: Vec::new(),
        }
    }

    async fn try_config(&self, written: &Written) -> Result<Vec<String>, String> {
        let id = format!("s{}", self.number());
        let prepared = Prepared::new(written, self.gateway, id, &self.directory)?;
        let admin = reserve()?;
        let refused = prepared.scenario.refused.clone();
        let file = self.write(&bootstrap::build(&[prepared], admin.port))?;
        let (accepted, said) = process::check(self.gateway, &self.binary, &file).await?;
        Ok(judge_config(refused.as_deref(), accepted, &said))
    }
}

fn judge_config(refused: Option<&str>, accepted: bool, said: &str) -> Vec<String> {
    match (refused, accepted) {
        (None, true) => Vec::new(),
        (None, false) => vec![format!("expected the configuration to be accepted, got:\n{said}")],
        (Some(text), true) => {
            vec![format!("expected a refusal with {text:?}, but the configuration was accepted")]
        }
        (Some(text), false) if said.contains(text) => Vec::new(),
        (Some(text), false) => vec![format!("expected a refusal with {text:?}, got:\n{said}")],
    }
}

/// Scenarios with the same key can share a process.
fn key(scenario: &Scenario) -> String {
    let runtime = Value::Object(scenario.runtime.clone());
    let bootstrap = Value::Object(scenario.bootstrap.clone());
    format!("{runtime}{bootstrap}")
}

/// Makes an empty directory for a run.
///
/// # Errors
/// It cannot be made.
pub(crate) fn directory(gateway: Gateway) -> Result<PathBuf, String> {
    let name = format!("tollgate-conformance-{}-{}", std::process::id(), gateway.name());
    let path: &Path = &std::env::temp_dir().join(name);
    fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_verdicts() {
        assert!(judge_config(None, true, "").is_empty());
        assert!(judge_config(Some("bad"), false, "this is bad").is_empty());
        assert_eq!(judge_config(None, false, "x").len(), 1);
        assert_eq!(judge_config(Some("bad"), false, "x").len(), 1);
        assert_eq!(judge_config(Some("bad"), true, "").len(), 1);
    }
}
