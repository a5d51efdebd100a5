//! Groups that see another root of the file system.

use oxwsgi_core::request::{BodyLength, RequestView, ScriptKind, Target, Variable};

use super::fake::with_view;
use crate::root::seen_below;

#[test]
fn paths_begin_at_the_new_root() {
    with_view(BodyLength::None, &[], |view| {
        let mut variables = view.variables;
        variables.set(Variable::ScriptFilename, &b"/jail/srv/x.html"[..]);
        variables.set(Variable::DocumentRoot, &b"/jail"[..]);
        variables.set(Variable::ContextDocumentRoot, &b"/elsewhere"[..]);
        let target = Target {
            script: b"/jail/srv/x.wsgi"[..].into(),
            resource: b"/jail/srv/x.html"[..].into(),
            ..view.target
        };
        let view = RequestView { variables, target, ..*view };
        let seen = seen_below(b"/jail", &view).unwrap();
        assert_eq!(
            (&*seen.target.script, &*seen.target.resource),
            (&b"/srv/x.wsgi"[..], &b"/srv/x.html"[..])
        );
        assert_eq!(seen.variables.get(Variable::ScriptFilename), Some(&b"/srv/x.html"[..]));
        assert_eq!(seen.variables.get(Variable::DocumentRoot), Some(&b"/"[..]));
        assert_eq!(seen.variables.get(Variable::ContextDocumentRoot), None);
        assert!(seen_below(b"/other", &view).is_none());
    });
}

#[test]
fn a_module_has_the_same_name_everywhere() {
    with_view(BodyLength::None, &[], |view| {
        let target =
            Target { script: "shop.web".into(), script_kind: ScriptKind::Module, ..Target::default() };
        let mut variables = view.variables;
        variables.set(Variable::DocumentRoot, &b"/jail/srv"[..]);
        let view = RequestView { variables, target, ..*view };
        let seen = seen_below(b"/jail", &view).unwrap();
        assert_eq!(&*seen.target.script, b"shop.web");
        assert_eq!(seen.variables.get(Variable::DocumentRoot), Some(&b"/srv"[..]));
    });
}
