//! What the processes of a group say while they import the application is the same: it is shown once.

#![forbid(unsafe_code)]

use std::collections::HashMap;

/// Texts of one start, and how often each process has said them.
#[derive(Debug, Default)]
pub struct Echoes {
    said: HashMap<String, Said>,
}

#[derive(Debug, Default)]
struct Said {
    /// The most that a single process has said it.
    shown: u32,
    by: HashMap<u32, u32>,
}

impl Echoes {
    /// Notes that process `pid` says `text`; true when another one has said it already, as often as this one now.
    pub fn is_echo(&mut self, pid: u32, text: &str) -> bool {
        let said = self.said.entry(text.to_owned()).or_default();
        let times = said.by.entry(pid).or_default();
        *times += 1;
        let is_echo = *times <= said.shown;
        said.shown = said.shown.max(*times);
        is_echo
    }

    /// Whether a process has said something that begins with `text`.
    pub fn has_beginning(&self, text: &str) -> bool {
        self.said.keys().any(|said| said.starts_with(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_may_repeat_itself_and_none_another() {
        let mut echoes = Echoes::default();
        let mut is_shown = |pid, text| !echoes.is_echo(pid, text);
        assert!(is_shown(1, "a"));
        assert!(is_shown(1, "a"));
        assert!(!is_shown(2, "a"));
        assert!(is_shown(2, "b"));
        assert!(!is_shown(1, "b"));
        assert!(!is_shown(2, "a"));
        assert!(is_shown(2, "a"));
    }
}
