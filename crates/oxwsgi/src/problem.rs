//! What the user reads when something is wrong: what happened, what is known about it, and what to do.
//!
//! Every failure of the command is one `Problem`, printed once by `main`. It never carries a Rust error alone.

#![forbid(unsafe_code)]

use std::fmt;

use anstyle::{AnsiColor, Style};

/// One failure: a sentence, what is known, and the cures to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    summary: String,
    details: Vec<String>,
    cures: Vec<String>,
}

impl Problem {
    /// Starts with the sentence that says what is wrong, without a full stop.
    pub fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), details: Vec::new(), cures: Vec::new() }
    }

    /// Adds a line of what is known.
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Adds one thing that would put it right.
    pub fn cure(mut self, line: impl Into<String>) -> Self {
        self.cures.push(line.into());
        self
    }

    /// Writes it to standard error, in colour on a terminal.
    pub fn print(&self) {
        let error = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
        anstream::eprintln!("{error}error:{error:#} {self}");
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        if !self.details.is_empty() {
            f.write_str("\n")?;
        }
        for line in &self.details {
            write!(f, "\n  {line}")?;
        }
        match self.cures.as_slice() {
            [] => Ok(()),
            [one] => write!(f, "\n\n  What to do: {one}"),
            several => {
                f.write_str("\n\n  What to do, one of:")?;
                several.iter().try_for_each(|cure| write!(f, "\n    - {cure}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cure_stays_on_one_line() {
        let problem = Problem::new("Port 80 is in use").cure("choose another with --port");
        assert_eq!(problem.to_string(), "Port 80 is in use\n\n  What to do: choose another with --port");
    }

    #[test]
    fn several_cures_are_a_list_below_the_details() {
        let problem = Problem::new("No").detail("why").cure("a").cure("b");
        assert_eq!(problem.to_string(), "No\n\n  why\n\n  What to do, one of:\n    - a\n    - b");
    }
}
