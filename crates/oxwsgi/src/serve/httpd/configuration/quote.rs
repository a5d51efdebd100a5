//! Paths as httpd's configuration takes them: as arguments of directives, and in sections.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::Path;

use crate::problem::Problem;
use crate::serve::quote::{Notation, word};

const HTTPD: Notation = Notation { server: "an httpd", variable: "${", reading: "httpd replaces ${...}" };

/// Lets httpd hand out one file.
pub(super) fn access_to_file(out: &mut String, file: &Path) -> Result<(), Problem> {
    let [open_directory, close_directory] = section("Directory", file.parent().unwrap_or(Path::new("/")))?;
    let [open_file, close_file] = section("Files", Path::new(file.file_name().unwrap_or_default()))?;
    let _ = writeln!(
        out,
        "{open_directory}\n    {open_file}\n        Require all granted\n    {close_file}\n{close_directory}"
    );
    Ok(())
}

/// The lines around a section for one directory or file. httpd takes `*`, `?` and `[` in them for wildcards; a path that
/// has them needs a regular expression, in which they can be escaped.
pub(super) fn section(kind: &str, path: &Path) -> Result<[String; 2], Problem> {
    let text = plain(path)?;
    if !text.contains(['*', '?', '[', ']']) {
        return Ok([format!("<{kind} {}>", quoted(path)?), format!("</{kind}>")]);
    }
    let mut pattern = String::from("^");
    for c in text.chars() {
        if c.is_ascii_punctuation() && c != '/' {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push_str("(?:/|$)");
    Ok([format!("<{kind}Match {}>", quoted(Path::new(&pattern))?), format!("</{kind}Match>")])
}

/// A path as an argument of a directive.
pub(super) fn quoted(path: &Path) -> Result<String, Problem> {
    Ok(word(plain(path)?))
}

/// A path in a list that colons separate.
pub(super) fn quoted_entry(path: &Path) -> Result<String, Problem> {
    Ok(word(HTTPD.entry(path)?))
}

/// A path without anything that means something else to httpd.
pub(super) fn plain(path: &Path) -> Result<&str, Problem> {
    HTTPD.plain(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_or_refused() {
        assert_eq!(quoted(Path::new("/a b")), Ok("\"/a b\"".to_owned()));
        assert_eq!(quoted_entry(Path::new("/a")), Ok("\"/a\"".to_owned()));
        assert!(quoted_entry(Path::new("/a:b")).is_err());
        let refusal = quoted(Path::new("/a/${PATH}")).unwrap_err().to_string();
        assert!(
            refusal.contains("/a/${PATH} cannot be written in an httpd configuration: httpd replaces"),
            "{refusal}"
        );
    }
}
