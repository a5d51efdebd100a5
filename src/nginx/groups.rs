//! The daemon groups of a configuration: started when it comes into force, and known to the processes that serve requests.

use crate::nginx::config::MainConfig;
use crate::nginx::record::Cycle;

/// A configuration is about to come into force, in the process that keeps the others: its groups are started. Also called
/// by `nginx -t`, which starts nothing.
///
/// # Errors
/// Why there can be none, for the log; the configuration is then refused.
pub fn start(_cycle: Cycle<'_>, _settings: &MainConfig) -> Result<(), String> {
    Ok(())
}

/// A process that serves requests begins.
pub fn enter_process(_cycle: Cycle<'_>, _settings: &MainConfig) {}

/// A process that serves requests ends.
pub fn exit_process(_cycle: Cycle<'_>) {}

/// The process that keeps the others ends.
pub fn exit_master(_cycle: Cycle<'_>) {}
