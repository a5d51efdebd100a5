//! Paths as nginx's configuration takes them: quoted, and refused where nginx would read something else.

#![forbid(unsafe_code)]

use std::path::Path;

use crate::problem::Problem;

/// A word of any text that is no path.
pub(super) fn word(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A path as a word of its own.
pub(super) fn quoted(path: &Path) -> Result<String, Problem> {
    Ok(word(plain(path)?))
}

/// A path as the value of an option: `"home=/srv"`.
pub(super) fn option(name: &str, path: &Path) -> Result<String, Problem> {
    Ok(word(&format!("{name}={}", plain(path)?)))
}

/// A path in a list that colons separate, as the value of an option.
pub(super) fn entry(name: &str, path: &Path) -> Result<String, Problem> {
    if plain(path)?.contains(':') {
        return Err(Problem::new(format!("{} has a colon in its name", path.display()))
            .detail("Directories to import from are separated by colons.")
            .cure("rename the directory"));
    }
    option(name, path)
}

/// A path without anything that means something else to nginx.
pub(super) fn plain(path: &Path) -> Result<&str, Problem> {
    let unusable = |why: &str| {
        Problem::new(format!("{} cannot be written in an nginx configuration: {why}", path.display()))
            .cure("rename it")
    };
    let text = path.to_str().ok_or_else(|| unusable("its name is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(unusable("its name has control characters"));
    }
    if text.contains('$') {
        return Err(unusable("nginx takes what follows $ for a variable"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_or_refused() {
        assert_eq!(quoted(Path::new("/a \"b\"\\c;{}#")), Ok("\"/a \\\"b\\\"\\\\c;{}#\"".to_owned()));
        assert_eq!(option("home", Path::new("/a b")), Ok("\"home=/a b\"".to_owned()));
        for path in ["/a\nload_module x", "/a/$host"] {
            assert!(quoted(Path::new(path)).is_err(), "{path:?} was accepted");
        }
        assert!(entry("python_path", Path::new("/a:b")).is_err());
    }
}
