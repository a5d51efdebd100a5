//! The options of `WSGIDaemonProcess`: one row says all there is to say of one. The parser, `docs/directives.md` and the
//! tests are made from it.

use super::value::{self, Accepted};
use super::{DaemonGroup, HEADER_BUFFER_SIZE, ScriptOwner};
use crate::config::value::on_off;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct DaemonOption {
    /// As written before the `=`.
    pub name: &'static str,
    /// What its value looks like.
    pub form: &'static str,
    /// What holds without it; `-` where that is nothing.
    pub default: &'static str,
    /// One clause, without a full stop.
    pub help: &'static str,
    /// What users of mod_wsgi know a bad value by.
    invalid: &'static str,
    setter: fn(&mut DaemonGroup, &[u8]) -> Result<(), Accepted>,
}

impl DaemonOption {
    /// Reads a value; the error says what is wrong and what is accepted.
    pub fn set(&self, group: &mut DaemonGroup, text: &[u8]) -> Result<(), String> {
        (self.setter)(group, text).map_err(|accepted| format!("{} Accepted: {accepted}", self.invalid))
    }
}

/// Half as many as a board has room for, since a process that ends and the one that replaces it are there together.
pub(super) const MOST_PROCESSES: u32 = 32_768;
/// Each serves one connection, and a process keeps no more of them open.
pub(super) const MOST_THREADS: u32 = 512;
/// Python itself wants more than half of it for the simplest program, in bytes.
const LEAST_STACK: u64 = 64 * 1024;
const MOST_STACK: u64 = 1 << 40;
/// `listen(2)` takes an `int`.
const MOST_BACKLOG: u32 = i32::MAX.cast_unsigned();
/// As many groups as Linux lets a process have (`NGROUPS_MAX`).
const MOST_GROUPS: usize = 65_536;

/// The whole table.
pub const OPTIONS: &[DaemonOption] = &[
    DaemonOption {
        name: "processes",
        form: "number",
        default: "1",
        help: "Processes of the group; given at all, `wsgi.multiprocess` is true",
        invalid: "Invalid process count for WSGI daemon process.",
        setter: |group, text| {
            group.processes = value::small(text, 1..=MOST_PROCESSES, "")?;
            group.multiprocess = true;
            Ok(())
        },
    },
    DaemonOption {
        name: "threads",
        form: "number",
        default: "15",
        help: "Threads of each process that serve requests; 0 runs import scripts only, again and again",
        invalid: "Invalid thread count for WSGI daemon process.",
        setter: |group, text| set(&mut group.threads, value::small(text, 0..=MOST_THREADS, "")),
    },
    DaemonOption {
        name: "user",
        form: "name or #uid",
        default: "`User` of the server",
        help: "User that the processes run as; has an effect when the server was started as root",
        invalid: "Invalid user for WSGI daemon process.",
        setter: user,
    },
    DaemonOption {
        name: "group",
        form: "name or #gid",
        default: "`Group` of the server",
        help: "Group that they run as; likewise",
        invalid: "Invalid group for WSGI daemon process.",
        setter: |group, text| set(&mut group.group, value::gid(text).map(Some)),
    },
    DaemonOption {
        name: "supplementary-groups",
        form: "name or #gid, ...",
        default: "those of the user",
        help: "Further groups of the processes",
        invalid: "Invalid supplementary groups for WSGI daemon process.",
        setter: supplementary_groups,
    },
    DaemonOption {
        name: "umask",
        form: "octal",
        default: "inherited",
        help: "Mask of the modes of new files",
        invalid: "Invalid umask for WSGI daemon process.",
        setter: |group, text| set(&mut group.umask, value::octal(text).map(Some)),
    },
    DaemonOption {
        name: "chroot",
        form: "directory",
        default: "-",
        help: "Root of the file system that the processes see",
        invalid: "Invalid chroot directory for WSGI daemon process.",
        setter: chroot,
    },
    DaemonOption {
        name: "home",
        form: "directory",
        default: "the home directory of a user other than the server's",
        help: "Working directory, and first entry of `sys.path`",
        invalid: "Invalid home directory for WSGI daemon process.",
        setter: |group, text| set(&mut group.home, value::directory(text).map(Some)),
    },
    DaemonOption {
        name: "lang",
        form: "text",
        default: "-",
        help: "`LANG` in the environment",
        invalid: "Invalid lang for WSGI daemon process.",
        setter: |group, text| {
            set(&mut group.lang, value::text(text, "a language, for example en_US.UTF-8").map(Some))
        },
    },
    DaemonOption {
        name: "locale",
        form: "text",
        default: "-",
        help: "`LC_ALL` in the environment, and the locale that is set",
        invalid: "Invalid locale for WSGI daemon process.",
        setter: |group, text| {
            set(&mut group.locale, value::text(text, "a locale, for example en_US.UTF-8").map(Some))
        },
    },
    DaemonOption {
        name: "display-name",
        form: "text",
        default: "-",
        help: "What `ps` shows; `%{GROUP}` stands for `(wsgi:name)`",
        invalid: "Invalid display name for WSGI daemon process.",
        setter: |group, text| {
            set(&mut group.display_name, value::text(text, "a text, or %{GROUP}").map(Some))
        },
    },
    DaemonOption {
        name: "python-home",
        form: "directory",
        default: "`WSGIPythonHome`",
        help: "Prefix of the Python installation, or root of the virtual environment",
        invalid: "Invalid python home for WSGI daemon process.",
        setter: |group, text| set(&mut group.python_home, value::text(text, "a directory").map(Some)),
    },
    DaemonOption {
        name: "python-path",
        form: "directory[:directory...]",
        default: "-",
        help: "Directories at the front of `sys.path`, whose `.pth` files are read",
        invalid: "Invalid python path for WSGI daemon process.",
        setter: |group, text| {
            group.python_path = value::search_path(text);
            Ok(())
        },
    },
    DaemonOption {
        name: "python-eggs",
        form: "directory",
        default: "-",
        help: "`PYTHON_EGG_CACHE`",
        invalid: "Invalid python eggs directory for WSGI daemon process.",
        setter: |group, text| set(&mut group.python_eggs, value::text(text, "a directory").map(Some)),
    },
    DaemonOption {
        name: "switch-interval",
        form: "seconds, with fraction",
        default: "Python's own",
        help: "After how long a thread lets another one run Python, as `sys.setswitchinterval`",
        invalid: "Invalid switch interval for WSGI daemon process.",
        setter: |group, text| set(&mut group.switch_interval, value::interval(text).map(Some)),
    },
    DaemonOption {
        name: "stack-size",
        form: "bytes",
        default: "the system's",
        help: "Stack of each thread that serves requests",
        invalid: "Invalid stack size for WSGI daemon process.",
        setter: |group, text| {
            set(
                &mut group.resources.stack_size,
                value::number(text, LEAST_STACK..=MOST_STACK, " of bytes").map(Some),
            )
        },
    },
    DaemonOption {
        name: "maximum-requests",
        form: "number",
        default: "0: off",
        help: "Requests after which a process is replaced",
        invalid: "Invalid maximum requests for WSGI daemon process.",
        setter: |group, text| {
            let most = value::number(text, 0..=u64::MAX, "").map_err(|_| "a whole number; 0 is off")?;
            group.limits.maximum_requests = (most > 0).then_some(most);
            Ok(())
        },
    },
    DaemonOption {
        name: "startup-timeout",
        form: "seconds",
        default: "0: off",
        help: "Time from the first request until its script is loaded; then the process is replaced",
        invalid: "Invalid startup timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.startup, value::timeout(text)),
    },
    DaemonOption {
        name: "shutdown-timeout",
        form: "seconds",
        default: "5",
        help: "Time that a process has to end before it is killed; 0 never kills it",
        invalid: "Invalid shutdown timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.shutdown, value::timeout(text)),
    },
    DaemonOption {
        name: "deadlock-timeout",
        form: "seconds",
        default: "300",
        help: "Time without Python's lock after which a process is replaced; 0 is off",
        invalid: "Invalid deadlock timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.deadlock, value::timeout(text)),
    },
    DaemonOption {
        name: "inactivity-timeout",
        form: "seconds",
        default: "0: off",
        help: "Time without a request after which a process that has had one is replaced",
        invalid: "Invalid inactivity timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.inactivity, value::timeout(text)),
    },
    DaemonOption {
        name: "request-timeout",
        form: "seconds",
        default: "0: off",
        help: "Age of a request, times 1 + ln(threads), at which its process is replaced",
        invalid: "Invalid request timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.request, value::timeout(text)),
    },
    DaemonOption {
        name: "interrupt-timeout",
        form: "seconds",
        default: "0: off",
        help: "Time that such a request has after `mod_wsgi.RequestTimeout` was raised in it",
        invalid: "Invalid interrupt timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.interrupt, value::timeout(text)),
    },
    DaemonOption {
        name: "graceful-timeout",
        form: "seconds",
        default: "15",
        help: "Time that requests have to end when their process is replaced",
        invalid: "Invalid graceful timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.graceful, value::timeout(text)),
    },
    DaemonOption {
        name: "eviction-timeout",
        form: "seconds",
        default: "0: `graceful-timeout`",
        help: "The same after `SIGUSR1`",
        invalid: "Invalid eviction timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.eviction, value::timeout(text)),
    },
    DaemonOption {
        name: "restart-interval",
        form: "seconds",
        default: "0: off",
        help: "Age at which a process is replaced",
        invalid: "Invalid restart interval for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.restart_interval, value::timeout(text)),
    },
    DaemonOption {
        name: "connect-timeout",
        form: "seconds",
        default: "15",
        help: "Time in which the server's process must have handed over a request; then 503",
        invalid: "Invalid connect timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.connect_timeout, value::seconds(text)),
    },
    DaemonOption {
        name: "socket-timeout",
        form: "seconds",
        default: "0: `Timeout` of the server",
        help: "Time for each read and write between the server's process and a daemon process; a line that the \
               application logs is a sign of life too",
        invalid: "Invalid socket timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.socket, value::timeout(text)),
    },
    DaemonOption {
        name: "queue-timeout",
        form: "seconds",
        default: "0: off",
        help: "Age at which a request that has waited for a thread is answered with 504",
        invalid: "Invalid queue timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.limits.queue, value::timeout(text)),
    },
    DaemonOption {
        name: "listen-backlog",
        form: "number",
        default: "100",
        help: "Requests that may wait for a thread; further ones are answered with 503",
        invalid: "Invalid listen backlog for WSGI daemon process.",
        setter: |group, text| set(&mut group.listen_backlog, value::small(text, 0..=MOST_BACKLOG, "")),
    },
    DaemonOption {
        name: "socket-user",
        form: "name or #uid",
        default: "`User` of the server",
        help: "Owner of the socket; has an effect when the server was started as root",
        invalid: "Invalid socket user for WSGI daemon process.",
        setter: |group, text| set(&mut group.socket_user, value::uid(text).map(Some)),
    },
    DaemonOption {
        name: "send-buffer-size",
        form: "bytes",
        default: "0: the system's",
        help: "`SO_SNDBUF` of the socket, at least 512",
        invalid: "Send buffer size must be >= 512 bytes, or 0 for system default.",
        setter: |group, text| set(&mut group.socket_buffers.0, value::buffer(text, 512)),
    },
    DaemonOption {
        name: "receive-buffer-size",
        form: "bytes",
        default: "0: the system's",
        help: "`SO_RCVBUF` of the socket, at least 512",
        invalid: "Receive buffer size must be >= 512 bytes, or 0 for system default.",
        setter: |group, text| set(&mut group.socket_buffers.1, value::buffer(text, 512)),
    },
    DaemonOption {
        name: "header-buffer-size",
        form: "bytes",
        default: "0: 32768",
        help: "Longest header line of a reply (fields of one name are one line), at least 8192; a whole head takes at most 131072",
        invalid: "Header buffer size must be >= 8192 bytes, or 0 for default.",
        setter: header_buffer_size,
    },
    DaemonOption {
        name: "response-socket-timeout",
        form: "seconds",
        default: "0: `socket-timeout`",
        help: "Time for each write of the reply to the client",
        invalid: "Invalid response socket timeout for WSGI daemon process.",
        setter: |group, text| set(&mut group.response_socket_timeout, value::timeout(text)),
    },
    DaemonOption {
        name: "script-user",
        form: "name or #uid",
        default: "-",
        help: "Owner that a script and its directory must have, with nobody else being able to write; else 403",
        invalid: "Invalid script user for WSGI daemon process.",
        setter: |group, text| script_owner(group, ScriptOwner::User(value::uid(text)?)),
    },
    DaemonOption {
        name: "script-group",
        form: "name or #gid",
        default: "-",
        help: "Group that they must have, with nobody outside it being able to write; else 403",
        invalid: "Invalid script group for WSGI daemon process.",
        setter: |group, text| script_owner(group, ScriptOwner::Group(value::gid(text)?)),
    },
    DaemonOption {
        name: "cpu-time-limit",
        form: "seconds",
        default: "0: off",
        help: "Processor time after which a process is replaced",
        invalid: "Invalid CPU time limit for WSGI daemon process.",
        setter: |group, text| set(&mut group.resources.cpu_time, value::timeout(text)),
    },
    DaemonOption {
        name: "cpu-priority",
        form: "-20 to 19",
        default: "0",
        help: "Nice value of the processes",
        invalid: "Invalid CPU priority for WSGI daemon process.",
        setter: |group, text| set(&mut group.resources.cpu_priority, value::nice(text)),
    },
    DaemonOption {
        name: "memory-limit",
        form: "bytes",
        default: "0: off",
        help: "Memory that a process may have (`RLIMIT_DATA`)",
        invalid: "Invalid memory limit for WSGI daemon process.",
        setter: |group, text| set(&mut group.resources.memory, value::limit(text)),
    },
    DaemonOption {
        name: "virtual-memory-limit",
        form: "bytes",
        default: "0: off",
        help: "Address space that a process may have (`RLIMIT_AS`)",
        invalid: "Invalid virtual memory limit for WSGI daemon process.",
        setter: |group, text| set(&mut group.resources.virtual_memory, value::limit(text)),
    },
    DaemonOption {
        name: "response-buffer-size",
        form: "bytes",
        default: "-",
        help: "Once the bytes of a reply after which it is sent; has no effect",
        invalid: "Response buffer size must be >= 65536 bytes, or 0 for default.",
        setter: response_buffer_size,
    },
    DaemonOption {
        name: "response-flush-delay",
        form: "milliseconds",
        default: "-",
        help: "Once the time for which a reply is held back; has no effect",
        invalid: "Invalid response flush delay for WSGI daemon process.",
        setter: response_flush_delay,
    },
    DaemonOption {
        name: "server-metrics",
        form: "on|off",
        default: "off",
        help: "Whether `mod_wsgi.server_metrics()` answers; not supported yet",
        invalid: "Invalid server metrics flag for WSGI daemon process.",
        setter: server_metrics,
    },
];

fn set<T>(field: &mut T, value: Result<T, Accepted>) -> Result<(), Accepted> {
    value.map(|value| *field = value)
}

fn user(group: &mut DaemonGroup, text: &[u8]) -> Result<(), Accepted> {
    let user = value::user(text)?;
    if user.uid == 0 {
        return Err("WSGI process blocked from running as root. A user other than root".to_owned());
    }
    group.user = Some(user);
    Ok(())
}

fn supplementary_groups(group: &mut DaemonGroup, text: &[u8]) -> Result<(), Accepted> {
    let groups: Vec<u32> = text.split(|byte| *byte == b',').map(value::gid).collect::<Result<_, _>>()?;
    if groups.len() > MOST_GROUPS {
        return Err(format!("Too many supplementary groups WSGI daemon process. At most {MOST_GROUPS}"));
    }
    group.supplementary_groups = Some(groups);
    Ok(())
}

fn chroot(group: &mut DaemonGroup, text: &[u8]) -> Result<(), Accepted> {
    let directory = value::directory(text)?;
    if !crate::os::Account::may_change() {
        let reason =
            "Cannot chroot WSGI daemon process when not root. Leave it out, or start the server as root";
        return Err(reason.to_owned());
    }
    group.chroot = Some(directory);
    Ok(())
}

fn header_buffer_size(group: &mut DaemonGroup, text: &[u8]) -> Result<(), Accepted> {
    let size = value::buffer(text, 8192)?;
    group.header_buffer_size = if size == 0 { HEADER_BUFFER_SIZE } else { size };
    Ok(())
}

fn script_owner(group: &mut DaemonGroup, owner: ScriptOwner) -> Result<(), Accepted> {
    let is_other = |given| std::mem::discriminant(&given) != std::mem::discriminant(&owner);
    if group.script_owner.is_some_and(is_other) {
        return Err("Only one of script-user and script-group allowed.".to_owned());
    }
    group.script_owner = Some(owner);
    Ok(())
}

fn response_buffer_size(group: &mut DaemonGroup, text: &[u8]) -> Result<(), Accepted> {
    value::buffer(text, 65_536)?;
    group.notices.push(
        "response-buffer-size= has no effect: each block of a reply is sent when the application yields it",
    );
    Ok(())
}

fn response_flush_delay(group: &mut DaemonGroup, text: &[u8]) -> Result<(), Accepted> {
    value::number(text, 0..=3_600_000, " of milliseconds")?;
    group.notices.push(
        "response-flush-delay= has no effect: each block of a reply is sent when the application yields it",
    );
    Ok(())
}

fn server_metrics(group: &mut DaemonGroup, text: &[u8]) -> Result<(), Accepted> {
    if on_off(text).ok_or("one of: on | off")? {
        group.notices.push("server-metrics=on has no effect: it is not supported yet; use mod_status for the server's figures");
    }
    Ok(())
}
