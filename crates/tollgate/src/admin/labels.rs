//! Labels that every metric has.

use std::fmt::Write as _;

/// Adds labels to every line of Prometheus' text form that has a value.
pub(super) fn add(text: &str, labels: &[(String, String)]) -> String {
    let mut added = String::new();
    for (name, value) in labels {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = write!(added, ",{name}=\"{value}\"");
    }
    let added = added.trim_start_matches(',');
    let mut labelled = String::with_capacity(text.len() + text.len() / 2);
    for line in text.lines() {
        match (line.starts_with('#'), line.find(['{', ' '])) {
            (false, Some(at)) if line[at..].starts_with("{}") => {
                let _ = write!(labelled, "{}{{{added}}}{}", &line[..at], &line[at + 2..]);
            }
            (false, Some(at)) if line[at..].starts_with('{') => {
                let _ = write!(labelled, "{}{{{added},{}", &line[..at], &line[at + 1..]);
            }
            (false, Some(at)) => {
                let _ = write!(labelled, "{}{{{added}}}{}", &line[..at], &line[at..]);
            }
            _ => labelled.push_str(line),
        }
        labelled.push('\n');
    }
    labelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_them() {
        let text = "# HELP a b\n# TYPE a counter\na 1\nb{x=\"y {\"} 2\nc{} 3\n";
        let labels = [("t".to_owned(), "u\"".to_owned()), ("v".to_owned(), "w".to_owned())];
        assert_eq!(
            add(text, &labels),
            "# HELP a b\n# TYPE a counter\na{t=\"u\\\"\",v=\"w\"} 1\nb{t=\"u\\\"\",v=\"w\",x=\"y {\"} 2\n\
             c{t=\"u\\\"\",v=\"w\"} 3\n"
        );
    }
}
