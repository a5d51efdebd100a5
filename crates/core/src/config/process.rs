//! Settings of every process that runs Python: one block for the whole server.

use crate::borrowed::{Bytes, MaybeBytes};
use crate::config::{ConfigError, DaemonGroup, Foreign, Hosts};
use crate::request::ScriptKind;

/// A script to load when a process starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportScript {
    /// Path of the script, or name of the module.
    pub script: Box<[u8]>,
    /// What `script` names.
    pub script_kind: ScriptKind,
    /// The callable that must be there; empty loads the script and looks for none.
    pub callable: Box<[u8]>,
    /// Whether the callable is called, to make the application.
    pub factory: bool,
    /// Daemon group; empty is the server's own processes.
    pub process_group: Box<[u8]>,
    /// Interpreter; empty is the main one.
    pub application_group: Box<[u8]>,
    /// Whether Python is started in the server's own processes for it alone (`WSGIImportScript`), and not only when it runs anyhow (an alias).
    pub needs_python: bool,
}

/// What is set for all processes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessSettings {
    /// `WSGIPythonHome`.
    pub python_home: Option<Box<[u8]>>,
    /// `WSGIPythonPath`, split.
    pub python_path: Option<Vec<Box<[u8]>>>,
    /// `WSGIPythonEggs`.
    pub python_eggs: Option<Box<[u8]>>,
    /// Whether Python ignores its variables in the environment and the user's site-packages (nginx's `wsgi_python_isolated`).
    pub python_isolated: Option<bool>,
    /// `WSGIPythonOptimize`: 0, 1 or 2.
    pub python_optimize: Option<u8>,
    /// `WSGIPythonWarnings`, in order.
    pub python_warnings: Vec<Box<[u8]>>,
    /// `WSGIPythonHashSeed`: `random` or a number, as Python reads it.
    pub python_hash_seed: Option<Box<[u8]>>,
    /// `WSGIDontWriteBytecode`.
    pub dont_write_bytecode: Option<bool>,
    /// `WSGIRestrictEmbedded`.
    pub restrict_embedded: Option<bool>,
    /// `WSGIRestrictStdin`.
    pub restrict_stdin: Option<bool>,
    /// `WSGIRestrictStdout`.
    pub restrict_stdout: Option<bool>,
    /// `WSGIRestrictSignal`.
    pub restrict_signal: Option<bool>,
    /// `WSGICaseSensitivity`.
    pub case_sensitivity: Option<bool>,
    /// `WSGISwitchInterval`, in seconds.
    pub switch_interval: Option<f64>,
    /// `WSGIDestroyInterpreter`.
    pub destroy_interpreter: Option<bool>,
    /// `WSGISocketPrefix`.
    pub socket_prefix: Option<Box<[u8]>>,
    /// `WSGIDaemonProcess`, in order.
    pub daemon_groups: Vec<DaemonGroup>,
    /// `WSGIImportScript` and what script aliases load ahead, in order.
    pub imports: Vec<ImportScript>,
}

impl ProcessSettings {
    /// Whether the server's own processes run Python: unless embedded mode is restricted and nothing else needs it.
    pub fn needs_embedded_python(&self) -> bool {
        !self.restrict_embedded() || self.imports_of(b"").any(|import| import.needs_python)
    }

    /// The daemon group of that name.
    pub fn daemon_group(&self, name: &[u8]) -> Option<&DaemonGroup> {
        self.daemon_groups.iter().find(|group| *group.name == *name)
    }

    /// What a daemon group loads at start, or with an empty name each of the server's own processes.
    pub fn imports_of(&self, process_group: &[u8]) -> impl Iterator<Item = &ImportScript> {
        self.imports.iter().filter(move |import| *import.process_group == *process_group)
    }

    /// Adds a daemon group, whose name must be new.
    pub(super) fn add_group(&mut self, group: DaemonGroup) -> Result<(), ConfigError> {
        if self.daemon_group(&group.name).is_some() {
            let reason = "Name duplicates previous WSGI daemon definition. A name that no other group of the whole server has";
            return Err(ConfigError::value(&group.name, reason));
        }
        self.daemon_groups.push(group);
        Ok(())
    }

    /// Adds a script to load at start, in a group that the current one of `hosts` may use.
    pub fn add_import(&mut self, import: ImportScript, hosts: &dyn Hosts) -> Result<(), ConfigError> {
        if !import.process_group.is_empty() {
            let reason = match self.daemon_group(&import.process_group).map(|group| group.host.admits(hosts))
            {
                Some(Ok(())) => None,
                None => {
                    Some("WSGI process group not yet configured. Put its WSGIDaemonProcess before this line")
                }
                Some(Err(Foreign::OtherName)) => Some(
                    "WSGI process group not accessible. It is for the virtual host that defines it and for those of the \
                     same ServerName; define it in the main server to share it",
                ),
                Some(Err(Foreign::NoName)) => Some(
                    "WSGI process group not matchable. It is for the virtual host that defines it and for those of the \
                     same ServerName; put ServerName before this line, or define the group in the main server",
                ),
            };
            if let Some(reason) = reason {
                return Err(ConfigError::group(&import.process_group, reason));
            }
        }
        self.imports.push(import);
        Ok(())
    }

    /// Whether requests in embedded mode are refused.
    pub fn restrict_embedded(&self) -> bool {
        self.restrict_embedded.unwrap_or(false)
    }

    /// Whether paths and `%{RESOURCE}` keep their case.
    pub fn case_sensitivity(&self) -> bool {
        // File systems of macOS and Windows ignore case.
        self.case_sensitivity.unwrap_or(!cfg!(any(target_os = "macos", windows)))
    }

    /// How Python starts, defaults applied.
    pub fn resolve(&self) -> PythonSettings<'_> {
        PythonSettings {
            home: self.python_home.as_deref(),
            path: self.python_path.as_deref().map(borrowed).unwrap_or_default(),
            eggs: self.python_eggs.as_deref().into(),
            warnings: borrowed(&self.python_warnings),
            optimize: self.python_optimize.unwrap_or(0),
            hash_seed: self.python_hash_seed.as_deref().into(),
            dont_write_bytecode: self.dont_write_bytecode.unwrap_or(false),
            switch_interval: self.switch_interval.unwrap_or(0.0),
            restrict_stdin: self.restrict_stdin.unwrap_or(false),
            restrict_stdout: self.restrict_stdout.unwrap_or(false),
            restrict_signal: self.restrict_signal.unwrap_or(true),
            destroy_interpreter: self.destroy_interpreter.unwrap_or(true),
        }
    }
}

fn borrowed(items: &[Box<[u8]>]) -> Vec<Bytes<'_>> {
    items.iter().map(|item| Bytes::new(item)).collect()
}

/// How Python starts: the fields of [`crate::abi::Start`] that directives set.
#[derive(Clone, Debug)]
pub struct PythonSettings<'a> {
    /// Prefix or venv; `None` is the `python3` on PATH.
    pub home: Option<&'a [u8]>,
    /// Directories for `site.addsitedir`.
    pub path: Vec<Bytes<'a>>,
    /// `PYTHON_EGG_CACHE`.
    pub eggs: MaybeBytes<'a>,
    /// Filter specifications.
    pub warnings: Vec<Bytes<'a>>,
    /// 0, 1 or 2.
    pub optimize: u8,
    /// Absent, `random` or a number.
    pub hash_seed: MaybeBytes<'a>,
    /// No `.pyc` files.
    pub dont_write_bytecode: bool,
    /// Seconds; 0 leaves Python's own.
    pub switch_interval: f64,
    /// Reading `sys.stdin` is an error.
    pub restrict_stdin: bool,
    /// Using `sys.stdout` is an error.
    pub restrict_stdout: bool,
    /// `signal.signal` does nothing.
    pub restrict_signal: bool,
    /// Interpreters are ended at exit.
    pub destroy_interpreter: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        let settings = ProcessSettings::default();
        assert!(settings.needs_embedded_python());
        assert!(!settings.restrict_embedded());
        let python = settings.resolve();
        assert_eq!((python.home, python.optimize, python.switch_interval), (None, 0, 0.0));
        assert!(python.path.is_empty() && python.warnings.is_empty());
        assert!(python.eggs.get().is_none() && python.hash_seed.get().is_none());
        assert!(python.restrict_signal && python.destroy_interpreter);
        assert!(!python.restrict_stdin && !python.restrict_stdout && !python.dont_write_bytecode);
    }

    #[test]
    fn restricted_embedded_mode_needs_python_for_import_scripts_alone() {
        let import_into = |group: &[u8], needs_python| {
            vec![ImportScript { process_group: group.into(), needs_python, ..ImportScript::default() }]
        };
        let import = |needs_python| import_into(b"", needs_python);
        let restricted = |imports| ProcessSettings {
            restrict_embedded: Some(true),
            imports,
            ..ProcessSettings::default()
        };
        assert!(!restricted(vec![]).needs_embedded_python());
        assert!(!restricted(import(false)).needs_embedded_python());
        assert!(restricted(import(true)).needs_embedded_python());
        assert!(!restricted(import_into(b"blog", true)).needs_embedded_python());
    }
}
