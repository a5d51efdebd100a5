//! The plan of the daemon groups, from what is configured and what nginx knows besides.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oxwsgi_client::ClientSettings;
use oxwsgi_core::daemon::{Draft, Handover, Plan};
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::report::Number;

use super::core_settings::{CoreSettings, facts};
use super::discovery::{self, Settled};
use super::error_log;
use crate::daemon::launch;
use crate::embed;
use crate::nginx::config::{Group, MainConfig};
use crate::nginx::record::Cycle;

/// Longest path of a socket in bytes, with its NUL (`sockaddr_un`, `unix(7)`).
const LONGEST_SOCKET: usize = 108;

/// How long a process may leave a read or write waiting where its group does not say (`socket_timeout`): what nginx's own
/// timeouts are where nothing says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why no group is started.
pub const LAUNCH: Number = Number(1151);

/// What a generation is started with.
#[derive(Debug)]
pub struct Blueprint {
    /// The program of its supervisor and keeper.
    pub program: PathBuf,
    /// Its plan, with a group for each of the configuration's, in the same order.
    pub plan: Plan,
}

impl Blueprint {
    /// The blueprint of the groups of a cycle, whose logs are open.
    ///
    /// # Errors
    /// What keeps groups from running as far as that can be seen, for the log.
    pub fn new(cycle: Cycle<'_>, settings: &MainConfig) -> Result<Self, Vec<String>> {
        let core = CoreSettings::of(cycle);
        let mut failures = Vec::new();
        let sockets = sockets(core, settings).unwrap_or_else(|failure| {
            failures.push(failure);
            Vec::new()
        });
        let program = program().unwrap_or_else(|failure| {
            failures.push(failure);
            PathBuf::new()
        });
        let settled = discovery::settle(core, settings).unwrap_or_else(|more| {
            failures.extend(more);
            Vec::new()
        });
        if !failures.is_empty() {
            return Err(failures);
        }
        let server_user = core.serving_user();
        let log = error_log::of(cycle);
        let draft = |((group, settled), socket): ((&Group, Settled), Vec<u8>)| {
            let Settled { found, account } = settled;
            let variables = settings.environment_of(group).into_iter();
            let draft = Draft {
                account,
                server_user,
                socket,
                log: log.clone(),
                timeout: TIMEOUT,
                executable: &found.python.executable,
                runtime: &found.runtime,
                environment: variables.map(|(name, value)| (name.into(), value.into())).collect(),
            };
            draft.complete(&group.settings, &settings.process)
        };
        let groups = settings.groups.iter().zip(settled).zip(sockets).map(draft).collect();
        let plan = Plan {
            package_version: env!("CARGO_PKG_VERSION").to_owned(),
            // Otherwise the old configuration stays, which serves.
            strict: true,
            // Another process than this one, when nginx becomes a daemon.
            parent: None,
            server_user,
            log: log.clone(),
            server: facts(),
            groups,
        };
        Ok(Self { program, plan })
    }
}

/// Path of the socket of each group: new ones for each configuration, so that the groups of two can run side by side.
fn sockets(core: CoreSettings<'_>, settings: &MainConfig) -> Result<Vec<Vec<u8>>, String> {
    let prefix = prefix(core, settings);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let own = std::process::id();
    let name = |number: usize| format!(".{own}.{:x}.{number}.sock", since.as_micros());
    let sockets: Vec<_> =
        (1..=settings.groups.len()).map(|number| [&prefix, name(number).as_bytes()].concat()).collect();
    let longest = sockets.iter().max_by_key(|socket| socket.len()).map(Vec::as_slice).unwrap_or_default();
    if longest.len() < LONGEST_SOCKET {
        return Ok(sockets);
    }
    let what = match &settings.process.socket_prefix {
        Some(prefix) => format!("wsgi_socket_prefix {}", String::from_utf8_lossy(prefix)),
        None => "wsgi_socket_prefix is not set, so sockets are beside the \"pid\" file".to_owned(),
    };
    Err(format!(
        "{LAUNCH}: {what}: the path of a socket would be {}, and must be shorter than {LONGEST_SOCKET} bytes: set \
         wsgi_socket_prefix to a shorter one",
        String::from_utf8_lossy(longest)
    ))
}

/// `wsgi_socket_prefix`, else `wsgi` in the folder of the file with the master's number.
fn prefix(core: CoreSettings<'_>, settings: &MainConfig) -> Vec<u8> {
    match settings.process.socket_prefix.as_deref() {
        Some(prefix) if prefix.starts_with(b"/") => prefix.to_vec(),
        Some(prefix) => [core.prefix(), prefix].concat(),
        None => {
            let pid_file = core.pid_file();
            let folder = pid_file.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            [&pid_file[..folder], b"wsgi"].concat()
        }
    }
}

fn program() -> Result<PathBuf, String> {
    let program =
        embed::own_folder(|folder| folder.join(Handover::PROGRAM).is_file()).join(Handover::PROGRAM);
    launch::look_at(&program).map_err(|wrong| format!("{LAUNCH}: WSGI applications need {wrong}"))?;
    Ok(program)
}

/// What the clients of a group know of it, which has its socket there.
pub fn client(group: &Group, socket: &[u8]) -> ClientSettings {
    ClientSettings::of(&group.settings, socket, Some(TIMEOUT), Dialect::Nginx)
}
