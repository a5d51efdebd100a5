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
