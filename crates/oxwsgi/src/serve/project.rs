//! The one obvious application of a directory: `wsgi.py`, `app.py`, a `*.wsgi` script, or the WSGI module of the Django
//! project that `manage.py` belongs to. Django's settings are found by reading, not by running, its files.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::problem::Problem;
use crate::serve::target::{Source, Target};

const DJANGO_SETTINGS: &str = "DJANGO_SETTINGS_MODULE";

/// Finds the application of `directory`, which the user wrote as `shown`.
///
/// # Errors
/// There is none, or there are several and the user has to choose.
pub fn find(directory: &Path, shown: &str) -> Result<Target, Problem> {
    let mut found = scripts(directory)?;
    if directory.join("manage.py").is_file() {
        let django = django(directory, shown)?;
        found.retain(|target| target.source != django.source);
        found.push(django);
    }
    match found.len() {
        0 => Err(none(directory, shown)),
        1 => Ok(found.remove(0)),
        _ => Err(several(directory, shown, &found)),
    }
}

fn scripts(directory: &Path) -> Result<Vec<Target>, Problem> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| {
        Problem::new(format!("The directory {} cannot be read: {error}", directory.display()))
    })?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name == "wsgi.py" || name == "app.py" || path.extension().is_some_and(|ending| ending == "wsgi")
    };
    paths.iter().filter(|path| named(path) && path.is_file()).map(|path| Target::script(path, None)).collect()
}

/// The WSGI module of the project whose `manage.py` is in `directory`.
fn django(directory: &Path, shown: &str) -> Result<Target, Problem> {
    let manage = fs::read_to_string(directory.join("manage.py")).unwrap_or_default();
    let settings = assigned_string(&manage, DJANGO_SETTINGS);
    let script = settings.as_deref().and_then(|settings| wsgi_of(directory, settings));
    if let Some(path) = script {
        let source = Source::Script { path, callable: Some("application".to_owned()) };
        return Ok(Target { source, project: directory.to_path_buf() });
    }
    let problem = Problem::new(format!("The Django project in {shown} has no WSGI module that can be found"));
    let problem = match settings {
        Some(settings) => {
            problem.detail(format!("manage.py names the settings {settings}; no wsgi.py is beside them."))
        }
        None => problem.detail(format!("manage.py sets no {DJANGO_SETTINGS}.")),
    };
    Err(problem.cure("name the module's file: oxwsgi serve PROJECT/wsgi.py"))
}

/// The file of the settings' `WSGI_APPLICATION`, or else the `wsgi.py` in the nearest package around the settings.
fn wsgi_of(directory: &Path, settings: &str) -> Option<PathBuf> {
    let base = directory.join(settings.replace('.', "/"));
    let files = [base.with_extension("py"), base.join("__init__.py")];
    let text = files.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    let named = assigned_string(&text, "WSGI_APPLICATION").and_then(|dotted| {
        let (module, name) = dotted.rsplit_once('.')?;
        (name == "application").then(|| directory.join(module.replace('.', "/")).with_extension("py"))
    });
    let nearby = base.ancestors().skip(1).take_while(|package| *package != directory);
    let nearby = nearby.map(|package| package.join("wsgi.py"));
    named.into_iter().chain(nearby).find(|path| path.is_file())
}

/// The string that follows `name` in Python text: `name = "x"`, `name: str = 'x'` or `"name", "x"`. Comments do not count.
fn assigned_string(text: &str, name: &str) -> Option<String> {
    let code: String =
        text.lines().map(|line| line.split('#').next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    code.match_indices(name).find_map(|(at, _)| {
        let after = code[at + name.len()..].trim_start_matches(['"', '\'']);
        let opening = after.find(['"', '\''])?;
        let between = after[..opening].replace("str", "");
        let is_value = between.chars().all(|c| c.is_whitespace() || "=,:]".contains(c));
        let quote = after[opening..].chars().next()?;
        let value = after[opening + 1..].split(quote).next()?;
        let dotted = !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
        (is_value && dotted).then(|| value.to_owned())
    })
}

fn none(directory: &Path, shown: &str) -> Problem {
    Problem::new(format!("The directory {shown} holds no application that can be recognised"))
        .detail(format!("Looked in {} for wsgi.py, app.py, *.wsgi and manage.py.", directory.display()))
        .cure("name the script file: oxwsgi serve path/to/script.py")
        .cure("name a callable, in the directory its import starts from: oxwsgi serve module:callable")
}

fn several(directory: &Path, shown: &str, found: &[Target]) -> Problem {
    let base = shown.trim_end_matches('/');
    let problem = Problem::new(format!("The directory {shown} holds {} applications", found.len()));
    found.iter().fold(problem, |problem, target| {
        let Source::Script { path, .. } = &target.source else { return problem };
        let inside = path.strip_prefix(directory).unwrap_or(path).display();
        problem.cure(format!("oxwsgi serve {base}/{inside}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().expect("a temporary directory");
            for (name, text) in files {
                let path = directory.path().join(name);
                fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
                fs::write(path, text).expect("a file");
            }
            Self(directory)
        }

        fn found(&self) -> Result<(String, PathBuf), String> {
            let target = find(self.0.path(), "site/").map_err(|problem| problem.to_string())?;
            let Source::Script { path, .. } = target.source else { panic!("not a script") };
            let script = path.strip_prefix(self.0.path()).expect("inside").display().to_string();
            Ok((script, target.project.strip_prefix(self.0.path()).expect("inside").to_path_buf()))
        }
    }

    const MANAGE: &str = "import os\n# os.environ['DJANGO_SETTINGS_MODULE'] = 'old.settings'\n\
        os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"shop.settings\")\n";

    #[test]
    fn each_usual_name_is_found_alone() {
        for name in ["wsgi.py", "app.py", "hello.wsgi"] {
            let folder = Folder::with(&[(name, ""), ("models.py", "")]);
            assert_eq!(folder.found(), Ok((name.to_owned(), PathBuf::new())));
        }
    }

    #[test]
    fn django_settings_lead_to_the_wsgi_module() {
        let folder = Folder::with(&[("manage.py", MANAGE), ("shop/settings.py", ""), ("shop/wsgi.py", "")]);
        assert_eq!(folder.found(), Ok(("shop/wsgi.py".to_owned(), PathBuf::new())));
    }

    #[test]
    fn django_settings_may_be_a_package_or_name_the_application() {
        let manage = MANAGE.replace("shop.settings", "conf.settings.local");
        let folder =
            Folder::with(&[("manage.py", &manage), ("conf/settings/local.py", ""), ("conf/wsgi.py", "")]);
        assert_eq!(folder.found(), Ok(("conf/wsgi.py".to_owned(), PathBuf::new())));
        let settings = "WSGI_APPLICATION = 'web.entry.application'\n";
        let folder =
            Folder::with(&[("manage.py", MANAGE), ("shop/settings.py", settings), ("web/entry.py", "")]);
        assert_eq!(folder.found(), Ok(("web/entry.py".to_owned(), PathBuf::new())));
    }

    #[test]
    fn django_without_a_wsgi_module_says_which_settings_it_looked_beside() {
        let problem = Folder::with(&[("manage.py", MANAGE)]).found().expect_err("no wsgi.py");
        assert!(problem.contains("shop.settings"), "{problem}");
    }

    #[test]
    fn none_and_several_are_explained() {
        let problem = Folder::with(&[("main.py", "")]).found().expect_err("none");
        assert!(problem.contains("no application"), "{problem}");
        let problem = Folder::with(&[("wsgi.py", ""), ("app.py", "")]).found().expect_err("several");
        assert!(problem.contains("oxwsgi serve site/app.py"), "{problem}");
        assert!(problem.contains("oxwsgi serve site/wsgi.py"), "{problem}");
    }
}
