//! Good and bad values of each option, and its limits.

use std::collections::BTreeSet;

use super::*;

fn parse(line: &str) -> Result<DaemonGroup, String> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    DaemonGroup::parse(&words, Host::Main).map_err(|error| error.to_string())
}

/// Whether the right field has the right value.
type Holds = fn(&DaemonGroup) -> bool;

const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

fn is(field: &Option<Box<[u8]>>, text: &str) -> bool {
    field.as_deref() == Some(text.as_bytes())
}

const GOOD: &[(&str, Holds)] = &[
    ("processes=1", |group| group.processes == 1 && group.multiprocess),
    ("processes=32768", |group| group.processes == 32_768),
    ("threads=0", |group| group.threads == 0 && !group.multiprocess),
    ("threads=512", |group| group.threads == 512),
    ("user=nobody", |group| group.user.as_ref().is_some_and(|user| &*user.name == b"nobody")),
    ("group=#65534", |group| group.group == Some(65_534)),
    ("group=root", |group| group.group == Some(0)),
    ("supplementary-groups=#7,root,#4294967294", |group| {
        group.supplementary_groups.as_deref() == Some(&[7, 0, 4_294_967_294])
    }),
    ("umask=0027", |group| group.umask == Some(0o027)),
    ("umask=0", |group| group.umask == Some(0)),
    ("umask=777", |group| group.umask == Some(0o777)),
    ("home=/srv/shop", |group| is(&group.home, "/srv/shop")),
    ("lang=en_US.UTF-8", |group| is(&group.lang, "en_US.UTF-8")),
    ("locale=C.UTF-8", |group| is(&group.locale, "C.UTF-8")),
    ("display-name=%{GROUP}", |group| group.display_name() == Some(b"(wsgi:shop)".to_vec())),
    ("display-name=<%{GROUP}%{X}>", |group| group.display_name() == Some(b"<(wsgi:shop)%{X}>".to_vec())),
    ("python-home=/srv/shop/venv", |group| is(&group.python_home, "/srv/shop/venv")),
    ("python-path=/a::/b", |group| group.python_path == [Box::from(&b"/a"[..]), Box::from(&b"/b"[..])]),
    ("python-path=", |group| group.python_path.is_empty()),
    ("python-eggs=/eggs", |group| is(&group.python_eggs, "/eggs")),
    ("switch-interval=0.25", |group| group.switch_interval == Some(0.25)),
    ("stack-size=65536", |group| group.resources.stack_size == Some(65_536)),
    ("maximum-requests=5000000000", |group| group.limits.maximum_requests == Some(5_000_000_000)),
    ("maximum-requests=0", |group| group.limits.maximum_requests.is_none()),
    ("startup-timeout=1", |group| group.limits.startup == seconds(1)),
    ("shutdown-timeout=0", |group| group.limits.shutdown.is_none()),
    ("deadlock-timeout=0", |group| group.limits.deadlock.is_none()),
    ("inactivity-timeout=2", |group| group.limits.inactivity == seconds(2)),
    ("request-timeout=3", |group| group.limits.request == seconds(3)),
    ("interrupt-timeout=4", |group| group.limits.interrupt == seconds(4)),
    ("graceful-timeout=0", |group| group.limits.graceful.is_none()),
    ("eviction-timeout=5", |group| group.limits.eviction == seconds(5)),
    ("restart-interval=1000000000", |group| group.limits.restart_interval == seconds(1_000_000_000)),
    ("connect-timeout=0", |group| group.connect_timeout.is_zero()),
    ("socket-timeout=6", |group| group.limits.socket == seconds(6)),
    ("queue-timeout=7", |group| group.limits.queue == seconds(7)),
    ("listen-backlog=0", |group| group.listen_backlog == 0),
    ("listen-backlog=2147483647", |group| group.listen_backlog == 2_147_483_647),
    ("socket-user=#1234567", |group| group.socket_user == Some(1_234_567)),
    ("socket-user=root", |group| group.socket_user == Some(0)),
    ("send-buffer-size=512", |group| group.socket_buffers == (512, 0)),
    ("receive-buffer-size=0", |group| group.socket_buffers == (0, 0)),
    ("receive-buffer-size=4096", |group| group.socket_buffers == (0, 4096)),
    ("header-buffer-size=8192", |group| group.header_buffer_size == 8192),
    ("header-buffer-size=0", |group| group.header_buffer_size == 32_768),
    ("response-socket-timeout=8", |group| group.response_socket_timeout == seconds(8)),
    ("script-user=root", |group| group.script_owner == Some(ScriptOwner::User(0))),
    ("script-group=#33", |group| group.script_owner == Some(ScriptOwner::Group(33))),
    ("cpu-time-limit=9", |group| group.resources.cpu_time == seconds(9)),
    ("cpu-priority=-20", |group| group.resources.cpu_priority == -20),
    ("cpu-priority=19", |group| group.resources.cpu_priority == 19),
    ("memory-limit=18446744073709551615", |group| group.resources.memory == Some(u64::MAX)),
    ("memory-limit=0", |group| group.resources.memory.is_none()),
    ("virtual-memory-limit=10", |group| group.resources.virtual_memory == Some(10)),
    ("response-buffer-size=65536", |group| {
        group.notices[0].starts_with("response-buffer-size= has no effect")
    }),
    ("response-flush-delay=0", |group| group.notices[0].starts_with("response-flush-delay= has no effect")),
    ("server-metrics=ON", |group| group.notices[0].starts_with("server-metrics=on has no effect")),
    ("server-metrics=off", |group| group.notices.is_empty()),
];

#[test]
fn what_is_accepted() {
    for (option, holds) in GOOD {
        let group = parse(&format!("shop {option}")).unwrap_or_else(|error| panic!("{option}: {error}"));
        assert!(holds(&group), "{option}: {group:?}");
    }
}

/// An option, and parts of what is said of it.
const BAD: &[(&str, &[&str])] = &[
    ("processes=0", &["Invalid process count for WSGI daemon process.", "a whole number from 1 to 32768"]),
    ("processes=32769", &["Invalid process count"]),
    ("threads=abc", &["Invalid thread count for WSGI daemon process.", "a whole number from 0 to 512"]),
    ("threads=5x", &["Invalid thread count"]),
    ("threads=513", &["Invalid thread count"]),
    ("user=", &["Invalid user for WSGI daemon process.", "the name of a user of this system, or #uid"]),
    ("user=no:such", &["Invalid user for WSGI daemon process."]),
    ("user=#", &["Invalid user"]),
    ("user=#4294967295", &["Invalid user"]),
    ("user=#4294967294", &["Couldn't determine user name from uid."]),
    ("user=#0", &["WSGI process blocked from running as root."]),
    ("user=root", &["WSGI process blocked from running as root."]),
    (
        "group=no:such",
        &["Invalid group for WSGI daemon process.", "the name of a group of this system, or #gid"],
    ),
    ("supplementary-groups=root,", &["Invalid supplementary groups for WSGI daemon process."]),
    ("umask=8", &["Invalid umask for WSGI daemon process.", "an octal number from 0 to 777"]),
    ("umask=1000", &["Invalid umask"]),
    ("umask=-1", &["Invalid umask"]),
    ("umask=", &["Invalid umask"]),
    ("chroot=jail", &["Invalid chroot directory for WSGI daemon process.", "an absolute path"]),
    ("home=shop", &["Invalid home directory for WSGI daemon process.", "an absolute path"]),
    ("lang=", &["Invalid lang for WSGI daemon process."]),
    ("locale=", &["Invalid locale for WSGI daemon process."]),
    ("display-name=", &["Invalid display name for WSGI daemon process."]),
    ("python-home=", &["Invalid python home for WSGI daemon process."]),
    ("python-eggs=", &["Invalid python eggs directory for WSGI daemon process."]),
    (
        "switch-interval=0",
        &["Invalid switch interval for WSGI daemon process.", "a number of seconds above 0"],
    ),
    ("switch-interval=nan", &["Invalid switch interval"]),
    (
        "stack-size=65535",
        &["Invalid stack size for WSGI daemon process.", "a whole number of bytes from 65536"],
    ),
    (
        "maximum-requests=-1",
        &["Invalid maximum requests for WSGI daemon process.", "a whole number; 0 is off"],
    ),
    ("startup-timeout=1.5", &["Invalid startup timeout for WSGI daemon process.", "of seconds", "0 is off"]),
    ("shutdown-timeout=x", &["Invalid shutdown timeout for WSGI daemon process."]),
    ("deadlock-timeout=5m", &["Invalid deadlock timeout for WSGI daemon process."]),
    ("inactivity-timeout=", &["Invalid inactivity timeout for WSGI daemon process."]),
    ("request-timeout=-1", &["Invalid request timeout for WSGI daemon process."]),
    ("interrupt-timeout=+1", &["Invalid interrupt timeout for WSGI daemon process."]),
    ("graceful-timeout= 1", &["Invalid graceful timeout for WSGI daemon process."]),
    ("eviction-timeout=0x1", &["Invalid eviction timeout for WSGI daemon process."]),
    ("restart-interval=1000000001", &["Invalid restart interval for WSGI daemon process."]),
    ("connect-timeout=x", &["Invalid connect timeout for WSGI daemon process."]),
    ("socket-timeout=x", &["Invalid socket timeout for WSGI daemon process."]),
    ("queue-timeout=99999999999999999999", &["Invalid queue timeout for WSGI daemon process."]),
    ("listen-backlog=2147483648", &["Invalid listen backlog for WSGI daemon process."]),
    ("socket-user=no:such", &["Invalid socket user for WSGI daemon process."]),
    ("send-buffer-size=511", &["Send buffer size must be >= 512 bytes, or 0 for system default."]),
    ("receive-buffer-size=1k", &["Receive buffer size must be >= 512 bytes, or 0 for system default."]),
    ("header-buffer-size=8191", &["Header buffer size must be >= 8192 bytes, or 0 for default."]),
    ("response-socket-timeout=x", &["Invalid response socket timeout for WSGI daemon process."]),
    ("script-user=no:such", &["Invalid script user for WSGI daemon process."]),
    ("script-group=#x", &["Invalid script group for WSGI daemon process."]),
    ("cpu-time-limit=x", &["Invalid CPU time limit for WSGI daemon process."]),
    ("cpu-priority=20", &["Invalid CPU priority for WSGI daemon process.", "from -20 to 19"]),
    ("cpu-priority=+1", &["Invalid CPU priority"]),
    (
        "memory-limit=1G",
        &["Invalid memory limit for WSGI daemon process.", "a whole number of bytes; 0 is off"],
    ),
    ("virtual-memory-limit=-1", &["Invalid virtual memory limit for WSGI daemon process."]),
    ("response-buffer-size=1", &["Response buffer size must be >= 65536 bytes, or 0 for default."]),
    ("response-flush-delay=x", &["Invalid response flush delay for WSGI daemon process.", "of milliseconds"]),
    ("server-metrics=maybe", &["Invalid server metrics flag for WSGI daemon process.", "one of: on | off"]),
    (
        "Threads=1",
        &["Invalid option to WSGI daemon process definition.", "One of processes=, threads=, user="],
    ),
    ("threads", &["Invalid option to WSGI daemon process definition."]),
    ("=1", &["Invalid option to WSGI daemon process definition."]),
];

#[test]
fn what_is_refused() {
    for (option, parts) in BAD {
        // The last word as it is, blanks and all.
        let words = [b"shop", option.as_bytes()];
        let message = DaemonGroup::parse(&words, Host::Main).expect_err(option).to_string();
        assert!(message.starts_with(&format!("'{option}' is not accepted; ")), "{message}");
        for part in *parts {
            assert!(message.contains(part), "{option}: {message}");
        }
    }
}

#[test]
fn each_option_has_its_tests() {
    fn names(list: impl Iterator<Item = &'static str>) -> BTreeSet<&'static str> {
        list.filter_map(|option| option.split_once('=')).map(|(name, _)| name).collect()
    }
    let (good, bad) = (names(GOOD.iter().map(|row| row.0)), names(BAD.iter().map(|row| row.0)));
    for option in OPTIONS {
        // Any text is a list of directories; a new root is root's alone to set.
        let name = option.name;
        assert!(good.contains(name) || name == "chroot", "{name} has no test of what it sets");
        assert!(bad.contains(name) || name == "python-path", "{name} has no test of a bad value");
    }
    let known: BTreeSet<_> = OPTIONS.iter().map(|option| option.name).collect();
    assert_eq!(known.len(), OPTIONS.len(), "a name is there twice");
}

/// The options of mod_wsgi 6.0.5.
const REFERENCE: &str = "processes threads user group supplementary-groups umask chroot home lang locale display-name \
    python-home python-path python-eggs switch-interval stack-size maximum-requests startup-timeout shutdown-timeout \
    deadlock-timeout inactivity-timeout request-timeout interrupt-timeout graceful-timeout eviction-timeout \
    restart-interval connect-timeout socket-timeout queue-timeout listen-backlog socket-user send-buffer-size \
    receive-buffer-size header-buffer-size response-buffer-size response-socket-timeout response-flush-delay script-user \
    script-group cpu-time-limit cpu-priority memory-limit virtual-memory-limit server-metrics";

#[test]
fn all_options_of_the_reference_are_known() {
    for name in REFERENCE.split_whitespace() {
        assert!(OPTIONS.iter().any(|option| option.name == name), "{name}");
    }
}

#[test]
fn a_new_root_is_roots_to_set() {
    match parse("shop chroot=/srv/jail") {
        Ok(group) => assert!(crate::os::Account::may_change() && is(&group.chroot, "/srv/jail")),
        Err(message) => {
            assert!(!crate::os::Account::may_change());
            assert!(message.contains("Cannot chroot WSGI daemon process when not root."), "{message}");
        }
    }
}

#[test]
fn a_name_is_needed() {
    for line in ["", " threads=1"] {
        assert_eq!(parse(line).unwrap_err(), "Name of WSGI daemon process not supplied.");
    }
    assert_eq!(
        DaemonGroup::parse(&[], Host::Main).unwrap_err().to_string(),
        "Name of WSGI daemon process not supplied."
    );
    let message = parse("%{GLOBAL}").unwrap_err();
    assert!(message.starts_with("'%{GLOBAL}' is not accepted; a name that does not begin with"), "{message}");
}

#[test]
fn defaults() {
    let group = parse("shop").unwrap();
    assert_eq!(group, DaemonGroup::new(b"shop", Host::Main));
    assert_eq!((group.processes, group.threads, group.multiprocess), (1, 15, false));
    let Limits { deadlock, graceful, shutdown, .. } = group.limits;
    assert_eq!((deadlock, graceful, shutdown), (seconds(300), seconds(15), seconds(5)));
    let on = Limits { deadlock: None, graceful: None, shutdown: None, ..group.limits };
    assert_eq!(on, Limits::default(), "everything else is off");
    assert_eq!(group.connect_timeout, Duration::from_secs(15));
    assert_eq!((group.listen_backlog, group.header_buffer_size, group.socket_buffers), (100, 32_768, (0, 0)));
    assert_eq!(group.resources, Resources::default());
}

#[test]
fn the_last_value_counts_and_owners_exclude_each_other() {
    assert_eq!(parse("shop threads=1 threads=2").unwrap().threads, 2);
    assert!(parse("shop script-user=root script-user=#33").is_ok());
    let message = parse("shop script-user=root script-group=root").unwrap_err();
    assert!(message.contains("Only one of script-user and script-group allowed."), "{message}");
}
