//! Log lines in a form of somebody's own, written in the patterns of spdlog (Envoy's `--log-format`).

use std::{
    cell::OnceCell,
    fmt::{self, Write as _},
    fs, process,
    time::{Duration, SystemTime},
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::{as_envoy::components::component, in_force::date};

/// A form of log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    /// Control characters in messages are written as escapes.
    escapes: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A letter, and the least width; a negative one is filled on the right.
    Operator(char, i32),
}

/// What a line is about.
struct Line<'l> {
    message: &'l str,
    level: Level,
    target: &'l str,
    file: &'l str,
    line: u32,
    /// Since 1970.
    time: Duration,
}

impl Pattern {
    /// What is no operator is written as it is.
    pub(crate) fn new(text: &str, escapes: bool) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            literal.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let digits =
                after.find(|letter: char| !letter.is_ascii_digit() && letter != '-' && letter != '=');
            let (width, operator) = after.split_at(digits.unwrap_or(after.len()));
            let Some(letter) = operator.chars().next() else {
                literal.push_str(&rest[at..]);
                rest = "";
                break;
            };
            rest = &operator[letter.len_utf8()..];
            match letter {
                '%' => literal.push('%'),
                letter if OPERATORS.contains(letter) => {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                    let width = width.trim_start_matches('=').parse::<i32>().unwrap_or(0).clamp(-64, 64);
                    parts.push(Part::Operator(letter, width));
                }
                // Colours begin and end here, of which a file has none.
                '^' | '$' => {}
                letter => {
                    literal.push('%');
                    literal.push_str(width);
                    literal.push(letter);
                }
            }
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Self { parts, escapes }
    }

    fn write(&self, line: &Line<'_>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Operator(letter, width) => {
                    let value = if *letter == 'v' && self.escapes {
                        line.message.escape_debug().to_string()
                    } else {
                        operator(*letter, line)
                    };
                    let least = usize::try_from(width.unsigned_abs()).unwrap_or(0);
                    // Writing to a string cannot fail.
                    let _ = match width {
                        ..0 => write!(text, "{value:<least$}"),
                        _ => write!(text, "{value:>least$}"),
                    };
                }
            }
        }
        text
    }
}

const OPERATORS: &str = "vtPnlLaAbBcCYDxmdHIMSefFprRTXzEgs#@!j_";
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// What an operator stands for. Times are those of UTC.
fn operator(letter: char, line: &Line<'_>) -> String {
    let (year, month, day) = date(line.time.as_secs() / 86_400);
    let of_day = line.time.as_secs() % 86_400;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let half = if hour < 12 { "AM" } else { "PM" };
    let hour_of_half = (hour + 11) % 12 + 1;
    let day_name = DAYS[usize::try_from(line.time.as_secs() / 86_400 % 7).unwrap_or(0)];
    let month_name = MONTHS[usize::try_from(month.saturating_sub(1)).unwrap_or(0).min(11)];
    let (level, letter_of_level) = match line.level {
        Level::ERROR => ("error", "E"),
        Level::WARN => ("warning", "W"),
        Level::INFO => ("info", "I"),
        Level::DEBUG => ("debug", "D"),
        Level::TRACE => ("trace", "T"),
    };
    match letter {
        'v' => line.message.to_owned(),
        'j' => {
            let quoted = serde_json::Value::from(line.message).to_string();
            quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
        }
        '_' => line.message.replace('\n', "\\n"),
        't' => thread_id().to_string(),
        'P' => process::id().to_string(),
        'n' => component(line.target).to_owned(),
        'l' => level.to_owned(),
        'L' => letter_of_level.to_owned(),
        'a' => day_name[..3].to_owned(),
        'A' => day_name.to_owned(),
        'b' => month_name[..3].to_owned(),
        'B' => month_name.to_owned(),
        'c' => format!(
            "{} {} {day:02} {hour:02}:{minute:02}:{second:02} {year:04}",
            &day_name[..3],
            &month_name[..3]
        ),
        'C' => format!("{:02}", year % 100),
        'Y' => format!("{year:04}"),
        'D' | 'x' => format!("{month:02}/{day:02}/{:02}", year % 100),
        'm' => format!("{month:02}"),
        'd' => format!("{day:02}"),
        'H' => format!("{hour:02}"),
        'I' => format!("{hour_of_half:02}"),
        'M' => format!("{minute:02}"),
        'S' => format!("{second:02}"),
        'e' => format!("{:03}", line.time.subsec_millis()),
        'f' => format!("{:06}", line.time.subsec_micros()),
        'F' => format!("{:09}", line.time.subsec_nanos()),
        'p' => half.to_owned(),
        'r' => format!("{hour_of_half:02}:{minute:02}:{second:02} {half}"),
        'R' => format!("{hour:02}:{minute:02}"),
        'T' | 'X' => format!("{hour:02}:{minute:02}:{second:02}"),
        'z' => "+00:00".to_owned(),
        'E' => line.time.as_secs().to_string(),
        'g' => line.file.to_owned(),
        's' => line.file.rsplit('/').next().unwrap_or_default().to_owned(),
        '#' => line.line.to_string(),
        '@' => format!("{}:{}", line.file, line.line),
        // The name of the function is not kept.
        _ => String::new(),
    }
}

/// The number of the thread, as the system has it.
fn thread_id() -> u32 {
    thread_local! {
        static ID: OnceCell<u32> = const { OnceCell::new() };
    }
    let read = || {
        let link = fs::read_link("/proc/thread-self").ok()?;
        link.file_name()?.to_str()?.parse().ok()
    };
    ID.with(|id| *id.get_or_init(|| read().unwrap_or_else(process::id)))
}

impl<S, N> FormatEvent<S, N> for Pattern
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut message = String::new();
        context.field_format().format_fields(Writer::new(&mut message), event)?;
        let metadata = event.metadata();
        let line = Line {
            message: &message,
            level: *metadata.level(),
            target: metadata.target(),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or(0),
            time: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        };
        writeln!(writer, "{}", self.write(&line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::as_envoy::DEFAULT_LOG_FORMAT;

    fn written(pattern: &str, escapes: bool) -> String {
        let line = Line {
            message: "hello\n\"you\"",
            level: Level::WARN,
            target: "tollgate_proxy::upstream::pool",
            file: "crates/a/src/b.rs",
            line: 7,
            time: Duration::new(1_795_683_303, 12_345_678),
        };
        Pattern::new(pattern, escapes).write(&line)
    }

    #[test]
    fn lines_have_the_form_that_is_asked_for() {
        for (pattern, expected) in [
            (
                "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t",
                "2026-11-26T08:55:03.012345Z\twarning\tenvoy pool crates/a/src/b.rs:7\t",
            ),
            ("%a %A %b %B %C %D %x", "Thu Thursday Nov November 26 11/26/26 11/26/26"),
            ("%c|%r|%R|%X|%p|%I", "Thu Nov 26 08:55:03 2026|08:55:03 AM|08:55|08:55:03|AM|08"),
            ("%L %s %@ %E %e %F %z", "W b.rs crates/a/src/b.rs:7 1795683303 012 012345678 +00:00"),
            ("[%8l][%-8l]%^%$", "[ warning][warning ]"),
            ("100%% %Q %", "100% %Q %"),
            ("%v", "hello\n\"you\""),
            ("%j|%_", "hello\\n\\\"you\\\"|hello\\n\"you\""),
            ("%!", ""),
        ] {
            assert_eq!(written(pattern, false), expected, "{pattern}");
        }
        assert_eq!(written("%v", true), "hello\\n\\\"you\\\"");
        let line = written(DEFAULT_LOG_FORMAT, false);
        assert!(line.starts_with("[2026-11-26 08:55:03.012]["), "{line}");
        assert!(line.ends_with("][warning][pool] [crates/a/src/b.rs:7] hello\n\"you\""), "{line}");
    }
}
