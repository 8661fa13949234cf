//! What is known of management servers and of what they deliver, for those who look.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_xds::Kind;

use crate::in_force::timestamp;

/// What is known of management servers, and of what they deliver.
#[derive(Debug, Default)]
pub(crate) struct Status(Mutex<Table>);

/// The same, at one moment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The streams.
    pub(crate) streams: Vec<Stream>,
    /// What was answered last, by kind.
    pub(crate) types: BTreeMap<Kind, Type>,
    /// The resources by kind and name.
    pub(crate) resources: BTreeMap<(Kind, String), Resource>,
    /// Whether everything that belongs to the start was there, or was waited for long enough.
    pub(crate) is_ready: bool,
}

/// A stream to a management server.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    /// Who is asked.
    pub(crate) server: String,
    /// The kinds that come on it.
    pub(crate) kinds: Vec<Kind>,
    /// Whether it is open.
    pub(crate) connected: bool,
    /// Why it was lost last.
    pub(crate) lost: Option<String>,
}

/// What was answered last for a kind.
#[derive(Debug, Clone)]
pub(crate) struct Type {
    /// The version of the response.
    pub(crate) version: String,
    /// When it was answered.
    pub(crate) at: SystemTime,
    /// Why it was refused, or what of it; `None` = it was accepted.
    pub(crate) refused: Option<String>,
}

/// A resource.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resource {
    /// What works: its version, and the message.
    pub(crate) active: Option<(String, Bytes)>,
    /// What waits for something it needs: its version, and the message.
    pub(crate) warming: Option<(String, Bytes)>,
    /// What it waits for.
    pub(crate) waits_for: Vec<String>,
    /// What was refused last: its version, and why.
    pub(crate) refused: Option<(String, String)>,
    /// Why it is not in force although it works by itself.
    pub(crate) left_out: Option<String>,
    /// Since when this is so.
    pub(crate) since: Option<SystemTime>,
}

impl Resource {
    /// `ACTIVE`, `WARMING` or `REFUSED`.
    fn state(&self) -> &'static str {
        match self {
            Self { refused: Some(_), .. } | Self { left_out: Some(_), .. } => "REFUSED",
            Self { warming: Some(_), .. } => "WARMING",
            Self { active: Some(_), .. } => "ACTIVE",
            _ => "UNKNOWN",
        }
    }

    fn why(&self) -> Option<String> {
        let waits = (!self.waits_for.is_empty()).then(|| format!("waits for {}", self.waits_for.join(", ")));
        self.refused.as_ref().map(|(_, why)| why.clone()).or_else(|| self.left_out.clone()).or(waits)
    }
}

impl Status {
    /// What is known at this moment.
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn is_connected(&self, kind: Kind) -> bool {
        self.streams.iter().any(|stream| stream.kinds.contains(&kind) && stream.connected)
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = (&str, &Resource)> {
        let all = self.resources.range((kind, String::new())..);
        all.take_while(move |((other, _), _)| *other == kind).map(|((_, name), resource)| (&**name, resource))
    }

    /// `SYNCED`: the last response was accepted, everything of it is in force, and the stream is open.
    fn sync(&self, kind: Kind) -> &'static str {
        let Some(last) = self.types.get(&kind) else {
            return if self.is_connected(kind) { "NOT ASKED" } else { "STALE" };
        };
        let left_out = self.of(kind).any(|(_, resource)| resource.state() == "REFUSED");
        if last.refused.is_none() && !left_out && self.is_connected(kind) { "SYNCED" } else { "STALE" }
    }

    /// The table for people.
    pub(crate) fn text(&self) -> String {
        let mut rows =
            vec![["TYPE", "RESOURCES", "WARMING", "VERSION", "LAST", "STATE", "WHY"].map(str::to_owned)];
        for kind in Kind::ALL {
            if !self.streams.iter().any(|stream| stream.kinds.contains(&kind)) {
                continue;
            }
            let warming = self.of(kind).filter(|(_, resource)| resource.warming.is_some()).count();
            let last = self.types.get(&kind);
            let answer = last.map_or_else(String::new, |last| {
                format!("{} {}", if last.refused.is_some() { "NACK" } else { "ACK" }, timestamp(last.at))
            });
            let lost = self.streams.iter().find(|stream| stream.kinds.contains(&kind) && !stream.connected);
            let why = last.and_then(|last| last.refused.clone()).or_else(|| lost?.lost.clone());
            rows.push([
                kind.to_string(),
                self.of(kind).filter(|(_, resource)| resource.active.is_some()).count().to_string(),
                warming.to_string(),
                last.map(|last| last.version.clone()).unwrap_or_default(),
                answer,
                self.sync(kind).to_owned(),
                why.unwrap_or_default().replace('\n', "; "),
            ]);
        }
        let mut text = columns(&rows);
        let mut odd = vec![["TYPE", "NAME", "VERSION", "STATE", "WHY"].map(str::to_owned)];
        for ((kind, name), resource) in &self.resources {
            let Some(why) = resource.why() else { continue };
            let newest = resource.refused.as_ref().map(|(version, _)| version);
            let newest = newest.or_else(|| {
                resource.warming.as_ref().or(resource.active.as_ref()).map(|(version, _)| version)
            });
            let version = newest.cloned().unwrap_or_default();
            let state = resource.state().to_owned();
            odd.push([kind.to_string(), name.clone(), version, state, why.replace('\n', "; ")]);
        }
        if odd.len() > 1 {
            text.push('\n');
            text += &columns(&odd);
        }
        text
    }

    /// The same for machines, with every resource.
    pub(crate) fn json(&self) -> Value {
        let streams = self.streams.iter().map(|stream| {
            json!({
                "server": stream.server,
                "types": stream.kinds.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "connected": stream.connected,
                "lost": stream.lost,
            })
        });
        let types = self.types.iter().map(|(kind, last)| {
            json!({
                "type": kind.to_string(),
                "version": last.version,
                "at": timestamp(last.at),
                "answer": if last.refused.is_some() { "NACK" } else { "ACK" },
                "why": last.refused,
                "state": self.sync(*kind),
            })
        });
        let resources = self.resources.iter().map(|((kind, name), resource)| {
            json!({
                "type": kind.to_string(),
                "name": name,
                "version": resource.active.as_ref().map(|(version, _)| version),
                "warming_version": resource.warming.as_ref().map(|(version, _)| version),
                "refused_version": resource.refused.as_ref().map(|(version, _)| version),
                "state": resource.state(),
                "why": resource.why(),
                "since": resource.since.map(timestamp),
            })
        });
        json!({
            "ready": self.is_ready,
            "streams": streams.collect::<Vec<_>>(),
            "types": types.collect::<Vec<_>>(),
            "resources": resources.collect::<Vec<_>>(),
        })
    }

    /// The names of the resources of a kind.
    pub(crate) fn names(&self, kind: Kind) -> BTreeSet<String> {
        self.of(kind).map(|(name, _)| name.to_owned()).collect()
    }

    /// What waits for something: Envoy's `UnreadyTargetsDump` of each.
    pub(crate) fn waiting(&self) -> Vec<Value> {
        let waiting = self.resources.iter().filter(|(_, resource)| !resource.waits_for.is_empty());
        let shown = waiting.map(|((kind, name), resource)| {
            json!({ "name": format!("{kind} {name}"), "target_names": resource.waits_for })
        });
        shown.collect()
    }

    /// What would be refused or is missing, one thing a line.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for stream in self.streams.iter().filter(|stream| !stream.connected) {
            let why = stream.lost.as_deref().unwrap_or("no answer");
            problems.push(format!("the management server {} cannot be reached: {why}", stream.server));
        }
        for ((kind, name), resource) in &self.resources {
            if let Some(why) = resource.why() {
                problems.push(format!("{kind} {name}: {why}"));
            }
        }
        let whole = self.types.iter().filter_map(|(kind, last)| Some((kind, last.refused.as_ref()?)));
        for (kind, why) in whole {
            if !self.of(*kind).any(|(_, resource)| resource.refused.is_some()) {
                problems.push(format!("{kind}: {why}"));
            }
        }
        problems
    }
}

/// Columns as wide as they need to be, the last one as it is.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut text = String::new();
    let widths: Vec<usize> =
        (0..N).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
