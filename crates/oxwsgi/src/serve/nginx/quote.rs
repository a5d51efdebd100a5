//! Paths as nginx's configuration takes them: as words of their own, or as values of options.

#![forbid(unsafe_code)]

use std::path::Path;

use crate::problem::Problem;
use crate::serve::quote::{Notation, word};

const NGINX: Notation =
    Notation { server: "an nginx", variable: "$", reading: "nginx takes what follows $ for a variable" };

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
    Ok(word(&format!("{name}={}", NGINX.entry(path)?)))
}

/// A path without anything that means something else to nginx.
pub(super) fn plain(path: &Path) -> Result<&str, Problem> {
    NGINX.plain(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_or_refused() {
        assert_eq!(quoted(Path::new("/a b")), Ok("\"/a b\"".to_owned()));
        assert_eq!(option("home", Path::new("/a b")), Ok("\"home=/a b\"".to_owned()));
        assert_eq!(entry("python_path", Path::new("/a")), Ok("\"python_path=/a\"".to_owned()));
        assert!(entry("python_path", Path::new("/a:b")).is_err());
        let refusal = quoted(Path::new("/a/$host")).unwrap_err().to_string();
        assert!(
            refusal.contains("/a/$host cannot be written in an nginx configuration: nginx takes"),
            "{refusal}"
        );
    }
}
