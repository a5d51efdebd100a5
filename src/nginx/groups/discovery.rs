//! Which Python each group will run: asked whenever a configuration is about to come into force, and by `nginx -t`.

use oxwsgi_core::config::DaemonGroup;
use oxwsgi_core::daemon;
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::home::RuntimeFiles;
use oxwsgi_core::os::Account;
use oxwsgi_core::report::Number;

use super::core_settings::CoreSettings;
use crate::daemon::inquiry::{Answers, Found, Inquiry};
use crate::embed;
use crate::nginx::config::{Group, MainConfig};

/// A group has no Python that runs.
const NO_PYTHON: Number = Number(1150);

/// A group's Python, and who runs it; none where nginx may become nobody else.
#[derive(Debug)]
pub struct Settled {
    /// Its Python and runtime.
    pub found: Found,
    /// The account.
    pub account: Option<daemon::Account>,
}

/// The Pythons of all groups, in order.
///
/// # Errors
/// What keeps groups from having one, for the log.
pub fn settle(core: CoreSettings<'_>, settings: &MainConfig) -> Result<Vec<Settled>, Vec<String>> {
    let module = embed::own_folder(|folder| !RuntimeFiles::beside(folder).is_empty());
    let mut inquiry = Inquiry::new(Dialect::Nginx, &module, core.serving_user());
    let common = settings.process.python_home.as_deref();
    let asked: Vec<_> = settings
        .groups
        .iter()
        .map(|group| {
            let account = account(core, &group.settings)?;
            Ok((inquiry.for_group(&group.settings, common, account.as_ref()), account))
        })
        .collect();
    let answers = inquiry.ask(Answers::default(), false);
    let mut settled = Vec::with_capacity(asked.len());
    let mut failures = Vec::new();
    for (group, asked) in settings.groups.iter().zip(asked) {
        let answer: Result<_, String> =
            asked.and_then(|(place, account)| Ok(Settled { found: answers.get(place)?, account }));
        match answer {
            Ok(found) => settled.push(found),
            Err(text) => failures.push(format!("{NO_PYTHON}: {}: {text}", title(group))),
        }
    }
    if failures.is_empty() { Ok(settled) } else { Err(failures) }
}

/// Who runs a group.
fn account(core: CoreSettings<'_>, group: &DaemonGroup) -> Result<Option<daemon::Account>, String> {
    if Account::may_change() {
        let (user, server_group) = core.account();
        return daemon::Account::of(group, user, server_group, Dialect::Nginx).map(Some);
    }
    let given = [
        ("user=", group.user.is_some()),
        ("group=", group.group.is_some()),
        ("supplementary_groups=", group.supplementary_groups.is_some()),
        ("socket_user=", group.socket_user.is_some()),
    ];
    let given: Vec<_> = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
    match &given[..] {
        [] => Ok(None),
        given => Err(format!(
            "{} can only be had when nginx is started as root: start it so, or leave it out",
            given.join(", ")
        )),
    }
}

/// What a message calls a group.
fn title(group: &Group) -> String {
    let name = String::from_utf8_lossy(group.name());
    if group.is_implicit {
        format!("the process group \"{name}\", of \"wsgi_pass\" without a group")
    } else {
        format!("wsgi_daemon_process {name}")
    }
}
