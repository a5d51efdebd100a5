//! Settings of the main server or a virtual host.

use std::sync::Arc;

use crate::config::{ConfigError, Regex, ScriptAlias};

/// What is set for one server.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// `WSGIScriptAlias` and `WSGIScriptAliasMatch`, in order; the first that matches wins.
    pub script_aliases: Vec<Arc<ScriptAlias>>,
}

impl ServerSettings {
    /// The settings of a virtual host: its own aliases come before the main server's.
    pub fn merged(main: &Self, host: &Self) -> Self {
        let script_aliases = host.script_aliases.iter().chain(&main.script_aliases).cloned().collect();
        Self { script_aliases }
    }

    /// Hands the pattern of the alias just added, when it has one, to the server's own compiler.
    pub fn compile_expression(
        &mut self,
        compile: impl FnOnce(&[u8]) -> Option<Box<dyn Regex>>,
    ) -> Result<(), ConfigError> {
        let Some(alias) = self.script_aliases.last_mut().and_then(Arc::get_mut) else { return Ok(()) };
        alias.compile(compile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ScriptOptions;

    fn server(targets: &[&str]) -> ServerSettings {
        let alias =
            |target: &&str| Arc::new(ScriptAlias::prefix(b"/", target.as_bytes(), ScriptOptions::default()));
        ServerSettings { script_aliases: targets.iter().map(alias).collect() }
    }

    #[test]
    fn a_virtual_hosts_own_aliases_come_first() {
        let merged = ServerSettings::merged(&server(&["/main1", "/main2"]), &server(&["/host1", "/host2"]));
        let targets: Vec<_> =
            merged.script_aliases.iter().map(|alias| alias.map(c"/").unwrap().target.into_owned()).collect();
        assert_eq!(
            targets,
            ["/host1", "/host2", "/main1", "/main2"].map(|target| target.as_bytes().to_vec())
        );
    }

    #[test]
    fn only_a_new_expression_is_compiled() {
        let mut settings = server(&["/x"]);
        assert_eq!(settings.compile_expression(|_| panic!("there is no expression")), Ok(()));
        let alias = ScriptAlias::expression(b"(", b"/x", ScriptOptions::default());
        settings.script_aliases.push(Arc::new(alias));
        assert!(settings.compile_expression(|_| None).is_err());
    }
}
