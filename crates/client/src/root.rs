//! `chroot`: what the paths of a request are called by a group that sees another root of the file system.

use oxwsgi_core::request::path::below;
use oxwsgi_core::request::{RequestView, ScriptKind, Target, Variable};

/// The request as the group with this root sees it; none when the script is outside. A document root outside is left out.
/// A module is found by whoever sees the new root, so its name stays.
pub fn seen_below<'a>(root: &[u8], view: &RequestView<'a>) -> Option<RequestView<'a>> {
    let path = |path: &'a [u8]| below(root, path);
    let script = match view.target.script_kind {
        ScriptKind::File => path(view.target.script.as_slice())?,
        ScriptKind::Module => view.target.script.as_slice(),
    };
    let resource = view.target.resource.as_slice();
    let mut variables = view.variables;
    for variable in [Variable::ScriptFilename, Variable::HandlerScript] {
        if let Some(inside) = variables.get(variable).and_then(path) {
            variables.set(variable, inside);
        }
    }
    for variable in [Variable::DocumentRoot, Variable::ContextDocumentRoot] {
        variables.set(variable, variables.get(variable).and_then(path));
    }
    let resource = path(resource).unwrap_or(resource);
    let target = Target { script: script.into(), resource: resource.into(), ..view.target };
    Some(RequestView { variables, target, ..*view })
}
