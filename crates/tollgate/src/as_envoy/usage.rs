//! What is said to those who ask for help, or need it.

use std::fmt::Write as _;

use super::flags::{FLAGS, Flag, Takes};

const QUESTIONS: [(&str, &str); 3] = [
    ("-h, --help", "Show this text."),
    ("--version", "Show the version of Envoy that this program acts as, and its own."),
    ("--hot-restart-version", "Show with which processes a hot restart is possible: none."),
];

/// The flags.
pub(super) fn full(program: &str) -> String {
    let mut text = format!(
        "\nUSAGE:\n\n   {program} [FLAG [VALUE]]...\n\nTollgate, with the flags of Envoy 1.40. Each value is an argument of its own; what \
         comes after -- is ignored.\n\n"
    );
    let flags = FLAGS.iter().map(|flag| (named(flag), flag.help));
    let questions = QUESTIONS.iter().map(|(names, help)| ((*names).to_owned(), *help));
    for (names, help) in flags.chain(questions) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "   {names}\n     {help}\n");
    }
    text
}

/// What follows an error.
pub(super) fn brief(program: &str) -> String {
    let names: String = FLAGS.iter().map(|flag| format!(" [{}]", named(flag))).collect();
    format!(
        "Brief USAGE:\n   {program} {}\n\nFor complete USAGE and HELP type:\n   {program} --help\n",
        names.trim_start()
    )
}

fn named(flag: &Flag) -> String {
    let value = match flag.takes {
        Takes::Nothing => "",
        Takes::Text => " <string>",
        Takes::Number => " <uint32_t>",
    };
    let short = flag.short.map_or_else(String::new, |letter| format!("-{letter}{value}, "));
    format!("{short}--{}{value}", flag.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_explained() {
        let text = full("envoy");
        for flag in &FLAGS {
            assert!(text.contains(&format!("--{}", flag.name)), "{}", flag.name);
            assert!(flag.help.ends_with('.'), "{}", flag.name);
        }
    }
}
