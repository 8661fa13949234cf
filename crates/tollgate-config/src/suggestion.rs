//! Suggestions for names that are nearly right.

use std::cell::Cell;

/// Longest name that is compared with others, bytes.
const LONGEST: usize = 64;
/// Shortest beginning of a name that suggests the name.
const SHORTEST_BEGINNING: usize = 4;
/// How often many names are searched for a similar one: suggestions are for people, who fix one problem after the other.
const MOST_SEARCHES: u32 = 50;

/// Searches names without a limit to their number, a limited number of times.
#[derive(Debug)]
pub(crate) struct Suggestions {
    searches_left: Cell<u32>,
}

impl Default for Suggestions {
    fn default() -> Self {
        Self { searches_left: Cell::new(MOST_SEARCHES) }
    }
}

impl Suggestions {
    /// The candidate that is most like `name`.
    pub(crate) fn nearest<'n>(
        &self,
        name: &str,
        candidates: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        let left = self.searches_left.get().checked_sub(1)?;
        self.searches_left.set(left);
        nearest(name, candidates)
    }
}

/// The candidate that is most like `name`, if one is like it at all: by few edits, or because one is the beginning of the
/// other and of no further candidate.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let fold = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    let name = fold(name);
    let mut best: Option<(usize, &str)> = None;
    let (mut continued, mut continuations) = (None, 0);
    for candidate in candidates.into_iter().filter(|candidate| candidate.len() <= LONGEST) {
        let folded = fold(candidate);
        let most = (candidate.len() / 4).clamp(1, 3);
        if folded.len().abs_diff(name.len()) <= 4 * most {
            let distance = distance(&name, &folded);
            if distance <= most && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, candidate));
            }
        }
        let shorter = name.len().min(folded.len());
        if shorter >= SHORTEST_BEGINNING && (folded.starts_with(&name) || name.starts_with(&folded)) {
            continued = Some(candidate);
            continuations += 1;
        }
    }
    best.map(|(_, candidate)| candidate).or_else(|| continued.filter(|_| continuations == 1))
}

/// `did you mean "name"?`
pub(crate) fn did_you_mean(name: &str) -> String {
    format!("did you mean \"{name}\"?")
}

/// Edits (insert, delete, replace, swap of neighbours) between two words; bounded by their lengths.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let mut best =
                (last[column + 1] + 1).min(current[column] + 1).min(last[column] + usize::from(a != b));
            if row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut last, current);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("cluster", "clutser"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn only_near_names_are_suggested() {
        let names = ["message_timeout", "max_message_timeout", "stat_prefix", "name"];
        assert_eq!(nearest("mesage_timeout", names), Some("message_timeout"));
        assert_eq!(nearest("messageTimeOut", names), Some("message_timeout"));
        assert_eq!(nearest("stats_prefix", names), Some("stat_prefix"));
        assert_eq!(nearest("Name", names), Some("name"));
        assert_eq!(nearest("colour", names), None);
        let modes = ["request_header_mode", "request_body_mode", "response_body_mode"];
        assert_eq!(nearest("request_body", modes), Some("request_body_mode"));
        assert_eq!(nearest("request", modes), None, "it begins two of them");
        assert_eq!(nearest("procesor", ["processor", "app"]), Some("processor"));
    }

    #[test]
    fn searches_are_bounded() {
        let long = "a".repeat(10_000_000);
        assert_eq!(nearest(&long, [&*long]), None);
        let suggestions = Suggestions::default();
        let found = (0..100).filter(|_| suggestions.nearest("nam", ["name"]).is_some()).count();
        assert_eq!(found, 50);
    }
}
