//! How the import of the application went, told from inside the process that serves it.
//!
//! A small script, loaded right after the application, writes one line into the error log. So the application is
//! imported once, where it will run, by the user that will run it; and its traceback stands in the log before the line.

#![forbid(unsafe_code)]

use std::path::Path;

use crate::problem::Problem;
use crate::serve::python::Python;
use crate::serve::target::{Source, Target, python_string};

const SCRIPT: &str = include_str!("report.py");

const MARK: &str = "oxwsgi-report ";

/// What a process said after its import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The process.
    pub pid: u32,
    /// How the import went.
    pub outcome: Outcome,
    /// Names in the module that could be meant as the application.
    names: Vec<String>,
}

/// How an import went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The callable is there.
    Loaded,
    /// The script or its module raised an exception.
    Failed,
    /// The script has no such name.
    Absent,
    /// It has, but it is a value of this type.
    Uncallable(String),
}

/// The script that reports on `callable` of the script at `script`.
pub fn script(script: &str, callable: &str, target: &Target) -> String {
    let module = match &target.source {
        Source::Import(import) => python_string(&import.module),
        Source::Script { .. } => "None".to_owned(),
    };
    SCRIPT
        .replace("\"@SCRIPT@\"", &python_string(script))
        .replace("\"@CALLABLE@\"", &python_string(callable))
        .replace("\"@MODULE@\"", &module)
}

impl Report {
    /// Reads a message of the error log; `None` when it is not a report.
    pub fn parse(message: &str) -> Option<Self> {
        let mut words = message.strip_prefix(MARK)?.split(' ');
        let (pid, outcome, kind) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        let outcome = match outcome {
            "loaded" => Outcome::Loaded,
            "failed" => Outcome::Failed,
            "absent" => Outcome::Absent,
            "uncallable" => Outcome::Uncallable(kind.to_owned()),
            _ => return None,
        };
        let names = words.next().unwrap_or_default().split(',').filter(|name| !name.is_empty());
        Some(Self { pid, outcome, names: names.map(str::to_owned).collect() })
    }

    /// What the user reads, with the exception at the end of the traceback that was logged; `None` when all is well.
    pub fn problem(&self, shown: &Shown<'_>, exception: Option<&str>) -> Option<Problem> {
        match &self.outcome {
            Outcome::Loaded => None,
            Outcome::Failed => Some(self.failed(shown, exception)),
            Outcome::Absent => Some(
                self.choose(shown, Problem::new(format!("{} has no {:?}", shown.place(), shown.callable))),
            ),
            Outcome::Uncallable(kind) => {
                let what =
                    format!("{:?} of {} cannot be called: it is of type {kind}", shown.name(), shown.place());
                Some(self.choose(shown, Problem::new(what)))
            }
        }
    }

    fn failed(&self, shown: &Shown<'_>, exception: Option<&str>) -> Problem {
        let Some(exception) = exception else {
            return Problem::new(format!("{} could not be imported", shown.text))
                .cure("the messages above say why");
        };
        if let Source::Import(import) = &shown.target.source {
            if exception.starts_with(&format!(
                "ImportError: cannot import name '{}' from '{}'",
                import.name, import.module
            )) {
                let summary = format!("{} has no {:?}", shown.place(), import.name);
                return self.choose(shown, Problem::new(summary));
            }
            if missing_module(exception).is_some_and(|name| is_part(name, &import.module)) {
                return Problem::new(format!("There is no Python module {}", import.module))
                    .detail(format!(
                        "Looked in {} and in what is installed for {}.",
                        shown.target.project.display(),
                        shown.python.program.display()
                    ))
                    .cure("run this command in the directory that holds the module")
                    .cure("name the Python that has it installed: --python DIR");
            }
        }
        let problem =
            Problem::new(format!("{} could not be imported: {exception}", shown.text)).detail(format!(
                "The traceback is above. It ran with Python {}, {}.",
                shown.python.version,
                shown.python.program.display()
            ));
        match missing_module(exception) {
            Some(name) => problem
                .cure(format!("install what it needs: {}", shown.installation(name)))
                .cure("name the virtual environment that has it: --python DIR"),
            None => problem.cure("repair the application; with --reload the command waits for that"),
        }
    }

    fn choose(&self, shown: &Shown<'_>, problem: Problem) -> Problem {
        let base = match &shown.target.source {
            Source::Import(import) => import.module.clone(),
            Source::Script { .. } => shown.text.split(':').next().unwrap_or_default().to_owned(),
        };
        if self.names.is_empty() {
            return problem
                .detail("Nothing else in it can be called either.")
                .cure("define it: def application(environ, start_response): ...");
        }
        let is_script = matches!(shown.target.source, Source::Script { .. });
        self.names.iter().take(6).fold(problem, |problem, name| match is_factory(name) {
            true if is_script => problem,
            true => problem.cure(format!("call the factory: oxwsgi serve '{base}:{name}()'")),
            false => problem.cure(format!("oxwsgi serve {base}:{name}")),
        })
    }
}

/// What is being served, as messages speak of it.
#[derive(Debug)]
pub struct Shown<'a> {
    /// What the user wrote.
    pub text: &'a str,
    /// What it was found to be.
    pub target: &'a Target,
    /// The name of the callable in the script that is loaded.
    pub callable: &'a str,
    /// The Python it runs on.
    pub python: &'a Python,
    /// The server's module.
    pub module: &'a Path,
}

impl Shown<'_> {
    fn place(&self) -> String {
        match &self.target.source {
            Source::Import(import) => format!("The module {}", import.module),
            Source::Script { path, .. } => format!("The script {}", path.display()),
        }
    }

    /// The command that installs `module`, with whatever else the project asks for. Into a virtual environment: the
    /// system's own Python belongs to its package manager.
    fn installation(&self, module: &str) -> String {
        let list = self.target.project.join("requirements.txt");
        let package = module.split('.').next().unwrap_or(module);
        let what = if list.is_file() { format!("-r {}", list.display()) } else { package.to_owned() };
        let program = self.python.program.display();
        if self.python.home.join("pyvenv.cfg").is_file() {
            return format!("{program} -m pip install {what}");
        }
        format!("{program} -m venv .venv && .venv/bin/pip install {what}; then --python .venv")
    }

    fn name(&self) -> &str {
        match &self.target.source {
            Source::Import(import) => &import.name,
            Source::Script { .. } => self.callable,
        }
    }
}

fn is_factory(name: &str) -> bool {
    ["create_", "make_", "build_", "get_"].iter().any(|start| name.starts_with(start))
}

/// The name in `ModuleNotFoundError: No module named 'x.y'`.
fn missing_module(exception: &str) -> Option<&str> {
    exception.strip_prefix("ModuleNotFoundError: No module named '")?.split('\'').next()
}

/// Whether the missing module is `module` itself or a package it is in.
fn is_part(missing: &str, module: &str) -> bool {
    module == missing || module.strip_prefix(missing).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::serve::target::Import;

    fn python() -> Python {
        Python {
            program: PathBuf::from("/srv/venv/bin/python3"),
            home: PathBuf::from("/srv/venv"),
            version: "3.11.2".to_owned(),
            reads: Vec::new(),
            binds: Vec::new(),
        }
    }

    fn message(report: &str, text: &str, source: Source, exception: Option<&str>) -> String {
        let target = Target { source, project: PathBuf::from("/srv/shop") };
        let shown = Shown {
            text,
            target: &target,
            callable: "application",
            python: &python(),
            module: Path::new("/m.so"),
        };
        let report = Report::parse(report).expect("a report");
        report.problem(&shown, exception).expect("a problem").to_string()
    }

    fn import(module: &str, name: &str) -> Source {
        Source::Import(Import { module: module.to_owned(), name: name.to_owned(), rest: String::new() })
    }

    fn file() -> Source {
        Source::Script { path: PathBuf::from("/srv/shop/hello.wsgi"), callable: None }
    }

    #[test]
    fn a_report_is_read() {
        let report = Report::parse("oxwsgi-report 7 loaded Flask app,create_app").expect("a report");
        assert_eq!((report.pid, report.outcome), (7, Outcome::Loaded));
        assert_eq!(report.names, ["app", "create_app"]);
        assert_eq!(Report::parse("an application's oxwsgi-report"), None);
    }

    #[test]
    fn a_missing_callable_comes_with_those_there_are() {
        let text = message("oxwsgi-report 7 absent NoneType main", "hello.wsgi", file(), None);
        assert!(text.starts_with("The script /srv/shop/hello.wsgi has no \"application\""), "{text}");
        assert!(text.contains("oxwsgi serve hello.wsgi:main"), "{text}");
        let exception = "ImportError: cannot import name 'ap' from 'shop' (/srv/shop/shop.py)";
        let text = message(
            "oxwsgi-report 7 failed NoneType app,create_app",
            "shop:ap",
            import("shop", "ap"),
            Some(exception),
        );
        assert!(text.starts_with("The module shop has no \"ap\""), "{text}");
        assert!(text.contains("oxwsgi serve shop:app"), "{text}");
        assert!(text.contains("oxwsgi serve 'shop:create_app()'"), "{text}");
    }

    #[test]
    fn a_missing_module_is_the_target_or_something_it_needs() {
        let missing = Some("ModuleNotFoundError: No module named 'shop'");
        let text =
            message("oxwsgi-report 7 failed NoneType ", "shop.web:app", import("shop.web", "app"), missing);
        assert!(text.starts_with("There is no Python module shop.web"), "{text}");
        let missing = Some("ModuleNotFoundError: No module named 'flask'");
        let text = message("oxwsgi-report 7 failed NoneType ", "shop:app", import("shop", "app"), missing);
        assert!(text.contains(".venv/bin/pip install flask"), "{text}");
    }

    #[test]
    fn the_script_holds_what_it_reports_on() {
        let target = Target { source: import("shop", "app"), project: PathBuf::new() };
        let text = script("/tmp/a\"b.wsgi", "application", &target);
        assert!(
            text.contains("SCRIPT = \"/tmp/a\\\"b.wsgi\"\nCALLABLE = \"application\"\nMODULE = \"shop\"\n"),
            "{text}"
        );
    }
}
