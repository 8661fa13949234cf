//! What is logged: a level for the gateway, and others for parts of it.

use std::{collections::BTreeMap, fmt};

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The parts that the level of the gateway is about. Libraries log errors only, unless they are named: what they say is
/// often the fault of a peer, who could fill the log.
const OWN: [&str; 2] = ["tollgate", "extproc"];

/// Levels of the gateway and of parts of it. A part is named by its path in the source, such as `tollgate_proxy` or
/// `tollgate_proxy::upstream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Levels {
    default: LevelFilter,
    parts: BTreeMap<String, LevelFilter>,
}

/// Why a level is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is not a level: there is off, error, warn, info, debug and trace")]
pub(crate) struct LevelError(String);

impl Default for Levels {
    fn default() -> Self {
        Self::new(LevelFilter::INFO)
    }
}

impl Levels {
    /// The same for everything.
    pub(crate) fn new(default: LevelFilter) -> Self {
        Self { default, parts: BTreeMap::new() }
    }

    /// `info`, `tollgate_proxy=debug` or several of these with commas between them.
    pub(crate) fn parse(text: &str, default: LevelFilter) -> Result<Self, LevelError> {
        let mut levels = Self::new(default);
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            match directive.split_once('=') {
                Some((part, wanted)) => levels.set(part.trim(), level(wanted.trim())?),
                None => levels.default = level(directive)?,
            }
        }
        Ok(levels)
    }

    /// One level for a part.
    pub(crate) fn set(&mut self, part: &str, level: LevelFilter) {
        self.parts.insert(part.to_owned(), level);
    }

    /// That of everything that has none of its own.
    pub(crate) fn default_level(&self) -> LevelFilter {
        self.default
    }

    /// That of a part: of the longest path that its own begins with.
    pub(crate) fn of(&self, part: &str) -> LevelFilter {
        let known = self.parts.iter().filter(|(known, _)| part.starts_with(known.as_str()));
        known.max_by_key(|(known, _)| known.len()).map_or(self.default, |(_, level)| *level)
    }

    /// As a filter of log lines.
    pub(super) fn targets(&self) -> Targets {
        Targets::new()
            .with_default(self.default.min(LevelFilter::ERROR))
            .with_targets(OWN.map(|part| (part, self.default)))
            .with_targets(self.parts.iter().map(|(part, level)| (part.clone(), *level)))
    }
}

/// One a line, `name: level`, as Envoy lists its loggers.
impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = OWN.iter().map(|part| (*part, self.default));
        let own = own.filter(|(part, _)| !self.parts.contains_key(*part));
        let parts = self.parts.iter().map(|(part, level)| (part.as_str(), *level));
        for (part, level) in own.chain(parts) {
            writeln!(f, "  {part}: {level}")?;
        }
        writeln!(f, "  libraries: {}", self.default.min(LevelFilter::ERROR))
    }
}

/// A level by its name. Envoy's names are understood, too.
pub(crate) fn level(name: &str) -> Result<LevelFilter, LevelError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "off" => LevelFilter::OFF,
        "critical" | "error" => LevelFilter::ERROR,
        "warn" | "warning" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(LevelError(name.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn would_log(levels: &Levels, target: &str, level: Level) -> bool {
        levels.targets().would_enable(target, &level)
    }

    #[test]
    fn libraries_log_errors_only_unless_they_are_named() {
        let levels = Levels::parse("debug", LevelFilter::INFO).unwrap();
        assert!(would_log(&levels, "tollgate_proxy::upstream", Level::DEBUG));
        assert!(would_log(&levels, "extproc_client", Level::DEBUG));
        assert!(!would_log(&levels, "h2::proto::ping_pong", Level::WARN));
        assert!(would_log(&levels, "h2::proto::ping_pong", Level::ERROR));
        let levels = Levels::parse("warn, h2=debug", LevelFilter::INFO).unwrap();
        assert!(would_log(&levels, "h2::proto::ping_pong", Level::DEBUG));
        assert!(!would_log(&levels, "tollgate", Level::INFO));
    }

    #[test]
    fn a_part_does_not_change_the_rest() {
        let levels = Levels::parse("tollgate_proxy::upstream=debug", LevelFilter::INFO).unwrap();
        assert!(would_log(&levels, "tollgate_proxy::upstream::dns", Level::DEBUG));
        assert!(!would_log(&levels, "tollgate_proxy::downstream", Level::DEBUG));
        assert!(would_log(&levels, "tollgate_proxy::downstream", Level::INFO));
    }

    #[test]
    fn off_is_off() {
        let levels = Levels::parse("off", LevelFilter::INFO).unwrap();
        assert!(!would_log(&levels, "tollgate", Level::ERROR));
        assert!(!would_log(&levels, "h2", Level::ERROR));
    }

    #[test]
    fn what_is_no_level_is_named() {
        let error = Levels::parse("tollgate=loud", LevelFilter::INFO).unwrap_err();
        assert!(error.to_string().contains("\"loud\""), "{error}");
    }

    #[test]
    fn levels_are_lines() {
        let levels = Levels::parse("warn,h2=debug", LevelFilter::INFO).unwrap();
        assert_eq!(
            levels.to_string(),
            "  tollgate: warn\n  extproc: warn\n  h2: debug\n  libraries: error\n"
        );
    }
}
