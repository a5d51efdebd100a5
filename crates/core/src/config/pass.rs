//! The target of `wsgi_pass`, nginx's directive that sends a location's requests to an application: `package.module`,
//! `package.module:callable`, `/path/file.wsgi` or `/path/file.wsgi:callable`.

use super::ConfigError;
use crate::request::ScriptKind;

/// Where an application comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// A file, by its path.
    File(Box<[u8]>),
    /// A module, by its dotted name.
    Module(Box<[u8]>),
}

impl Script {
    /// What [`Script::name`] names.
    pub const fn kind(&self) -> ScriptKind {
        match self {
            Self::File(_) => ScriptKind::File,
            Self::Module(_) => ScriptKind::Module,
        }
    }

    /// The path or the dotted name.
    pub const fn name(&self) -> &[u8] {
        match self {
            Self::File(name) | Self::Module(name) => name,
        }
    }
}

/// A target as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// File or module.
    pub script: Script,
    /// What is behind the last colon: the callable's name, which may be dotted.
    pub callable: Option<Box<[u8]>>,
}

const ACCEPTED: &str =
    "a file (/path/file.wsgi) or a module (package.module), and then perhaps a colon and the callable's name";

impl Application {
    /// Reads a target. What has a slash in it is a file.
    ///
    /// # Errors
    /// It is neither a file nor a module.
    pub fn parse(word: &[u8]) -> Result<Self, ConfigError> {
        if word.contains(&b'$') {
            let reason = format!("variables cannot be used here: write {ACCEPTED}");
            return Err(ConfigError::value(word, reason));
        }
        let (script, callable) = match word.iter().rposition(|byte| *byte == b':') {
            // A colon in the name of a folder.
            Some(at) if word[at..].contains(&b'/') => (word, None),
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        if callable.is_some_and(|name| !is_dotted_name(name)) {
            let reason =
                "behind the colon must be the name of the callable, in which dots lead to attributes";
            return Err(ConfigError::value(word, reason));
        }
        let script = if script.contains(&b'/') && !script.ends_with(b"/") {
            Script::File(script.into())
        } else if is_dotted_name(script) {
            Script::Module(script.into())
        } else {
            return Err(ConfigError::value(word, format!("it must be {ACCEPTED}")));
        };
        Ok(Self { script, callable: callable.map(Into::into) })
    }
}

/// Whether `text` is one or more of Python's names with dots between them. Of letters beyond ASCII Python alone knows.
pub fn is_dotted_name(text: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_' || !byte.is_ascii();
    text.split(|byte| *byte == b'.').all(|name| {
        name.first().is_some_and(is_letter)
            && name.iter().all(|byte| is_letter(byte) || byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(word: &str) -> Result<(Script, Option<String>), String> {
        let parsed = Application::parse(word.as_bytes()).map_err(|error| error.to_string())?;
        Ok((parsed.script, parsed.callable.map(|name| String::from_utf8(name.into()).unwrap())))
    }

    fn file(path: &str) -> Script {
        Script::File(path.as_bytes().into())
    }

    fn module(name: &str) -> Script {
        Script::Module(name.as_bytes().into())
    }

    #[test]
    fn files_and_modules() {
        assert_eq!(parse("/srv/app.wsgi"), Ok((file("/srv/app.wsgi"), None)));
        assert_eq!(parse("sites/app.wsgi"), Ok((file("sites/app.wsgi"), None)));
        assert_eq!(parse("/srv/app.wsgi:site.app"), Ok((file("/srv/app.wsgi"), Some("site.app".into()))));
        assert_eq!(parse("site.wsgi"), Ok((module("site.wsgi"), None)));
        assert_eq!(parse("api:create_app"), Ok((module("api"), Some("create_app".into()))));
        assert_eq!(parse("/srv/a:b/app.wsgi"), Ok((file("/srv/a:b/app.wsgi"), None)));
    }

    #[test]
    fn what_is_neither_is_refused_with_words() {
        for word in ["", "app:", "my-site.wsgi", "1st", "a..b", ".a", "/srv/", ":app", "/srv/app.wsgi:9"] {
            let error = parse(word).unwrap_err();
            assert!(error.contains(&format!("'{word}'")), "{error}");
            assert!(error.contains("callable"), "{error}");
        }
        assert!(parse("/srv/$host/app.wsgi").unwrap_err().contains("variables cannot be used"));
    }
}
