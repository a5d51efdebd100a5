//! What the user asks to serve: a script file, `module:callable`, or a directory with one obvious application.
//!
//! Files are read, never executed: this may run as root, and a site's code must not.

#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::problem::Problem;
use crate::serve::project;

/// The application to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the application comes from.
    pub source: Source,
    /// The directory its imports start from: on `sys.path`, and watched by `--reload`.
    pub project: PathBuf,
}

/// Where the application comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file that is loaded as it is.
    Script {
        /// Absolute path.
        path: PathBuf,
        /// The callable's name, when the user gave one.
        callable: Option<String>,
    },
    /// An importable module; a small script that imports it is loaded.
    Import(Import),
}

/// `package.module:attribute`, `package.module:object.attribute` or `package.module:factory(...)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Dotted module name.
    pub module: String,
    /// The first name after the colon, which the module must have.
    pub name: String,
    /// What follows it: `.attribute` or `(arguments)`, or nothing.
    pub rest: String,
}

impl Target {
    /// Understands what the user wrote, relative to the current directory.
    ///
    /// # Errors
    /// There is no such thing, or a directory holds no application or several.
    pub fn find(text: &str) -> Result<Self, Problem> {
        let here = env::current_dir().and_then(fs::canonicalize).map_err(|error| {
            Problem::new(format!("The current directory cannot be used: {error}"))
                .cure("change to a directory that exists")
        })?;
        Self::find_from(&here, text)
    }

    fn find_from(here: &Path, text: &str) -> Result<Self, Problem> {
        let path = here.join(text);
        if path.is_dir() {
            return project::find(&canonical(&path)?, text);
        }
        if path.exists() {
            return Self::script(&canonical(&path)?, None);
        }
        let Some((before, callable)) = text.split_once(':') else { return Err(absent(here, text)) };
        let file = here.join(before);
        if file.is_file() {
            if !is_identifier(callable) {
                return Err(Problem::new(format!("{callable:?} is not the name of a callable in {before}"))
                    .cure(format!("name one, for example {before}:app"))
                    .cure(format!("call a factory through its module: '{}:{callable}'", module_of(before))));
            }
            return Self::script(&canonical(&file)?, Some(callable.to_owned()));
        }
        if before.contains('/') || before.ends_with(".py") || before.ends_with(".wsgi") {
            return Err(absent(here, before));
        }
        let import = Import::parse(before, callable)?;
        Ok(Self { source: Source::Import(import), project: here.to_path_buf() })
    }

    /// A script file. Its imports start where its outermost package does.
    pub fn script(path: &Path, callable: Option<String>) -> Result<Self, Problem> {
        let mut project = path.parent().unwrap_or(Path::new("/"));
        while project.join("__init__.py").is_file() {
            let Some(parent) = project.parent() else { break };
            project = parent;
        }
        Ok(Self {
            source: Source::Script { path: path.to_path_buf(), callable },
            project: project.to_path_buf(),
        })
    }
}

impl Import {
    fn parse(module: &str, callable: &str) -> Result<Self, Problem> {
        let wrong = |what: String| {
            Problem::new(what)
                .detail(format!("Read as module:callable, {module:?} and {callable:?}."))
                .cure("write a callable of an importable module: shop:app or shop.web:app")
                .cure("write a factory, quoted for the shell: 'shop:create_app()'")
        };
        if !module.split('.').all(is_identifier) {
            return Err(wrong(format!("{module:?} is neither a file nor the name of a Python module")));
        }
        let end = callable.find(['.', '(']).unwrap_or(callable.len());
        let (name, rest) = callable.split_at(end);
        if !is_identifier(name) {
            return Err(wrong(format!("{callable:?} does not begin with a Python name")));
        }
        let (attributes, call) = rest.split_at(rest.find('(').unwrap_or(rest.len()));
        let attributes_are_names = attributes.is_empty() || attributes.split('.').skip(1).all(is_identifier);
        let call_is_whole = call.is_empty() || (call.ends_with(')') && !call.contains(['\n', '\r', '#']));
        if !(attributes_are_names && call_is_whole) {
            return Err(wrong(format!("{callable:?} is neither a name nor a call")));
        }
        Ok(Self { module: module.to_owned(), name: name.to_owned(), rest: rest.to_owned() })
    }

    /// The script that is loaded for it; `project` is the directory the module is imported from.
    pub fn script(&self, project: &str) -> String {
        let Self { module, name, rest } = self;
        let import = match (rest.is_empty(), name.as_str()) {
            (true, "application") => format!("from {module} import application\n"),
            (true, _) => format!("from {module} import {name} as application\n"),
            (false, _) => format!("from {module} import {name}\n\napplication = {name}{rest}\n"),
        };
        format!("import sys\n\nsys.path.insert(0, {})\n\n{import}", python_string(project))
    }
}

/// A Python string literal of `text`.
pub fn python_string(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            c if c.is_control() => literal.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

fn is_identifier(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && letters.all(|c| c == '_' || c.is_alphanumeric())
}

fn canonical(path: &Path) -> Result<PathBuf, Problem> {
    fs::canonicalize(path)
        .map_err(|error| Problem::new(format!("{} cannot be used: {error}", path.display())))
}

fn module_of(file: &str) -> String {
    file.trim_end_matches(".py").trim_start_matches("./").replace('/', ".")
}

/// Nothing of that name. Names what it could have been: a module is asked for with a colon, a file with its ending.
fn absent(here: &Path, text: &str) -> Problem {
    let mut problem = Problem::new(format!("There is no file or directory {text}"))
        .detail(format!("Looked in {}.", here.display()));
    for ending in [".py", ".wsgi"] {
        if here.join(format!("{text}{ending}")).is_file() {
            problem = problem.cure(format!("serve the file: oxwsgi serve {text}{ending}"));
        }
    }
    if text.split('.').all(is_identifier) {
        let as_file = here.join(text.replace('.', "/"));
        if as_file.with_extension("py").is_file() || as_file.join("__init__.py").is_file() {
            problem = problem.cure(format!("name a callable of the module: oxwsgi serve {text}:app"));
        }
    }
    problem.cure("give a script file, a directory, or module:callable")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(text: &str) -> Result<Import, Problem> {
        let (module, callable) = text.split_once(':').expect("a colon");
        Import::parse(module, callable)
    }

    #[test]
    fn a_plain_callable_is_imported_under_its_own_name() {
        let script = import("shop.web:app").expect("an import").script("/srv/a \"b\"");
        let expected = "import sys\n\nsys.path.insert(0, \"/srv/a \\\"b\\\"\")\n\nfrom shop.web import app as application\n";
        assert_eq!(script, expected);
    }

    #[test]
    fn factories_and_attributes_become_an_assignment() {
        let factory = import("shop:create_app(\"test\", debug=True)").expect("a factory");
        assert!(
            factory
                .script("/")
                .ends_with("from shop import create_app\n\napplication = create_app(\"test\", debug=True)\n")
        );
        let attribute = import("shop:site.wsgi_app").expect("an attribute");
        assert!(attribute.script("/").ends_with("from shop import site\n\napplication = site.wsgi_app\n"));
    }

    #[test]
    fn what_is_no_import_is_refused() {
        for text in
            ["shop:", "shop:1a", "sh op:app", "shop:app()x", "shop:a b", "shop:f(\n)", "..:app", "shop:a..b"]
        {
            assert!(import(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_script_in_a_package_imports_from_outside_the_package() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = fs::canonicalize(directory.path()).expect("a path");
        fs::create_dir(root.join("site")).expect("a directory");
        for name in ["site/__init__.py", "site/wsgi.py", "hello.wsgi"] {
            fs::write(root.join(name), "").expect("a file");
        }
        assert_eq!(Target::find_from(&root, "site/wsgi.py").expect("a script").project, root);
        let target = Target::find_from(&root, "./hello.wsgi:main").expect("a script");
        let source = Source::Script { path: root.join("hello.wsgi"), callable: Some("main".to_owned()) };
        assert_eq!(target, Target { source, project: root.clone() });
        assert_eq!(Target::find_from(&root, "site.web:app").expect("an import").project, root);
    }

    #[test]
    fn a_missing_target_says_what_it_could_have_been() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("shop.py"), "").expect("a file");
        let problem = Target::find_from(directory.path(), "shop").expect_err("no such file").to_string();
        assert!(problem.contains("oxwsgi serve shop.py"), "{problem}");
        assert!(problem.contains("oxwsgi serve shop:app"), "{problem}");
        assert!(Target::find_from(directory.path(), "absent.py:app").is_err());
    }

    #[test]
    fn python_strings_hold_anything() {
        assert_eq!(python_string("a\\\"b\né"), "\"a\\\\\\\"b\\U0000000aé\"");
    }
}
