//! Which application answers a request.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::borrowed::Bytes;

/// What an application is found in.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ScriptKind {
    /// A script file, named by its path.
    #[default]
    File = 0,
    /// A module, named as for `import` and found through `sys.path`. It has no modification time: once it is imported it
    /// stays as it is.
    Module = 1,
}

/// The application of a request, all names resolved.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'a> {
    /// Daemon group; empty is embedded mode.
    pub process_group: Bytes<'a>,
    /// Interpreter; empty is the main interpreter.
    pub application_group: Bytes<'a>,
    /// Path of the script file (the handler script when the request came through `WSGIHandlerScript`), or name of the
    /// module, as `script_kind` says.
    pub script: Bytes<'a>,
    /// What `script` names.
    pub script_kind: ScriptKind,
    /// Name of the callable in the script's globals, or among the module's attributes. What follows a dot is an attribute
    /// of what comes before it.
    pub callable: Bytes<'a>,
    /// Whether the callable is not the application, but makes it: it is called once, without arguments, when the script is
    /// loaded.
    pub factory: bool,
    /// The file that was asked for, for `reload_required(resource)`.
    pub resource: Bytes<'a>,
    /// Modification time of `script` in microseconds since the epoch, as the server has read it; -1 when it has not,
    /// and the runtime looks itself. Of a script file only.
    pub script_mtime: i64,
    /// Whether a changed script is loaded anew (`WSGIScriptReloading`). Of a script file only.
    pub script_reloading: bool,
    /// Whether the request keeps nobody from being idle (`WSGIIgnoreActivity`).
    pub ignore_activity: bool,
}

/// What a message calls a script: "WSGI script '/srv/app.wsgi'", "WSGI module 'shop.web'".
#[derive(Clone, Copy, Debug)]
pub struct ScriptTitle<'a> {
    kind: ScriptKind,
    name: &'a [u8],
}

impl<'a> Target<'a> {
    /// What a message calls its script.
    pub fn title(&self) -> ScriptTitle<'a> {
        ScriptTitle { kind: self.script_kind, name: self.script.as_slice() }
    }
}

impl<'a> ScriptTitle<'a> {
    /// Of the script file at this path.
    pub const fn file(path: &'a [u8]) -> Self {
        Self { kind: ScriptKind::File, name: path }
    }

    /// Of the module of this name.
    pub const fn module(name: &'a [u8]) -> Self {
        Self { kind: ScriptKind::Module, name }
    }
}

impl fmt::Display for ScriptTitle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ScriptKind::File => "WSGI script",
            ScriptKind::Module => "WSGI module",
        };
        write!(f, "{kind} '{}'", String::from_utf8_lossy(self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_says_what_is_named() {
        let target = Target { script: "/srv/app.wsgi".into(), ..Target::default() };
        assert_eq!(target.title().to_string(), "WSGI script '/srv/app.wsgi'");
        let target = Target { script: "shop.web".into(), script_kind: ScriptKind::Module, ..target };
        assert_eq!(target.title().to_string(), "WSGI module 'shop.web'");
    }
}
