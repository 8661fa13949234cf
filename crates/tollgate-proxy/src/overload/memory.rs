//! Memory of the process and of its control group, as the system tells it.

use std::{fs::File, io::Read, path::Path};

/// Longest file that is read.
const LONGEST: u64 = 4096;

/// Resident memory of the process that is no part of a file, bytes.
pub(super) fn resident() -> Option<u64> {
    let status = read(Path::new("/proc/self/status"))?;
    kibibytes(&status, "RssAnon:").or_else(|| kibibytes(&status, "VmRSS:"))
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The share of its memory that the control group uses, where `most` may be less than its limit. Second version of
/// control groups, then first.
pub(super) fn cgroup_pressure(root: &Path, most: Option<u64>) -> Option<f64> {
    let files =
        [("memory.current", "memory.max"), ("memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes")];
    let number = |name: &str| read(&root.join(name))?.trim().parse::<u64>().ok();
    files.iter().find_map(|(used, limit)| {
        let used = number(used)?;
        // `max` is no number: there is no limit then.
        let limit = number(limit).into_iter().chain(most).min()?;
        Some(if limit == 0 { 1.0 } else { used as f64 / limit as f64 })
    })
}

/// The beginning of a file.
pub(super) fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_process_has_memory() {
        let resident = resident().unwrap();
        assert!((1 << 20..1 << 40).contains(&resident), "{resident}");
    }

    #[test]
    fn control_groups_of_both_versions() {
        let root = std::env::temp_dir().join(format!("tollgate-{}-cgroup", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("memory")).unwrap();
        assert_eq!(cgroup_pressure(&root, Some(1)), None);
        fs::write(root.join("memory/memory.usage_in_bytes"), "50\n").unwrap();
        fs::write(root.join("memory/memory.limit_in_bytes"), "200\n").unwrap();
        assert_eq!(cgroup_pressure(&root, None), Some(0.25));
        fs::write(root.join("memory.current"), "50\n").unwrap();
        fs::write(root.join("memory.max"), "max\n").unwrap();
        assert_eq!(cgroup_pressure(&root, Some(100)), Some(0.5));
        fs::write(root.join("memory.max"), "50\n").unwrap();
        assert_eq!(cgroup_pressure(&root, Some(100)), Some(1.0));
        fs::remove_dir_all(&root).unwrap();
    }
}
