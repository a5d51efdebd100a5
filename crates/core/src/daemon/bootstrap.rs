//! The command line and the environment with which the supervisor executes a group's `python`, so that it loads the runtime and
//! becomes a worker. Executes nothing itself.
//!
//! The worker finds its end of the control socket at [`CONTROL`], and learns everything else over that.

#![forbid(unsafe_code)]

use super::plan::Group;

/// Descriptor of the control socket in a new worker.
pub const CONTROL: i32 = 3;

const SOURCE: &str = include_str!("bootstrap.py");

/// The words of the command; the first is the program to execute.
pub fn command(group: &Group) -> Vec<Vec<u8>> {
    let python = &group.python;
    let mut words = vec![python.executable.clone()];
    if python.isolated {
        words.extend([b"-E".to_vec(), b"-s".to_vec()]);
    }
    words.extend((0..python.optimize).map(|_| b"-O".to_vec()));
    words.extend(python.dont_write_bytecode.then(|| b"-B".to_vec()));
    for warning in &python.warnings {
        words.extend([b"-W".to_vec(), warning.clone()]);
    }
    words.extend([b"-c".to_vec(), source().into_bytes(), python.runtime.clone()]);
    // For whoever reads a list of processes.
    words.push([b"wsgi:", group.name.as_slice()].concat());
    words
}

/// Without what is for readers only: a list of processes shows it.
fn source() -> String {
    let lines = SOURCE.lines().filter(|line| !line.is_empty() && !line.trim_start().starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Variables to set, beside what the supervisor lets the group have of its own environment. They decide how Python starts
/// (its encoding, its hashes, the user's site-packages), so they are there before it does.
pub fn environment(group: &Group) -> Vec<(&'static str, Vec<u8>)> {
    let account = group.account.as_ref();
    let name = account.and_then(|account| account.name.clone());
    let variables = [
        ("USER", name.clone()),
        ("LOGNAME", name),
        ("HOME", account.and_then(|account| account.home.clone())),
        ("LANG", group.lang.clone()),
        ("LC_ALL", group.locale.clone()),
        // The worker takes it out again, for the processes that an application starts are not meant.
        (HASH_SEED, group.python.hash_seed.clone()),
    ];
    variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The variable that decides about Python's hashes.
pub const HASH_SEED: &str = "PYTHONHASHSEED";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::{Account, Limits, LogTarget, Python, Resources};
    use crate::report::Level;

    fn group() -> Group {
        Group {
            name: b"g".to_vec(),
            processes: 1,
            threads: 1,
            multiprocess: false,
            account: Some(Account {
                uid: 7,
                gid: 7,
                groups: Vec::new(),
                name: Some(b"site".to_vec()),
                home: None,
            }),
            foreign: true,
            socket: Vec::new(),
            socket_user: 0,
            backlog: 100,
            socket_buffers: (0, 0),
            log: LogTarget::Descriptor(2, Level::Info),
            umask: None,
            chroot: None,
            home: None,
            lang: Some(b"de_DE.UTF-8".to_vec()),
            locale: None,
            environment: Vec::new(),
            display_name: None,
            resources: Resources::default(),
            limits: Limits::default(),
            python: Python {
                executable: b"/venv/bin/python".to_vec(),
                runtime: b"/r.so".to_vec(),
                isolated: true,
                optimize: 2,
                dont_write_bytecode: true,
                warnings: vec![b"error".to_vec()],
                hash_seed: Some(b"7".to_vec()),
                ..Python::default()
            },
            imports: Vec::new(),
        }
    }

    #[test]
    fn the_command_says_how_python_starts() {
        let words = command(&group());
        let words: Vec<&str> = words.iter().map(|word| str::from_utf8(word).unwrap()).collect();
        assert_eq!(words[..9], ["/venv/bin/python", "-E", "-s", "-O", "-O", "-B", "-W", "error", "-c"]);
        assert!(words[9].starts_with("import sys\n") && words[9].ends_with("run()\n"), "{}", words[9]);
        assert_eq!(words[10..], ["/r.so", "wsgi:g"]);
    }

    #[test]
    fn the_environment_has_what_is_known() {
        let environment = environment(&group());
        let expected = [("USER", "site"), ("LOGNAME", "site"), ("LANG", "de_DE.UTF-8"), (HASH_SEED, "7")];
        assert_eq!(environment, expected.map(|(name, value)| (name, value.as_bytes().to_vec())));
    }
}
