//! The table of directives: one row says all there is to say of one. Servers' command arrays, `docs/directives.md`
//! and the tests are made from it.

mod daemon;
mod interpreters;
mod later;
mod mapping;
mod requests;
mod retired;

use crate::config::value::{Outcome, Words};
use crate::config::{ConfigError, DirectiveError, DirectorySettings, Hosts, ProcessSettings, ServerSettings};

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Main server only.
    Global,
    /// Main server and virtual hosts.
    Server,
    /// Also `<Directory>`, `<Location>`, `<Files>`.
    Directory,
    /// Also `.htaccess`, where `AllowOverride FileInfo`.
    FileInfo,
    /// Directories, and `.htaccess` where `AllowOverride AuthConfig`.
    AuthConfig,
}

impl Context {
    /// For documentation.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Global => "main server",
            Self::Server => "server, virtual host",
            Self::Directory => "server, virtual host, directory",
            Self::FileInfo => "server, virtual host, directory, .htaccess (FileInfo)",
            Self::AuthConfig => "directory, .htaccess (AuthConfig)",
        }
    }
}

/// A directive's words: how many, and how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// At least so many.
    pub least: usize,
    /// At most so many.
    pub most: usize,
    /// So many come first that are taken as they stand; each further one is `name=value`, of which the server may have
    /// to unquote the value alone. `usize::MAX` where there are no options.
    pub plain: usize,
    /// For documentation.
    pub form: &'static str,
}

impl Arguments {
    const fn one(form: &'static str) -> Self {
        Self { least: 1, most: 1, plain: usize::MAX, form }
    }

    const fn list(form: &'static str) -> Self {
        Self { least: 1, most: usize::MAX, plain: usize::MAX, form }
    }

    /// None is a list too.
    const fn any(form: &'static str) -> Self {
        Self { least: 0, ..Self::list(form) }
    }

    /// `plain` words and options; the setter itself names one of the plain words that is missing.
    const fn options(plain: usize, form: &'static str) -> Self {
        Self { least: 0, most: usize::MAX, plain, form }
    }

    fn check(&self, words: Words<'_>, help: &str) -> Outcome {
        let number = |count| ["no", "one", "two", "three"].get(count).copied().unwrap_or("more");
        let plural = |count| if count == 1 { "argument" } else { "arguments" };
        let takes = if self.least == self.most { "takes" } else { "requires at least" };
        if (self.least..=self.most).contains(&words.len()) {
            return Ok(());
        }
        let (count, noun) = (number(self.least), plural(self.least));
        Err(ConfigError::Count(format!("{takes} {count} {noun}, {help}")))
    }
}

/// What a directive does.
#[derive(Clone, Copy, Debug)]
pub enum Setter {
    /// Sets a field of the one block of all processes.
    Process(fn(&mut ProcessSettings, Words<'_>) -> Outcome),
    /// Sets a field of the one block of all processes, and what it sets belongs to the server it stands in.
    Hosted(fn(&mut ProcessSettings, &dyn Hosts, Words<'_>) -> Outcome),
    /// Sets a field of its server's block.
    Server(fn(&mut ServerSettings, Words<'_>) -> Outcome),
    /// Sets a field of its directory's block.
    Directory(fn(&mut DirectorySettings, Words<'_>) -> Outcome),
    /// Has nothing to set; looks at its words.
    Nothing(fn(Words<'_>) -> Outcome),
}

/// The block that a setter changes.
#[derive(Debug)]
pub enum Block<'a> {
    /// For [`Setter::Process`].
    Process(&'a mut ProcessSettings),
    /// For [`Setter::Hosted`].
    Hosted(&'a mut ProcessSettings, &'a dyn Hosts),
    /// For [`Setter::Server`].
    Server(&'a mut ServerSettings),
    /// For [`Setter::Directory`].
    Directory(&'a mut DirectorySettings),
    /// For [`Setter::Nothing`].
    Nothing,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// As written in a configuration; a section's begins with `<`.
    pub name: &'static str,
    /// Where it may stand.
    pub context: Context,
    /// Its words.
    pub arguments: Arguments,
    /// What holds without it; `-` where that means nothing.
    pub default: &'static str,
    /// One clause, without a full stop.
    pub help: &'static str,
    /// What it does.
    pub setter: Setter,
    /// Logged when it is read: why it has no effect, and what to do instead.
    pub notice: Option<Notice>,
}

/// What is said of a directive that is accepted and does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nothing is lost by it.
    Info(&'static str),
    /// The administrator may have wanted what it once did.
    Warning(&'static str),
}

impl Directive {
    /// Looks at the words and sets the field. The block is of the kind that the setter changes.
    pub fn set(&self, block: Block<'_>, words: Words<'_>) -> Result<(), DirectiveError> {
        let outcome = self.arguments.check(words, self.help).and_then(|()| match (self.setter, block) {
            (Setter::Process(set), Block::Process(settings)) => set(settings, words),
            (Setter::Hosted(set), Block::Hosted(settings, hosts)) => set(settings, hosts, words),
            (Setter::Server(set), Block::Server(settings)) => set(settings, words),
            (Setter::Directory(set), Block::Directory(settings)) => set(settings, words),
            (Setter::Nothing(look), Block::Nothing) => look(words),
            (setter, block) => unreachable!("{setter:?} was given {block:?}"),
        });
        outcome.map_err(|error| DirectiveError { directive: self.name, error })
    }

    /// Whether it is there for old configurations or for later releases only.
    pub const fn has_effect(&self) -> bool {
        !matches!(self.setter, Setter::Nothing(_))
    }
}

/// A part of the table under one heading.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Heading of the documentation.
    pub title: &'static str,
    /// Its rows.
    pub directives: &'static [Directive],
}

/// The whole table.
pub const SECTIONS: &[Section] = &[
    Section { title: "From URL to application", directives: mapping::DIRECTIVES },
    Section { title: "Processes", directives: daemon::DIRECTIVES },
    Section { title: "Requests", directives: requests::DIRECTIVES },
    Section { title: "Python", directives: interpreters::DIRECTIVES },
    Section { title: "Not supported yet", directives: later::DIRECTIVES },
    Section { title: "Of earlier versions of mod_wsgi", directives: retired::DIRECTIVES },
];

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Directive> {
    SECTIONS.iter().flat_map(|section| section.directives)
}

#[cfg(test)]
mod tests;
