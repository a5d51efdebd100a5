//! Which application answers a request.

use crate::borrowed::Bytes;

/// The application of a request, all names resolved.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'a> {
    /// Daemon group; empty is embedded mode.
    pub process_group: Bytes<'a>,
    /// Interpreter; empty is the main interpreter.
    pub application_group: Bytes<'a>,
    /// Path of the script file (the handler script when the request came through `WSGIHandlerScript`).
    pub script: Bytes<'a>,
    /// Name of the callable in the script's globals.
    pub callable: Bytes<'a>,
    /// The file that was asked for, for `reload_required(resource)`.
    pub resource: Bytes<'a>,
    /// Modification time of `script` in microseconds since the epoch, as the server has read it; -1 when it has not,
    /// and the runtime looks itself.
    pub script_mtime: i64,
    /// Whether a changed script is loaded anew (`WSGIScriptReloading`).
    pub script_reloading: bool,
    /// Whether the request keeps nobody from being idle (`WSGIIgnoreActivity`).
    pub ignore_activity: bool,
}
