//! The flags of Envoy 1.40, and how they are read: each value is an argument of its own, nothing is abbreviated, and `--` ends them.

use std::collections::BTreeMap;

use super::usage;

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing: it is on.
    Nothing,
    /// A text.
    Text,
    /// A number from 0 to 4294967295.
    Number,
}

/// A flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    pub(super) takes: Takes,
    /// It may come several times.
    pub(super) is_repeated: bool,
    /// For people who ask for help.
    pub(super) help: &'static str,
}

const fn flag(name: &'static str, takes: Takes, help: &'static str) -> Flag {
    Flag { name, short: None, takes, is_repeated: false, help }
}

const fn short(letter: char, flag: Flag) -> Flag {
    Flag { short: Some(letter), ..flag }
}

const NO_HOT_RESTART: &str = "No effect: there is no hot restart.";
const NO_FLUSH: &str = "No effect: access logs are written as they come.";

/// Every flag.
pub(super) static FLAGS: [Flag; 40] = [
    short('c', flag("config-path", Takes::Text, "File of the bootstrap.")),
    flag(
        "config-yaml",
        Takes::Text,
        "YAML or JSON that is merged over the file, as protobuf merges messages.",
    ),
    flag("mode", Takes::Text, "serve, validate (read the bootstrap and exit) or init_only (start and exit)."),
    flag("service-cluster", Takes::Text, "Instead of node.cluster of the bootstrap."),
    flag("service-node", Takes::Text, "Instead of node.id of the bootstrap."),
    flag("service-zone", Takes::Text, "Instead of node.locality.zone of the bootstrap."),
    flag(
        "concurrency",
        Takes::Number,
        "Threads that serve requests. Default: as many as there are processors for the process.",
    ),
    flag(
        "cpuset-threads",
        Takes::Nothing,
        "No effect: the processors that the process may use are counted in any case.",
    ),
    short(
        'l',
        flag(
            "log-level",
            Takes::Text,
            "trace, debug, info, warning (warn), error, critical or off. Default: info.",
        ),
    ),
    flag(
        "component-log-level",
        Takes::Text,
        "Levels of parts by Envoy's names: upstream:debug,config:trace.",
    ),
    flag("log-format", Takes::Text, "Form of log lines, in the patterns of spdlog."),
    flag(
        "log-format-escaped",
        Takes::Nothing,
        "Control characters within log messages are written as escapes.",
    ),
    flag("log-path", Takes::Text, "File that log lines are added to, instead of standard error."),
    flag("enable-fine-grain-logging", Takes::Nothing, "No effect: levels of parts can be set in any case."),
    flag("log-stacktrace-single-entry", Takes::Nothing, "No effect: no stack traces are logged."),
    flag("skip-deprecated-logs", Takes::Nothing, "No effect: deprecated fields are refused or noted."),
    flag("admin-address-path", Takes::Text, "File that the address of the admin server is written to."),
    flag(
        "drain-time-s",
        Takes::Number,
        "Seconds that connections may go on when their listener is removed. Default: 600.",
    ),
    flag(
        "drain-strategy",
        Takes::Text,
        "gradual or immediate. No effect: connections end with their next response.",
    ),
    flag("parent-shutdown-time-s", Takes::Number, NO_HOT_RESTART),
    flag("base-id", Takes::Number, "No effect but at --base-id-path: nothing is shared between processes."),
    flag("use-dynamic-base-id", Takes::Nothing, "The base ID that is written is chosen by chance."),
    flag("base-id-path", Takes::Text, "File that the base ID is written to."),
    flag("restart-epoch", Takes::Number, "0, unless hot restart is off: there is no hot restart."),
    flag("disable-hot-restart", Takes::Nothing, NO_HOT_RESTART),
    flag(
        "skip-hot-restart-on-no-parent",
        Takes::Nothing,
        "A restart epoch is taken without a process before.",
    ),
    flag("skip-hot-restart-parent-stats", Takes::Nothing, NO_HOT_RESTART),
    flag("socket-path", Takes::Text, NO_HOT_RESTART),
    flag("socket-mode", Takes::Text, NO_HOT_RESTART),
    flag("allow-unknown-fields", Takes::Nothing, "No effect: unknown fields are refused."),
    flag("allow-unknown-static-fields", Takes::Nothing, "No effect: unknown fields are refused."),
    flag("reject-unknown-dynamic-fields", Takes::Nothing, "No effect: unknown fields are refused."),
    flag("ignore-unknown-dynamic-fields", Takes::Nothing, "No effect: unknown fields are refused."),
    flag("local-address-ip-version", Takes::Text, "v4 or v6. No effect: the node has no address."),
    flag("file-flush-interval-msec", Takes::Number, NO_FLUSH),
    flag("file-flush-min-size-kb", Takes::Number, NO_FLUSH),
    flag("disable-extensions", Takes::Text, "Not supported: leave them out of the configuration."),
    Flag {
        is_repeated: true,
        ..flag(
            "stats-tag",
            Takes::Text,
            "TAG:VALUE: a label of every metric for Prometheus. May be repeated.",
        )
    },
    flag("enable-core-dump", Takes::Nothing, "No effect: the system decides."),
    flag("enable-mutex-tracing", Takes::Nothing, "No effect: there is nothing to trace."),
];

/// Flags that are answered instead of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Help,
    Version,
    HotRestartVersion,
}

/// What was typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    values: BTreeMap<&'static str, Vec<String>>,
    pub(super) question: Option<Question>,
}

impl Typed {
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub(super) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The text of a flag. An empty one is none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.all(name).first().and_then(|text| text.parse().ok())
    }
}

/// Reads arguments.
///
/// # Errors
/// Why they are none, in Envoy's words.
pub(super) fn read(program: &str, arguments: &[String]) -> Result<Typed, String> {
    let mut typed = Typed::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let question = match argument.as_str() {
            // Whoever starts the process may have more to say, but not to it.
            "--" | "--ignore_rest" => break,
            "-h" | "--help" => Some(Question::Help),
            "--version" => Some(Question::Version),
            "--hot-restart-version" => Some(Question::HotRestartVersion),
            _ => None,
        };
        if question.is_some() {
            typed.question = typed.question.or(question);
            continue;
        }
        let is_named = |flag: &&Flag| {
            argument.strip_prefix("--").is_some_and(|name| name == flag.name)
                || argument
                    .strip_prefix('-')
                    .is_some_and(|letter| flag.short.is_some_and(|short| letter == short.to_string()))
        };
        let Some(flag) = FLAGS.iter().find(is_named) else {
            return Err(wrong(program, argument, "Couldn't find match for argument"));
        };
        let id = flag
            .short
            .map_or_else(|| format!("(--{})", flag.name), |short| format!("-{short} (--{})", flag.name));
        let values = typed.values.entry(flag.name).or_default();
        if !values.is_empty() && !flag.is_repeated {
            return Err(wrong(program, &id, "Argument already set!"));
        }
        let value = if flag.takes == Takes::Nothing { Some(String::new()) } else { rest.next().cloned() };
        let Some(value) = value else {
            return Err(wrong(program, &id, "Missing a value for this argument!"));
        };
        if flag.takes == Takes::Number && value.parse::<u32>().is_err() {
            return Err(wrong(program, &id, &format!("Couldn't read argument value from string '{value}'")));
        }
        values.push(value);
    }
    Ok(typed)
}

fn wrong(program: &str, argument: &str, reason: &str) -> String {
    format!("PARSE ERROR: Argument: {argument}\n             {reason}\n\n{}", usage::brief(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(arguments: &[&str]) -> Result<Typed, String> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        read("envoy", &arguments)
    }

    #[test]
    fn values_are_arguments_of_their_own() {
        let typed = typed(&[
            "-c",
            "/etc/envoy.yaml",
            "--service-node",
            "-n",
            "-l",
            "warn",
            "--concurrency",
            "4",
            "--cpuset-threads",
            "--stats-tag",
            "a:b",
            "--stats-tag",
            "c:d",
            "--config-yaml",
            "",
            "--",
            "--run-id",
            "7",
        ])
        .unwrap();
        assert_eq!(typed.text("config-path"), Some("/etc/envoy.yaml"));
        assert_eq!(typed.text("service-node"), Some("-n"));
        assert_eq!(typed.text("log-level"), Some("warn"));
        assert_eq!(typed.number("concurrency"), Some(4));
        assert!(typed.has("cpuset-threads") && !typed.has("disable-hot-restart"));
        assert_eq!(typed.all("stats-tag"), ["a:b", "c:d"]);
        assert_eq!(typed.text("config-yaml"), None);
        assert_eq!(typed.question, None);
    }

    #[test]
    fn what_envoy_refuses_is_refused_in_its_words() {
        for (arguments, expected) in [
            (&["--bogus"] as &[_], "Argument: --bogus\n             Couldn't find match for argument"),
            (&["-x"], "Argument: -x\n             Couldn't find match for argument"),
            (&["extra"], "Argument: extra\n             Couldn't find match for argument"),
            (
                &["--config-path=/a"],
                "Argument: --config-path=/a\n             Couldn't find match for argument",
            ),
            (&["-c/a"], "Argument: -c/a\n             Couldn't find match for argument"),
            (&["--conc", "3"], "Argument: --conc\n             Couldn't find match for argument"),
            (&["-c"], "Argument: -c (--config-path)\n             Missing a value for this argument!"),
            (&["--mode"], "Argument: (--mode)\n             Missing a value for this argument!"),
            (
                &["-l", "info", "--log-level", "off"],
                "Argument: -l (--log-level)\n             Argument already set!",
            ),
            (
                &["--cpuset-threads", "--cpuset-threads"],
                "Argument: (--cpuset-threads)\n             Argument already set!",
            ),
            (
                &["--concurrency", "abc"],
                "Argument: (--concurrency)\n             Couldn't read argument value from string 'abc'",
            ),
            (
                &["--base-id", "4294967296"],
                "Argument: (--base-id)\n             Couldn't read argument value from string '4294967296'",
            ),
        ] {
            let error = typed(arguments).unwrap_err();
            assert!(error.starts_with(&format!("PARSE ERROR: {expected}\n")), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = FLAGS.iter().map(|flag| flag.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
