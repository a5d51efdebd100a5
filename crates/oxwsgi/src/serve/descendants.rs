//! Processes below this one, as the kernel tells of them in `/proc`: the server, the application's processes, and whatever
//! these have started, even when what started it has ended.

#![forbid(unsafe_code)]

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};

use crate::problem::Problem;

/// Makes processes below ours ours when their parents end, instead of the system's first process's: so they are found,
/// and none is left behind.
///
/// # Errors
/// The kernel has no such thing.
pub fn adopt_orphans() -> Result<(), Problem> {
    set_child_subreaper(Some(getpid()))
        .map_err(|error| Problem::new(format!("Processes cannot be kept together: {error}")))
}

/// Sends `signal` to the process numbered `pid` if it is below ours: its number may belong to another by now.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw).filter(|pid| is_below_us(*pid)) {
        let _ = kill_process(pid, signal);
    }
}

/// Ends all that are below ours; `known` is waited for by somebody else.
pub fn kill_all(known: Pid) {
    // One that forks between the look and the signal leaves a child for the next look.
    for _ in 0..100 {
        let is_running = |pid: &Pid| stat(*pid).is_some_and(|(state, _)| state != 'Z') && is_below_us(*pid);
        let below: Vec<Pid> = all().filter(is_running).collect();
        if below.is_empty() {
            break;
        }
        for pid in below {
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(1));
    }
    reap_orphans(known);
}

/// Lets go of adopted processes that have ended, `known` excepted.
pub fn reap_orphans(known: Pid) {
    let own = getpid();
    let has_ended = |pid: &Pid| *pid != known && stat(*pid) == Some(('Z', own));
    for pid in all().filter(has_ended) {
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

fn all() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
}

fn is_below_us(pid: Pid) -> bool {
    let own = getpid();
    let mut current = Some(pid);
    while let Some(parent) = current.and_then(stat).map(|(_, parent)| parent) {
        if parent == own {
            return true;
        }
        current = Some(parent);
    }
    false
}

/// State and parent of a process (`proc_pid_stat(5)`); its name, in parentheses, may hold anything.
fn stat(pid: Pid) -> Option<(char, Pid)> {
    let text = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok().and_then(Pid::from_raw)?))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep")
    }

    #[test]
    fn children_are_below_us_and_others_are_not() {
        let mut child = sleeper();
        assert!(is_below_us(Pid::from_child(&child)));
        assert!(!is_below_us(Pid::INIT));
        assert!(!is_below_us(getpid()));
        signal(child.id(), Signal::TERM);
        assert!(!child.wait().expect("the end").success());
    }

    #[test]
    fn the_state_follows_a_name_with_anything_in_it() {
        let mut child = sleeper();
        let (state, parent) = stat(Pid::from_child(&child)).expect("a process");
        assert!(state.is_ascii_uppercase());
        assert_eq!(parent, getpid());
        let _ = child.kill();
        let _ = child.wait();
    }
}
