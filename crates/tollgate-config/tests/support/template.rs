//! Texts that are inserted into another one.

/// Inserts what `input` says at the places of `base` that it names. A place is a comment (`#ROUTES`); an input names it at
/// the beginning of a line (`ROUTES:`), and the indented lines that follow are inserted with the indentation of the place.
/// Other comments of the base are left out.
pub(crate) fn fill(base: &str, input: &str) -> String {
    let mut parts: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in input.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match (line.strip_prefix("  "), parts.last_mut()) {
            (Some(inserted), Some((_, lines))) => lines.push(inserted),
            _ => parts.push((line.trim_end_matches(':'), Vec::new())),
        }
    }
    let mut filled = String::new();
    for line in base.lines() {
        let Some((indentation, place)) = line.split_once('#').filter(|(before, _)| before.trim().is_empty())
        else {
            filled.push_str(line);
            filled.push('\n');
            continue;
        };
        for (_, lines) in parts.iter().filter(|(name, _)| *name == place) {
            for line in lines {
                filled.push_str(indentation);
                filled.push_str(line);
                filled.push('\n');
            }
        }
    }
    for (name, _) in &parts {
        assert!(base.contains(&format!("#{name}\n")), "there is no place {name}");
    }
    filled
}
