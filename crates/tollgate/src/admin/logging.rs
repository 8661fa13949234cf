//! `/logging`: what is logged, and how to change it. The forms are Envoy's.

use hyper::StatusCode;
use percent_encoding::percent_decode_str;
use tracing::level_filters::LevelFilter;

use crate::{
    as_envoy::components::{COMPONENTS, paths},
    logging::{self, LevelError, Levels, level},
};

const USAGE: &str = "usage: /logging?<part>=<level> (change the level of one part)
usage: /logging?paths=part1:level1,part2:level2 (change the levels of parts)
usage: /logging?level=<level> (change the level of the gateway and forget those of parts)
usage: /logging (see the levels in force)
levels: off error warn info debug trace
a part is a path in the source, such as tollgate_proxy or tollgate_proxy::upstream
";

/// Changes what the query asks for and lists the levels in force: of the parts here, or of those that Envoy has.
pub(super) fn answer(query: &str, as_envoy: bool) -> (StatusCode, String) {
    let levels = logging::levels();
    match changed(levels.clone(), query) {
        Ok(wanted) => match if wanted == levels { Ok(()) } else { logging::set_levels(wanted.clone()) } {
            Ok(()) if as_envoy => (StatusCode::OK, format!("active loggers:\n{}", by_component(&wanted))),
            Ok(()) => (StatusCode::OK, format!("active loggers:\n{wanted}")),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n{USAGE}")),
    }
}

fn changed(mut levels: Levels, query: &str) -> Result<Levels, LevelError> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [name, value] = [name, value].map(|text| percent_decode_str(text).decode_utf8_lossy());
        match &*name {
            "level" => levels = Levels::new(level(&value)?),
            "paths" => {
                for change in value.split(',').filter(|change| !change.is_empty()) {
                    let (part, wanted) = change.rsplit_once(':').unwrap_or((change, ""));
                    set(&mut levels, part, wanted)?;
                }
            }
            part => set(&mut levels, part, &value)?,
        }
    }
    Ok(levels)
}

/// The level of a part, by Envoy's name or by its path.
fn set(levels: &mut Levels, part: &str, wanted: &str) -> Result<(), LevelError> {
    let wanted = level(wanted)?;
    match paths(part) {
        Some(paths) => paths.iter().for_each(|path| levels.set(path, wanted)),
        None => levels.set(part, wanted),
    }
    Ok(())
}

/// Envoy's list: every part that it has.
fn by_component(levels: &Levels) -> String {
    let lines = COMPONENTS.iter().map(|(name, paths)| {
        let of_it = paths.first().map_or_else(|| levels.default_level(), |path| levels.of(path));
        let name_of_level = match of_it {
            LevelFilter::WARN => "warning".to_owned(),
            other => other.to_string(),
        };
        format!("  {name}: {name_of_level}\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(query: &str) -> String {
        changed(Levels::default(), query).map_or_else(|error| error.to_string(), |levels| levels.to_string())
    }

    #[test]
    fn levels_change_as_in_envoy() {
        assert_eq!(after(""), "  tollgate: info\n  extproc: info\n  libraries: error\n");
        assert_eq!(after("level=debug"), "  tollgate: debug\n  extproc: debug\n  libraries: error\n");
        assert_eq!(
            after("paths=tollgate_proxy%3A%3Aupstream:debug,h2:warning"),
            "  tollgate: info\n  extproc: info\n  h2: warn\n  tollgate_proxy::upstream: debug\n  libraries: error\n"
        );
        assert_eq!(after("tollgate_proxy=off").lines().nth(2), Some("  tollgate_proxy: off"));
        assert_eq!(after("http=debug").lines().nth(2), Some("  tollgate_proxy::downstream: debug"));
        assert!(by_component(&Levels::default()).contains("  a2a: info\n"));
        let changed = changed(Levels::default(), "paths=upstream:warning").unwrap();
        assert!(by_component(&changed).contains("  upstream: warning\n  udp: info\n"));
        assert!(after("level=loud").contains("loud"));
        assert!(after("paths=h2").contains("\"\""));
    }
}
