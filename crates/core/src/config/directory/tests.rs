//! Tests of merging and resolving.

use super::*;

fn name(text: &str) -> Option<Name> {
    Some(Name::new(text.as_bytes()))
}

fn networks(text: &str) -> Option<Arc<[Network]>> {
    Some(text.split(' ').map(|network| network.parse().unwrap()).collect())
}

fn headers(text: &str) -> Option<Arc<[&'static ProxyHeader]>> {
    Some(text.split(' ').map(|name| ProxyHeader::named(name.as_bytes()).unwrap()).collect())
}

fn groups(text: &str) -> Option<Arc<[Box<[u8]>]>> {
    Some(text.split(' ').map(|group| Box::from(group.as_bytes())).collect())
}

fn handler(name: &str, script: &str) -> HandlerScript {
    let options = ScriptOptions { pass_authorization: Some(true), ..ScriptOptions::default() };
    HandlerScript { name: name.as_bytes().into(), script: script.as_bytes().into(), options }
}

/// Everything set, to values that are not the defaults.
fn full() -> DirectorySettings {
    let mut settings = DirectorySettings {
        process_group: name("%{GLOBAL}"),
        application_group: name("outer"),
        callable_object: Some(CallableName::new(b"outer")),
        pass_authorization: Some(true),
        script_reloading: Some(false),
        ignore_activity: Some(true),
        error_override: Some(true),
        chunked_request: Some(true),
        map_head_to_get: Some(MapHeadToGet::Off),
        enable_sendfile: Some(true),
        trusted_proxies: networks("10.0.0.0/8"),
        trusted_proxy_headers: headers("X-Real-IP"),
        restrict_process: groups("outer"),
        handler_scripts: None,
    };
    settings.add_handler_script(handler("md", "/outer/md.wsgi"));
    settings
}

/// Everything set, differently.
fn other() -> DirectorySettings {
    let mut settings = DirectorySettings {
        process_group: name("inner"),
        application_group: name("inner"),
        callable_object: Some(CallableName::new(b"inner")),
        pass_authorization: Some(false),
        script_reloading: Some(true),
        ignore_activity: Some(false),
        error_override: Some(false),
        chunked_request: Some(false),
        map_head_to_get: Some(MapHeadToGet::On),
        enable_sendfile: Some(false),
        trusted_proxies: networks("192.168.0.0/16 ::1"),
        trusted_proxy_headers: headers("X-Host"),
        restrict_process: groups("inner"),
        handler_scripts: None,
    };
    settings.add_handler_script(handler("md", "/inner/md.wsgi"));
    settings
}

#[test]
fn what_is_unset_comes_from_outside() {
    assert_eq!(DirectorySettings::merged(&full(), &DirectorySettings::default()), full());
    assert_eq!(DirectorySettings::merged(&DirectorySettings::default(), &full()), full());
}

#[test]
fn what_is_set_inside_wins_and_lists_are_replaced_whole() {
    assert_eq!(DirectorySettings::merged(&full(), &other()), other());
    assert_eq!(DirectorySettings::merged(&other(), &full()), full());
}

#[test]
fn each_setting_is_merged_by_itself() {
    let inner = DirectorySettings { chunked_request: Some(false), ..DirectorySettings::default() };
    let expected = DirectorySettings { chunked_request: Some(false), ..full() };
    assert_eq!(DirectorySettings::merged(&full(), &inner), expected);
}

#[test]
fn handler_scripts_overlay_by_name() {
    let (mut outer, mut inner) = (DirectorySettings::default(), DirectorySettings::default());
    outer.add_handler_script(handler("md", "/outer/md.wsgi"));
    outer.add_handler_script(handler("rst", "/outer/rst.wsgi"));
    inner.add_handler_script(handler("md", "/first/md.wsgi"));
    inner.add_handler_script(handler("md", "/inner/md.wsgi"));
    let merged = DirectorySettings::merged(&outer, &inner);
    let script = |name: &[u8]| merged.handler_script(name).map(|script| script.script.to_vec());
    assert_eq!(script(b"md"), Some(b"/inner/md.wsgi".to_vec()));
    assert_eq!(script(b"rst"), Some(b"/outer/rst.wsgi".to_vec()));
    assert_eq!(script(b"MD"), None);
    assert_eq!(merged.handler_scripts.unwrap().len(), 2);
}

#[test]
fn defaults() {
    let settings = DirectorySettings::default();
    let resolved = settings.resolve(Route::Handler);
    assert_eq!(resolved.process_group, Expression::GLOBAL);
    assert_eq!(resolved.application_group, Expression::RESOURCE);
    assert_eq!(resolved.callable_object, Callable::DEFAULT);
    assert!(!resolved.pass_authorization);
    assert!(resolved.script_reloading);
    assert!(!resolved.error_override && !resolved.ignore_activity);
    assert!(!resolved.chunked_request);
    assert_eq!(resolved.map_head_to_get, MapHeadToGet::Auto);
    assert!(!resolved.enable_sendfile);
    assert!(resolved.trust.is_none());
    assert!(resolved.handler_script.is_none());
    assert!(!resolved.script_aliased);
    assert!(resolved.allows_process_group(b"") && resolved.allows_process_group(b"blog"));
}

#[test]
fn settings_reach_the_request() {
    let settings = full();
    let resolved = settings.resolve(Route::Handler);
    assert_eq!(resolved.application_group, name("outer").unwrap().as_expression());
    assert_eq!(resolved.callable_object, Callable::Literal(b"outer"));
    assert!(resolved.pass_authorization && resolved.chunked_request && resolved.enable_sendfile);
    assert!(resolved.error_override && resolved.ignore_activity);
    assert!(!resolved.script_reloading);
    assert_eq!(resolved.map_head_to_get, MapHeadToGet::Off);
    let trust = resolved.trust.unwrap();
    assert_eq!(
        (trust.proxies, trust.headers),
        (networks("10.0.0.0/8").as_deref(), &*headers("X-Real-IP").unwrap())
    );
    assert!(resolved.allows_process_group(b"outer"));
    // Embedded mode is not on the list.
    assert!(!resolved.allows_process_group(b""));
}

#[test]
fn an_alias_overrides_what_it_sets() {
    let settings = full();
    let options = ScriptOptions {
        process_group: None,
        application_group: name("%{GLOBAL}"),
        callable_object: Some(CallableName::new(b"%{ENV:X}")),
        pass_authorization: Some(false),
    };
    let alias = ScriptAlias::prefix(b"/", b"/x.wsgi", options);
    let resolved = settings.resolve(Route::Alias(&alias));
    assert!(resolved.script_aliased);
    assert_eq!(resolved.application_group, Expression::GLOBAL);
    // Not expanded.
    assert_eq!(resolved.callable_object, Callable::Literal(b"%{ENV:X}"));
    assert!(!resolved.pass_authorization);

    let alias = ScriptAlias::prefix(b"/", b"/x.wsgi", ScriptOptions::default());
    let resolved = settings.resolve(Route::Alias(&alias));
    assert_eq!(resolved.application_group, name("outer").unwrap().as_expression());
    assert_eq!(resolved.callable_object, Callable::Literal(b"outer"));
    assert!(resolved.pass_authorization);
}

#[test]
fn a_handler_script_has_its_own_callable() {
    let settings = DirectorySettings { pass_authorization: Some(false), ..full() };
    let handler = settings.handler_script(b"md").unwrap();
    let resolved = settings.resolve(Route::HandlerScript(handler));
    assert_eq!(resolved.callable_object, Callable::HANDLER);
    assert!(resolved.pass_authorization);
    assert_eq!(resolved.handler_script.unwrap().script, handler.script);
    assert!(!resolved.script_aliased);
}
