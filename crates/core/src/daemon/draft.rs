//! From a group's settings to its part of the plan: what the configuration says, and what only the server knows.

#![forbid(unsafe_code)]

use std::path::Path;
use std::time::Duration;

use super::log_target::LogTarget;
use super::plan::{Account, Group, Import, Python};
use crate::config::{DaemonGroup, Limits, ProcessSettings};
use crate::dialect::Dialect;
use crate::os;
use crate::os::users::User;
use crate::request::ScriptKind;
use crate::request::path::below;

/// What the server knows of a group, beside its settings.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Who runs it; none when the server may not become anybody else.
    pub account: Option<Account>,
    /// The user of the server's own processes.
    pub server_user: u32,
    /// Path of its socket.
    pub socket: Vec<u8>,
    /// Its log outside of requests.
    pub log: LogTarget,
    /// How long the server waits for a read or write (`Timeout`), where the group does not say; zero is for ever.
    pub timeout: Duration,
    /// The Python to execute, as the group sees it.
    pub executable: &'a Path,
    /// The runtime's file for it.
    pub runtime: &'a Path,
    /// Variables of its environment, which the server's configuration sets for all groups.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Draft<'_> {
    /// The group's part of the plan.
    pub fn complete(self, settings: &DaemonGroup, process: &ProcessSettings) -> Group {
        let foreign = self.account.as_ref().is_some_and(|account| account.uid != self.server_user);
        // Whoever may become nobody else can give a file to nobody else.
        let root = settings.chroot.as_deref();
        let socket_user = settings.socket_user.filter(|_| self.account.is_some());
        let timeout = Some(self.timeout).filter(|timeout| !timeout.is_zero());
        Group {
            name: settings.name.to_vec(),
            processes: settings.processes,
            threads: settings.threads,
            multiprocess: settings.multiprocess,
            account: self.account,
            foreign,
            socket: self.socket,
            socket_user: socket_user.unwrap_or(self.server_user),
            backlog: settings.listen_backlog,
            socket_buffers: settings.socket_buffers,
            log: self.log,
            umask: settings.umask,
            chroot: owned(&settings.chroot),
            home: owned(&settings.home),
            lang: owned(&settings.lang),
            locale: owned(&settings.locale),
            environment: self.environment,
            display_name: settings.display_name(),
            resources: settings.resources,
            limits: Limits { socket: settings.limits.socket.or(timeout), ..settings.limits },
            python: python(settings, process, self.executable, self.runtime),
            imports: process
                .imports_of(&settings.name)
                .map(|import| Import {
                    // A path that is not below the new root is taken for one that is.
                    script: root
                        .filter(|_| import.script_kind == ScriptKind::File)
                        .and_then(|root| below(root, &import.script))
                        .unwrap_or(&import.script)
                        .to_vec(),
                    script_kind: import.script_kind,
                    callable: import.callable.to_vec(),
                    factory: import.factory,
                    application_group: import.application_group.to_vec(),
                })
                .collect(),
        }
    }
}

fn python(settings: &DaemonGroup, process: &ProcessSettings, executable: &Path, runtime: &Path) -> Python {
    let common = process.resolve();
    Python {
        executable: executable.as_os_str().as_encoded_bytes().to_vec(),
        runtime: runtime.as_os_str().as_encoded_bytes().to_vec(),
        path: settings.python_path.iter().map(|path| path.to_vec()).collect(),
        eggs: owned(&settings.python_eggs),
        warnings: process.python_warnings.iter().map(|warning| warning.to_vec()).collect(),
        isolated: process.python_isolated.unwrap_or(false),
        optimize: common.optimize,
        hash_seed: owned(&process.python_hash_seed),
        dont_write_bytecode: common.dont_write_bytecode,
        switch_interval: settings.switch_interval.unwrap_or(common.switch_interval),
        restrict_stdin: common.restrict_stdin,
        restrict_stdout: common.restrict_stdout,
        restrict_signal: common.restrict_signal,
        destroy_interpreter: common.destroy_interpreter,
        case_sensitivity: process.case_sensitivity(),
    }
}

fn owned(text: &Option<Box<[u8]>>) -> Option<Vec<u8>> {
    text.as_deref().map(<[u8]>::to_vec)
}

impl Account {
    /// Who runs a group, where its settings do not say the user and the group of the server.
    ///
    /// # Errors
    /// It would be root.
    pub fn of(
        settings: &DaemonGroup,
        server_user: u32,
        server_group: u32,
        dialect: Dialect,
    ) -> Result<Self, String> {
        let user = settings.user.clone().or_else(|| User::numbered(server_user));
        let uid = user.as_ref().map_or(server_user, |user| user.uid);
        if uid == 0 {
            return Err(format!(
                "WSGI process blocked from running as root. Say with user= or {} who is to run it",
                dialect.user()
            ));
        }
        let gid = settings.group.unwrap_or(server_group);
        let mut groups = match &settings.supplementary_groups {
            Some(more) => [&[gid], &**more].concat(),
            None => user.as_ref().map_or_else(Vec::new, |user| user.groups(gid)),
        };
        if groups == [gid] {
            groups.clear();
        }
        let (name, home) = user.map(|user| (user.name.into_vec(), user.home.into_vec())).unzip();
        Ok(Self { uid, gid, groups, name, home })
    }

    /// For programs that are run as this account.
    pub fn identity(&self) -> os::Account {
        let groups = if self.groups.is_empty() { vec![self.gid] } else { self.groups.clone() };
        os::Account::with_groups(self.uid, self.gid, groups)
    }

    /// What a message calls it.
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => String::from_utf8_lossy(name).into_owned(),
            None => format!("#{}", self.uid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Host, ImportScript};
    use crate::daemon::board::{Board, CONNECTIONS};
    use crate::report::Level;

    const LOG: LogTarget = LogTarget::Descriptor(7, Level::Info);

    fn parse(options: &str) -> DaemonGroup {
        let words: Vec<&[u8]> = options.split(' ').map(str::as_bytes).collect();
        DaemonGroup::parse(&words, Host::Main).unwrap()
    }

    fn account(uid: u32) -> Account {
        Account { uid, gid: 9, groups: vec![], name: None, home: None }
    }

    fn draft(account: Option<Account>) -> Draft<'static> {
        Draft {
            account,
            server_user: 33,
            socket: b"/run/wsgi.1.sock".to_vec(),
            log: LOG,
            timeout: Duration::from_secs(60),
            executable: Path::new("/venv/bin/python3"),
            runtime: Path::new("/modules/oxwsgi_runtime.abi3.so"),
            environment: vec![(b"STAGE".to_vec(), b"test".to_vec())],
        }
    }

    fn complete(options: &str, account: Option<Account>, process: &ProcessSettings) -> Group {
        draft(account).complete(&parse(options), process)
    }

    #[test]
    fn what_is_set_reaches_the_plan() {
        let process = ProcessSettings {
            python_path: Some(vec![Box::from(&b"/embedded"[..])]),
            python_warnings: vec![Box::from(&b"error"[..])],
            python_optimize: Some(2),
            switch_interval: Some(0.5),
            restrict_stdout: Some(true),
            imports: [&b"shop"[..], b"", b"blog"]
                .map(|group| ImportScript {
                    script: b"/x.py"[..].into(),
                    process_group: group.into(),
                    application_group: b"a"[..].into(),
                    needs_python: true,
                    ..ImportScript::default()
                })
                .into(),
            ..ProcessSettings::default()
        };
        let options = "shop processes=2 threads=5 umask=027 home=/srv lang=de display-name=%{GROUP} python-path=/a:/b \
                       listen-backlog=7 send-buffer-size=1024 memory-limit=5 queue-timeout=4 socket-user=#7";
        let group = complete(options, Some(account(5)), &process);
        assert_eq!((group.processes, group.threads, group.multiprocess), (2, 5, true));
        assert!(group.foreign);
        assert_eq!((group.socket_user, group.backlog, group.socket_buffers), (7, 7, (1024, 0)));
        assert_eq!((group.umask, group.home.as_deref()), (Some(0o27), Some(&b"/srv"[..])));
        assert_eq!(group.environment, [(b"STAGE".to_vec(), b"test".to_vec())]);
        assert_eq!(group.display_name.as_deref(), Some(&b"(wsgi:shop)"[..]));
        assert_eq!(group.resources.memory, Some(5));
        let limits = group.limits;
        assert_eq!(
            (limits.queue, limits.socket),
            (Some(Duration::from_secs(4)), Some(Duration::from_secs(60)))
        );
        let python = group.python;
        assert_eq!(python.path, [b"/a".to_vec(), b"/b".to_vec()], "WSGIPythonPath is for embedded mode");
        assert_eq!((python.optimize, python.switch_interval, python.restrict_stdout), (2, 0.5, true));
        assert_eq!(python.warnings, [b"error".to_vec()]);
        let script = b"/x.py".to_vec();
        assert_eq!(group.imports, [Import { script, application_group: b"a".to_vec(), ..Import::default() }]);
    }

    #[test]
    fn a_new_root_changes_paths_and_no_modules() {
        let import = |script: &[u8], script_kind| ImportScript {
            script: script.into(),
            script_kind,
            callable: b"make"[..].into(),
            factory: true,
            process_group: b"shop"[..].into(),
            ..ImportScript::default()
        };
        let imports = vec![import(b"/jail/x.py", ScriptKind::File), import(b"/jail/x", ScriptKind::Module)];
        let process = ProcessSettings { imports, ..ProcessSettings::default() };
        let group = complete("shop chroot=/jail", Some(account(5)), &process);
        let import = |script: &[u8], script_kind| Import {
            script: script.to_vec(),
            script_kind,
            callable: b"make".to_vec(),
            factory: true,
            application_group: Vec::new(),
        };
        assert_eq!(
            group.imports,
            [import(b"/x.py", ScriptKind::File), import(b"/jail/x", ScriptKind::Module)]
        );
    }

    #[test]
    fn the_groups_own_values_win() {
        let process = ProcessSettings { switch_interval: Some(0.5), ..ProcessSettings::default() };
        let group = complete("shop switch-interval=0.25 socket-timeout=3", Some(account(33)), &process);
        assert_eq!(group.python.switch_interval, 0.25);
        assert_eq!(group.limits.socket, Some(Duration::from_secs(3)));
        assert!(!group.foreign, "the server's own user");
    }

    #[test]
    fn a_server_without_a_timeout_gives_none() {
        let process = ProcessSettings::default();
        for (options, expected) in [("shop", None), ("shop socket-timeout=3", Some(Duration::from_secs(3)))] {
            let draft = Draft { timeout: Duration::ZERO, ..draft(None) };
            assert_eq!(draft.complete(&parse(options), &process).limits.socket, expected);
        }
    }

    #[test]
    fn whoever_is_not_root_gives_nothing_away() {
        let group = complete("shop socket-user=#7", None, &ProcessSettings::default());
        assert_eq!((group.account, group.socket_user, group.foreign), (None, 33, false));
    }

    #[test]
    fn an_account_is_the_servers_where_nothing_else_is_said() {
        let nobody = User::named(b"nobody").unwrap();
        let own = Account::of(&parse("shop"), nobody.uid, 7, Dialect::Httpd).unwrap();
        assert_eq!((own.uid, own.gid), (nobody.uid, 7));
        assert_eq!(own.name.as_deref(), Some(&*nobody.name));
        let chosen =
            Account::of(&parse("shop user=nobody group=#8 supplementary-groups=#9"), 33, 7, Dialect::Httpd)
                .unwrap();
        assert_eq!((chosen.uid, chosen.gid, chosen.groups), (nobody.uid, 8, vec![8, 9]));
        assert_eq!(chosen.home.as_deref(), Some(&*nobody.home));
        let nameless = Account::of(&parse("shop"), 4_000_000_000, 7, Dialect::Httpd).unwrap();
        assert_eq!((&nameless.name, nameless.title()), (&None, "#4000000000".to_owned()));
        assert!(nameless.groups.is_empty());
    }

    #[test]
    fn root_runs_no_group() {
        let root = Account::of(&parse("shop"), 0, 0, Dialect::Nginx).unwrap_err();
        assert!(root.contains("blocked from running as root") && root.contains("or user who"), "{root}");
    }

    #[test]
    fn a_board_has_room_for_what_can_be_configured() {
        let most = parse("shop processes=32768 threads=512");
        assert!(most.threads <= CONNECTIONS);
        // Each process, and the one that replaces it.
        let (board, _descriptor) = Board::create(2 * most.processes, most.threads).unwrap();
        assert_eq!(board.processes(), 2 * most.processes);
    }
}
