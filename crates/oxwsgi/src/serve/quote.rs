//! Text and paths as words of a configuration, in quotes that httpd and nginx read alike. Each server's own `quote` says
//! with a [`Notation`] what it would read as something else, and refuses that here.

#![forbid(unsafe_code)]

use std::path::Path;

use crate::problem::Problem;

/// What a path must not have in the configuration of one server.
#[derive(Debug)]
pub struct Notation {
    /// The server, with its article.
    pub server: &'static str,
    /// What starts a variable, even in quotes.
    pub variable: &'static str,
    /// How the server reads that.
    pub reading: &'static str,
}

impl Notation {
    /// A path without anything that means something else to the server.
    ///
    /// # Errors
    /// It has something that does.
    pub fn plain<'a>(&self, path: &'a Path) -> Result<&'a str, Problem> {
        let unusable = |why: &str| {
            let (path, server) = (path.display(), self.server);
            Problem::new(format!("{path} cannot be written in {server} configuration: {why}"))
                .cure("rename it")
        };
        let text = path.to_str().ok_or_else(|| unusable("its name is not UTF-8"))?;
        if text.chars().any(char::is_control) {
            return Err(unusable("its name has control characters"));
        }
        if text.contains(self.variable) {
            return Err(unusable(self.reading));
        }
        Ok(text)
    }

    /// The same of a path in a list that colons separate.
    ///
    /// # Errors
    /// It has a colon, or something that means something else.
    pub fn entry<'a>(&self, path: &'a Path) -> Result<&'a str, Problem> {
        let text = self.plain(path)?;
        if text.contains(':') {
            return Err(Problem::new(format!("{} has a colon in its name", path.display()))
                .detail("Directories to import from are separated by colons.")
                .cure("rename the directory"));
        }
        Ok(text)
    }
}

/// Any text as one word.
pub fn word(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    const PERCENT: Notation = Notation { server: "a", variable: "%", reading: "it has a %" };

    #[test]
    fn a_word_is_quoted() {
        assert_eq!(word("/a \"b\"\\c;{}#"), "\"/a \\\"b\\\"\\\\c;{}#\"");
    }

    #[test]
    fn paths_are_plain_or_refused() {
        assert_eq!(PERCENT.plain(Path::new("/a:b $c")), Ok("/a:b $c"));
        let unreadable = Path::new(OsStr::from_bytes(b"/\xff"));
        for path in [unreadable, Path::new("/a\nload"), Path::new("/a%b")] {
            assert!(PERCENT.plain(path).is_err(), "{} was accepted", path.display());
        }
        assert_eq!(PERCENT.entry(Path::new("/a")), Ok("/a"));
        assert!(PERCENT.entry(Path::new("/a:b")).is_err());
    }
}
