//! Directives that lead a URL to an application.

use std::sync::Arc;

use crate::config::directive::{Arguments, Context, Directive, Setter};
use crate::config::value::{self, Outcome, Words};
use crate::config::{
    ConfigError, DirectorySettings, HandlerScript, ScriptAlias, ScriptOptions, ServerSettings,
};
use crate::request::CallableName;

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "WSGIScriptAlias",
        context: Context::Server,
        arguments: Arguments { least: 2, ..Arguments::options(2, "url-path file-or-directory [options]") },
        default: "-",
        help: "Map location to target WSGI script file",
        setter: Setter::Server(script_alias),
        notice: None,
    },
    Directive {
        name: "WSGIScriptAliasMatch",
        context: Context::Server,
        arguments: Arguments { least: 2, ..Arguments::options(2, "regex file-or-directory [options]") },
        default: "-",
        help: "Map location pattern to target WSGI script file",
        setter: Setter::Server(script_alias_match),
        notice: None,
    },
    Directive {
        name: "WSGIHandlerScript",
        context: Context::Directory,
        arguments: Arguments::options(
            2,
            "name file [process-group=name] [application-group=name] [pass-authorization=On|Off]",
        ),
        default: "-",
        help: "Name a handler, and the script whose handle_request() answers for it",
        setter: Setter::Directory(handler_script),
        notice: None,
    },
    Directive {
        name: "WSGIApplicationGroup",
        context: Context::Directory,
        arguments: Arguments::one("name"),
        default: "%{RESOURCE}",
        help: "Name of the interpreter that runs the application; %{GLOBAL} is the main interpreter",
        setter: Setter::Directory(|settings, words| value::name(&mut settings.application_group, words)),
        notice: None,
    },
    Directive {
        name: "WSGICallableObject",
        context: Context::FileInfo,
        arguments: Arguments::one("name"),
        default: "application",
        help: "Name of the application in the script's globals",
        setter: Setter::Directory(|settings, words| {
            settings.callable_object = words.first().map(|word| CallableName::new(word));
            Ok(())
        }),
        notice: None,
    },
];

fn script_alias(settings: &mut ServerSettings, words: Words<'_>) -> Outcome {
    let [location, target, options @ ..] = words else { return Err(MISSING) };
    if !location.starts_with(b"/") {
        // It would match nothing: the path of every URL begins so.
        return Err(ConfigError::value(location, "a URL path, which begins with '/'"));
    }
    let options = alias_options(options)?;
    settings.script_aliases.push(Arc::new(ScriptAlias::prefix(location, target, options)));
    Ok(())
}

fn script_alias_match(settings: &mut ServerSettings, words: Words<'_>) -> Outcome {
    let [pattern, target, options @ ..] = words else { return Err(MISSING) };
    let options = alias_options(options)?;
    settings.script_aliases.push(Arc::new(ScriptAlias::expression(pattern, target, options)));
    Ok(())
}

const MISSING: ConfigError = ConfigError::Missing("Location and target of script alias not supplied.");

fn alias_options(words: Words<'_>) -> Result<ScriptOptions, ConfigError> {
    let known = &["process-group", "application-group", "callable-object", "pass-authorization"];
    ScriptOptions::parse(words, known, "Invalid option to WSGI script alias definition.")
}

fn handler_script(settings: &mut DirectorySettings, words: Words<'_>) -> Outcome {
    let (name, script, options) = match words {
        [] => return Err(ConfigError::Missing("Name for handler script not supplied.")),
        [_] => return Err(ConfigError::Missing("Location of handler script not supplied.")),
        [name, script, options @ ..] => (*name, *script, options),
    };
    let known = &["process-group", "application-group", "pass-authorization"];
    let options = ScriptOptions::parse(options, known, "Invalid option to WSGI handler script definition.")?;
    settings.add_handler_script(HandlerScript { name: name.into(), script: script.into(), options });
    Ok(())
}
