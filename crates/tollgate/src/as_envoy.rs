//! A process that was started as `envoy`: by that name, or as `tollgate envoy`. It takes Envoy's flags and behaves as Envoy does.

pub(crate) mod components;
mod flags;
mod options;
mod usage;

use std::{env, path::Path};

use self::flags::Question;
pub(crate) use self::options::{DEFAULT_LOG_FORMAT, EnvoyOptions, Mode};

/// The version of Envoy that this program acts as.
pub(crate) const ENVOY_VERSION: &str = "1.40.0";

/// What Envoy says without hot restart.
pub(crate) const HOT_RESTART_VERSION: &str = "disabled";

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Wish {
    /// To run with these options.
    Run(Box<EnvoyOptions>),
    /// To say something on standard output.
    Say(String),
    /// To say something on standard error.
    SayAside(String),
    /// To complain, and fail.
    Fail(String),
}

/// The name of the program and its arguments, if it was started as `envoy`.
pub(crate) fn started_as_envoy() -> Option<(String, Vec<String>)> {
    let mut arguments = env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next()?;
    let is_named = Path::new(&program).file_name().is_some_and(|name| name == "envoy");
    if is_named {
        return Some((program, arguments.collect()));
    }
    (arguments.next()? == "envoy").then(|| (format!("{program} envoy"), arguments.collect()))
}

/// What the arguments ask for.
pub(crate) fn wish(program: &str, arguments: &[String]) -> Wish {
    let typed = match flags::read(program, arguments) {
        Ok(typed) => typed,
        Err(error) => return Wish::Fail(format!("{error}\n")),
    };
    match typed.question {
        Some(Question::Help) => return Wish::Say(usage::full(program)),
        Some(Question::Version) => return Wish::Say(format!("\n{program}  version: {}\n\n", version())),
        Some(Question::HotRestartVersion) => return Wish::SayAside(HOT_RESTART_VERSION.to_owned()),
        None => {}
    }
    match EnvoyOptions::new(&typed) {
        Ok(options) => Wish::Run(Box::new(options)),
        Err(error) => Wish::Fail(format!("{error}\n")),
    }
}

/// Envoy's form: revision, version, state of the sources, kind of build, TLS library.
pub(crate) fn version() -> String {
    let build = if cfg!(debug_assertions) { "DEBUG" } else { "RELEASE" };
    format!("tollgate-{}/{ENVOY_VERSION}/Clean/{build}/AWS-LC", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_has_envoys_form() {
        let Wish::Say(text) = wish("/usr/bin/envoy", &["--version".to_owned()]) else { panic!("no answer") };
        let parts: Vec<&str> = text.split('/').collect();
        assert!(text.starts_with("\n/usr/bin/envoy  version: tollgate-"), "{text}");
        assert_eq!((parts.len(), parts[4]), (8, "1.40.0"), "{text}");
    }
}
