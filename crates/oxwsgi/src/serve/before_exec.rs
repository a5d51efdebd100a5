//! What a child process does between `fork` and `exec`: give up root, and tie its life to ours.
//!
//! Used to start the server and to run a site's Python. This is the only file of the command with unsafe code, because
//! `pre_exec` is unsafe: the closures here only make system calls.

#![allow(unsafe_code, reason = "CommandExt::pre_exec is an unsafe function")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::serve::account::Account;

/// Makes the child end with `signal` when the thread that starts it ends, however that happens, `SIGKILL` included.
///
/// The kernel watches the starting *thread* (`PR_SET_PDEATHSIG` in prctl(2)), so only the main thread may start it.
pub fn end_with_us(command: &mut Command, signal: Signal) {
    let parent: Pid = getpid();
    let tie = move || {
        set_parent_process_death_signal(Some(signal))?;
        // Between fork and the call above the parent may already have gone; then no signal will ever come.
        if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    // SAFETY: the closure runs in the forked child. It makes two system calls and touches no lock, no allocator and no
    // state of another thread; its error is one of the kinds that need no allocation.
    unsafe { command.pre_exec(tie) };
}

/// Makes the child run as `account`, with its groups only.
pub fn run_as(command: &mut Command, account: &Account) {
    let (uid, gid, groups) = (account.uid, account.gid, account.groups.clone());
    let drop_root = move || {
        // A forked child has one thread, so the calls for one thread are calls for the process.
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    };
    // SAFETY: the closure runs in the forked child. It makes three system calls over memory it owns, and touches no
    // lock, no allocator and no state of another thread.
    unsafe { command.pre_exec(drop_root) };
}
