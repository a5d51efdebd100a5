//! Script aliases: from a URL path to a script file (`WSGIScriptAlias`, `WSGIScriptAliasMatch`).

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;
use std::ops::Range;

use crate::config::ConfigError;
use crate::config::options::ScriptOptions;

/// A compiled regular expression of the server's own dialect.
pub trait Regex: fmt::Debug + Send + Sync {
    /// The first match in `path`: where it lies, and where the groups of it that took part do.
    fn find(&self, path: &CStr) -> Option<Groups>;
}

/// The whole match (0) and its groups (1 to 9).
pub type Groups = [Option<Range<usize>>; 10];

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

/// A script that an alias wants to be loaded before its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preload<'a> {
    /// Path of the script.
    pub script: &'a [u8],
    /// Daemon group; empty is embedded mode.
    pub process_group: &'a [u8],
    /// Interpreter; empty is the main one.
    pub application_group: &'a [u8],
}

/// What an alias makes of a URL path. The file's name is `target` followed by `rest`.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapped<'a> {
    /// The alias's target, its groups filled in.
    pub target: Cow<'a, [u8]>,
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

    /// What to load when a process starts: known before any request when both groups are given, and neither they nor the
    /// target wait for a request to complete them.
    pub fn preload(&self) -> Option<Preload<'_>> {
        let is_fixed = |name: &[u8]| !name.windows(2).any(|pair| pair == b"%{");
        let process_group = self.options.process_group.as_ref()?.fixed()?;
        let application_group = self.options.application_group.as_ref()?.fixed()?;
        let is_template = matches!(self.pattern, Pattern::Expression(..)) && self.target.contains(&b'$');
        (is_fixed(process_group) && is_fixed(application_group) && !is_template).then_some(Preload {
            script: &self.target,
            process_group,
            application_group,
        })
    }

    /// Maps the decoded path of a URL, when the alias matches it.
    pub fn map<'a>(&'a self, path: &'a CStr) -> Option<Mapped<'a>> {
        let bytes = path.to_bytes();
        match &self.pattern {
            Pattern::Prefix(location) => {
                let end = match_prefix(location, bytes)?;
                // `/` covers every path and takes none of it away.
                let taken = if **location == *b"/" { 0 } else { end };
                Some(Mapped { target: Cow::Borrowed(&self.target), rest: &bytes[taken..] })
            }
            Pattern::Expression(_, compiled) => {
                let groups = compiled.as_ref()?.find(path)?;
                let end = groups[0].as_ref()?.end;
                let target = Cow::Owned(substituted(&self.target, bytes, &groups));
                Some(Mapped { target, rest: bytes.get(end..)? })
            }
        }
    }
}

/// `template` with `$0` to `$9` filled in; a backslash takes its meaning from the character after it, as in httpd's
/// own `AliasMatch`.
fn substituted(template: &[u8], path: &[u8], groups: &Groups) -> Vec<u8> {
    let mut text = Vec::with_capacity(template.len() + path.len());
    let mut rest = template;
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after.split_first()) {
            (b'$', Some((digit @ b'0'..=b'9', after))) => {
                let group = groups[usize::from(digit - b'0')].clone();
                text.extend_from_slice(group.and_then(|range| path.get(range)).unwrap_or_default());
                after
            }
            (b'\\', Some((escaped, after))) => {
                text.push(*escaped);
                after
            }
            _ => {
                text.push(*first);
                after
            }
        };
    }
    text
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
    use std::ffi::CString;

    use super::*;
    use crate::request::{CallableName, Name};

    fn file(location: &str, target: &str, path: &str) -> Option<String> {
        let alias = ScriptAlias::prefix(location.as_bytes(), target.as_bytes(), ScriptOptions::default());
        let path = CString::new(path).unwrap();
        let mapped = alias.map(&path)?;
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

    /// Finds `/site/` and a name, which is group 1, wherever they are.
    #[derive(Debug)]
    struct Site;

    impl Regex for Site {
        fn find(&self, path: &CStr) -> Option<Groups> {
            let path = path.to_str().unwrap();
            let start = path.find("/site/")?;
            let name = start + "/site/".len();
            let end = path[name..].find('/').map_or(path.len(), |length| name + length);
            let mut groups = Groups::default();
            groups[0] = Some(start..end);
            groups[1] = Some(name..end);
            Some(groups)
        }
    }

    #[test]
    fn an_expression_fills_in_the_target() {
        let options = ScriptOptions::default();
        let mut alias = ScriptAlias::expression(b"/site/([^/]+)", br"/srv/$1/$0-$2\$1$.wsgi", options);
        assert_eq!(alias.map(c"/site/blog/x"), None);
        alias.compile(|text| (text == b"/site/([^/]+)").then(|| Box::new(Site) as _)).unwrap();
        // What lies before the match is dropped with it.
        for path in [c"/site/blog/x", c"/old/site/blog/x"] {
            let mapped = alias.map(path).unwrap();
            assert_eq!(mapped.target.escape_ascii().to_string(), "/srv/blog//site/blog-$1$.wsgi");
            assert_eq!(mapped.rest, b"/x");
        }
        assert_eq!(alias.map(c"/blog"), None);
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
        let preload = |process_group, application_group| {
            Some(Preload { script: b"/srv/$1.wsgi", process_group, application_group })
        };
        assert_eq!(alias(options("%{GLOBAL}", "%{GLOBAL}")).preload(), preload(b"", b""));
        assert_eq!(alias(options("blog", "x")).preload(), preload(b"blog", b"x"));
        assert_eq!(alias(options("%{ENV:GROUP}", "x")).preload(), None);
        assert_eq!(alias(options("%{GLOBAL}", "%{RESOURCE}")).preload(), None);
        assert_eq!(alias(options("%{GLOBAL}", "a%{B}")).preload(), None);
        assert_eq!(alias(ScriptOptions { process_group: None, ..options("", "x") }).preload(), None);
        let matching = ScriptAlias::expression(b"x", b"/srv/$1.wsgi", options("%{GLOBAL}", "x"));
        assert_eq!(matching.preload(), None);
    }
}
