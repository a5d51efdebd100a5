//! Paths as httpd's configuration takes them: quoted, in sections, and refused where httpd would read something else.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::Path;

use crate::problem::Problem;

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
    Ok(format!("\"{}\"", plain(path)?.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A path in a list that colons separate.
pub(super) fn quoted_entry(path: &Path) -> Result<String, Problem> {
    if plain(path)?.contains(':') {
        return Err(Problem::new(format!("{} has a colon in its name", path.display()))
            .detail("Directories to import from are separated by colons.")
            .cure("rename the directory"));
    }
    quoted(path)
}

/// A path without anything that means something else to httpd.
pub(super) fn plain(path: &Path) -> Result<&str, Problem> {
    let unusable = |why: &str| {
        Problem::new(format!("{} cannot be written in an httpd configuration: {why}", path.display()))
            .cure("rename it")
    };
    let text = path.to_str().ok_or_else(|| unusable("its name is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(unusable("its name has control characters"));
    }
    if text.contains("${") {
        return Err(unusable("httpd replaces ${...}"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_or_refused() {
        assert_eq!(quoted(Path::new("/a \"b\"\\c")), Ok("\"/a \\\"b\\\"\\\\c\"".to_owned()));
        for path in ["/a\nLoadModule x", "/a/${PATH}"] {
            assert!(quoted(Path::new(path)).is_err(), "{path:?} was accepted");
        }
        assert!(quoted_entry(Path::new("/a:b")).is_err());
    }
}
