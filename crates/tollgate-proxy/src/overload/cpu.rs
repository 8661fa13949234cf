//! Processor time, of the machine or of the control group.

use std::{path::Path, time::Instant};

use super::memory::read;

/// How much the last look counts, as in Envoy.
const WEIGHT: f64 = 0.05;

/// What was seen of the processor.
#[derive(Debug, Default)]
pub(super) struct Cpu {
    before: Option<Sample>,
    smoothed: f64,
}

/// Sums since some moment, in the same unit.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    used: f64,
    available: f64,
}

impl Cpu {
    /// The share of the processor that is used. Root of the control group, or of the system's figures without one.
    pub(super) fn pressure(&mut self, proc: &Path, group: Option<&Path>, began: Instant) -> Option<f64> {
        let sample = match group {
            None => machine(proc)?,
            Some(root) => Sample {
                used: group_seconds(root)?,
                available: Instant::now().saturating_duration_since(began).as_secs_f64() * cores(root),
            },
        };
        self.note(sample)
    }

    fn note(&mut self, sample: Sample) -> Option<f64> {
        let before = self.before.replace(sample).unwrap_or(sample);
        let (used, available) = (sample.used - before.used, sample.available - before.available);
        if used < 0.0 || available < 0.0 {
            return None;
        }
        // Two looks at the same moment say nothing.
        if available > 0.0 {
            self.smoothed += WEIGHT * ((used / available).min(1.0) - self.smoothed);
        }
        Some(self.smoothed)
    }
}

/// Ticks of work and of everything but waiting for disks, as in Envoy.
fn machine(proc: &Path) -> Option<Sample> {
    let text = read(&proc.join("stat"))?;
    let mut words = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let mut next = || words.next()?.parse::<f64>().ok();
    let used = next()? + next()? + next()?;
    Some(Sample { used, available: used + next()? })
}

/// Seconds that the group has used. Second version of control groups, then first.
fn group_seconds(root: &Path) -> Option<f64> {
    if let Some(text) = read(&root.join("cpu.stat"))
        && let Some(line) = text.lines().find_map(|line| line.strip_prefix("usage_usec "))
    {
        return Some(line.trim().parse::<f64>().ok()? / 1e6);
    }
    Some(read(&root.join("cpuacct/cpuacct.usage"))?.trim().parse::<f64>().ok()? / 1e9)
}

/// Processors that the group may use at a time.
fn cores(root: &Path) -> f64 {
    let all = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| *number > 0.0);
    let quota = read(&root.join("cpu.max")).and_then(|text| {
        let (quota, period) = text.trim().split_once(' ')?;
        Some(number(quota)? / number(period)?)
    });
    let quota = quota.or_else(|| {
        let file = |name: &str| read(&root.join(name)).as_deref().and_then(number);
        Some(file("cpu/cpu.cfs_quota_us")? / file("cpu/cpu.cfs_period_us")?)
    });
    quota.map_or(all, |quota| quota.min(all))
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    #[test]
    fn the_machine_works_and_waits() {
        let root = std::env::temp_dir().join(format!("tollgate-{}-stat", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let mut cpu = Cpu::default();
        let mut look = |line: &str| {
            fs::write(root.join("stat"), format!("{line}\ncpu0 1 2 3 4\n")).unwrap();
            cpu.pressure(&root, None, Instant::now())
        };
        assert_eq!(look("cpu  10 0 10 80 7 7"), Some(0.0));
        // All of the time since then, but one look counts a twentieth.
        assert!((look("cpu  60 20 30 80 9 9").unwrap() - 0.05).abs() < 1e-9);
        assert!((look("cpu  60 20 30 90 9 9").unwrap() - 0.0475).abs() < 1e-9);
        // Time does not run backwards, and nonsense is no number.
        assert_eq!(look("cpu  1 1 1 1"), None);
        assert_eq!(look("processor 1"), None);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_group_uses_a_share_of_its_quota() {
        let root = std::env::temp_dir().join(format!("tollgate-{}-cpu-group", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("cpuacct")).unwrap();
        let mut cpu = Cpu::default();
        let began = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        assert_eq!(cpu.pressure(&root, Some(&root), began), None);
        fs::write(root.join("cpuacct/cpuacct.usage"), "2000000000\n").unwrap();
        assert_eq!(group_seconds(&root), Some(2.0));
        fs::write(root.join("cpu.stat"), "usage_usec 3000000\nuser_usec 1\n").unwrap();
        assert_eq!(group_seconds(&root), Some(3.0));
        fs::write(root.join("cpu.max"), "50000 100000\n").unwrap();
        assert!((cores(&root) - 0.5).abs() < 1e-9);
        fs::write(root.join("cpu.max"), "max 100000\n").unwrap();
        assert!(cores(&root) >= 1.0);
        assert_eq!(cpu.pressure(&root, Some(&root), began), Some(0.0));
        fs::remove_dir_all(&root).unwrap();
    }
}
