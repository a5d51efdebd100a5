//! Whether the kernel has been ending processes for want of memory, as the control group of this process counts it
//! (`memory.events` of cgroup v2). A worker that was killed and did not say why has often died of that.

#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

/// The counter, and what it was.
#[derive(Debug)]
pub struct OutOfMemory {
    file: Option<PathBuf>,
    seen: u64,
}

impl OutOfMemory {
    /// Reads the counter, where there is one.
    pub fn watch() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let file = own.map(|own| PathBuf::from("/sys/fs/cgroup").join(own).join("memory.events"));
        let mut watch = Self { file, seen: 0 };
        watch.seen = watch.count();
        watch
    }

    /// Whether it has risen since the last look.
    pub fn has_struck(&mut self) -> bool {
        let now = self.count();
        let before = std::mem::replace(&mut self.seen, now);
        now > before
    }

    fn count(&self) -> u64 {
        let text = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        count_in(&text)
    }
}

fn count_in(events: &str) -> u64 {
    let value = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_among_the_others() {
        assert_eq!(count_in("low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 5\n"), 4);
        assert_eq!(count_in(""), 0);
    }

    #[test]
    fn only_a_rise_is_news() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events");
        fs::write(&file, "oom_kill 1\n").unwrap();
        let mut watch = OutOfMemory { file: Some(file.clone()), seen: 1 };
        assert!(!watch.has_struck());
        fs::write(&file, "oom_kill 2\n").unwrap();
        assert!(watch.has_struck() && !watch.has_struck());
    }
}
