//! Script aliases: from a URL path to a script file (`WSGIScriptAlias`, `WSGIScriptAliasMatch`).

use std::borrow::Cow;
use std::fmt;

use crate::config::ConfigError;
use crate::config::options::ScriptOptions;

/// A compiled regular expression of the server's own dialect.
pub trait Regex: fmt::Debug + Send + Sync {
    /// Finds the expression in `path` and puts what its groups matched into `target` (`$0` to `$9`).
    fn substitute(&self, path: &[u8], target: &[u8]) -> Option<Substitution>;
}

/// A match of an [`Regex`].
#[derive(Debug, PartialEq, Eq)]
pub struct Substitution {
    /// The target, filled in.
    pub target: Vec<u8>,
    /// Where the match ends in the path.
    pub end: usize,
}

#[derive(Debug)]
enum Pattern {
    Prefix(Box<[u8]>),
    /// Not compiled only between the directive's setter and [`ScriptAlias::compile`].
    Expression(Box<[u8]>, Option<Box<dyn Regex>>),
}

/// One alias.
#[derive(Debug)]
pub struct ScriptAlias {
    pattern: Pattern,
    target: Box<[u8]>,
    /// What it overrides.
    pub options: ScriptOptions,
}

/// What an alias makes of a URL path. The file's name is `target` followed by `rest`.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapped<'a> {
    /// The alias's target, its groups filled in.
    pub target: Cow<'a, [u8]>,
    /// The part of the path that is the alias.
    pub location: &'a [u8],
    /// The part of the path that goes on the target.
    pub rest: &'a [u8],
}

impl ScriptAlias {
    pub(super) fn prefix(location: &[u8], target: &[u8], options: ScriptOptions) -> Self {
        Self { pattern: Pattern::Prefix(location.into()), target: target.into(), options }
    }

    pub(super) fn expression(pattern: &[u8], target: &[u8], options: ScriptOptions) -> Self {
        Self { pattern: Pattern::Expression(pattern.into(), None), target: target.into(), options }
    }

    pub(super) fn compile(
        &mut self,
        compile: impl FnOnce(&[u8]) -> Option<Box<dyn Regex>>,
    ) -> Result<(), ConfigError> {
        if let Pattern::Expression(text, compiled @ None) = &mut self.pattern {
            let Some(expression) = compile(text) else {
                return Err(ConfigError::value(text, "Regular expression could not be compiled."));
            };
            *compiled = Some(expression);
        }
        Ok(())
    }

    /// The script and interpreter to load when a process starts: known before any request when both groups are given,
    /// and neither they nor the target wait for a request to complete them.
    pub fn preload(&self) -> Option<(&[u8], &[u8])> {
        let is_fixed = |name: &[u8]| !name.windows(2).any(|pair| pair == b"%{");
        let process_group = self.options.process_group.as_ref()?.fixed()?;
        let application_group = self.options.application_group.as_ref()?.fixed()?;
        let is_template = matches!(self.pattern, Pattern::Expression(..)) && self.target.contains(&b'$');
        (is_fixed(process_group) && is_fixed(application_group) && !is_template)
            .then_some((&*self.target, application_group))
    }

    /// Maps the decoded path of a URL, when the alias matches it.
    pub fn map<'a>(&'a self, path: &'a [u8]) -> Option<Mapped<'a>> {
        match &self.pattern {
            Pattern::Prefix(location) => {
                let end = match_prefix(location, path)?;
                // `/` covers every path and takes none of it away.
                let taken = if **location == *b"/" { 0 } else { end };
                let target = Cow::Borrowed(&*self.target);
                Some(Mapped { target, location: &path[..end], rest: &path[taken..] })
            }
            Pattern::Expression(_, compiled) => {
                let Substitution { target, end } = compiled.as_ref()?.substitute(path, &self.target)?;
                let (location, rest) = path.split_at_checked(end)?;
                Some(Mapped { target: Cow::Owned(target), location, rest })
            }
        }
    }
}

/// Where `location` ends in `path`. A run of slashes matches any run of slashes; the match ends with a path segment.
fn match_prefix(location: &[u8], path: &[u8]) -> Option<usize> {
    let slashes = |bytes: &[u8]| bytes.iter().take_while(|byte| **byte == b'/').count();
    let (mut l, mut p) = (0, 0);
    while let Some(byte) = location.get(l) {
        if path.get(p) != Some(byte) {
            return None;
        }
        let is_slash = *byte == b'/';
        l += if is_slash { slashes(&location[l..]) } else { 1 };
        p += if is_slash { slashes(&path[p..]) } else { 1 };
    }
    let is_boundary = location.ends_with(b"/") || matches!(path.get(p), None | Some(b'/'));
    is_boundary.then_some(p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{CallableName, Name};

    fn file(location: &str, target: &str, path: &str) -> Option<String> {
        let alias = ScriptAlias::prefix(location.as_bytes(), target.as_bytes(), ScriptOptions::default());
        let mapped = alias.map(path.as_bytes())?;
        Some(String::from_utf8([&mapped.target, mapped.rest].concat()).unwrap())
    }

    #[test]
    fn a_file_takes_the_rest_as_path_info() {
        assert_eq!(file("/app", "/srv/app.wsgi", "/app"), Some("/srv/app.wsgi".into()));
        assert_eq!(file("/app", "/srv/app.wsgi", "/app/x/y"), Some("/srv/app.wsgi/x/y".into()));
    }

    #[test]
    fn a_match_ends_with_a_segment() {
        assert_eq!(file("/app", "/srv/app.wsgi", "/apple"), None);
        assert_eq!(file("/app", "/srv/app.wsgi", "/ap"), None);
        assert_eq!(file("/app", "/srv/app.wsgi", "/App"), None);
        assert_eq!(file("/app/", "/srv/apps/", "/app/x"), Some("/srv/apps/x".into()));
        assert_eq!(file("/app/", "/srv/apps/", "/app"), None);
    }

    #[test]
    fn runs_of_slashes_match_each_other() {
        assert_eq!(file("/a//b", "/t", "/a/b/c"), Some("/t/c".into()));
        assert_eq!(file("/a/b", "/t", "//a///b//c"), Some("/t//c".into()));
        assert_eq!(file("/a/b", "/t", "/ab"), None);
    }

    #[test]
    fn the_root_keeps_the_whole_path() {
        assert_eq!(file("/", "/srv/app.wsgi", "/"), Some("/srv/app.wsgi/".into()));
        assert_eq!(file("/", "/srv/app.wsgi", "/x/y"), Some("/srv/app.wsgi/x/y".into()));
        assert_eq!(file("/", "/srv/app.wsgi", "//x"), Some("/srv/app.wsgi//x".into()));
        assert_eq!(file("/", "/srv/app.wsgi", "x"), None);
    }

    /// Matches `/site/` and what follows up to the next slash.
    #[derive(Debug)]
    struct Site;

    impl Regex for Site {
        fn substitute(&self, path: &[u8], target: &[u8]) -> Option<Substitution> {
            let name = path.strip_prefix(b"/site/")?.split(|byte| *byte == b'/').next()?;
            let target = String::from_utf8_lossy(target).replace("$1", &String::from_utf8_lossy(name));
            Some(Substitution { target: target.into_bytes(), end: "/site/".len() + name.len() })
        }
    }

    #[test]
    fn an_expression_fills_in_the_target() {
        let mut alias = ScriptAlias::expression(b"^/site/([^/]+)", b"/srv/$1.wsgi", ScriptOptions::default());
        assert_eq!(alias.map(b"/site/blog/x"), None);
        alias.compile(|text| (text == b"^/site/([^/]+)").then(|| Box::new(Site) as _)).unwrap();
        let mapped = alias.map(b"/site/blog/x").unwrap();
        assert_eq!(
            (&*mapped.target, mapped.location, mapped.rest),
            (&b"/srv/blog.wsgi"[..], &b"/site/blog"[..], &b"/x"[..])
        );
    }

    #[test]
    fn an_expression_that_does_not_compile_is_an_error() {
        let mut alias = ScriptAlias::expression(b"(", b"/x", ScriptOptions::default());
        let error = alias.compile(|_| None).unwrap_err();
        assert_eq!(error.to_string(), "'(' is not accepted; Regular expression could not be compiled.");
    }

    #[test]
    fn what_is_loaded_ahead() {
        let options = |process: &str, application: &str| ScriptOptions {
            process_group: Some(Name::new(process.as_bytes())),
            application_group: Some(Name::new(application.as_bytes())),
            callable_object: Some(CallableName::new(b"app")),
            pass_authorization: None,
        };
        let alias = |options| ScriptAlias::prefix(b"/", b"/srv/$1.wsgi", options);
        assert_eq!(
            alias(options("%{GLOBAL}", "%{GLOBAL}")).preload(),
            Some((&b"/srv/$1.wsgi"[..], &b""[..]))
        );
        assert_eq!(alias(options("%{GLOBAL}", "%{RESOURCE}")).preload(), None);
        assert_eq!(alias(options("%{GLOBAL}", "a%{B}")).preload(), None);
        assert_eq!(alias(ScriptOptions { process_group: None, ..options("", "x") }).preload(), None);
        let matching = ScriptAlias::expression(b"x", b"/srv/$1.wsgi", options("%{GLOBAL}", "x"));
        assert_eq!(matching.preload(), None);
    }
}
