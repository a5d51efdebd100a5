//! Supervisors as children that httpd waits for: it asks about each child that it does not know, and would call one that ends
//! after its generation lost.

#![allow(unsafe_code, reason = "registers processes with apr")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{decode, encode};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::apache::ffi;
use crate::apache::kept::Kept;
use crate::apache::pool::Pool;
use crate::apache::record::Server;

/// Under this name are the numbers of supervisors of earlier generations.
const ELDERS: &CStr = c"oxwsgi-supervisors";

/// What httpd calls when it hears of the process: a reason, the data it was registered with, and how the process ended.
pub type Heard = unsafe extern "C" fn(c_int, *mut c_void, c_int);

/// Has `heard` called when the process of that number ends, until `pool` is cleared.
pub fn register(pool: Pool<'_>, pid: u32, heard: Heard) {
    // SAFETY: a process's record is plain numbers and pointers, and zero is a value of each.
    let mut process: ffi::apr_proc_t = unsafe { std::mem::zeroed() };
    process.pid = pid.cast_signed();
    let process: *mut ffi::apr_proc_t = pool.room(1)[0].write(process);
    // SAFETY: the record lasts as long as the pool, with which its registration ends; its address is nobody else's.
    unsafe {
        ffi::apr_proc_other_child_register(
            process,
            Some(heard),
            process.cast(),
            ptr::null_mut(),
            pool.as_raw(),
        );
    }
}

/// Remembers a supervisor whose generation has ended.
pub fn add_elder(main: Server<'_>, pid: u32) {
    let mut elders = elders(main);
    elders.push(pid);
    Kept::new(main, ELDERS).set(&encode(&elders));
}

/// Registers the supervisors of earlier generations that go on; those that have ended are forgotten.
pub fn register_elders(pool: Pool<'_>, main: Server<'_>) {
    let known = elders(main);
    if known.is_empty() {
        return;
    }
    let alive: Vec<u32> = known.into_iter().filter(|pid| is_child(*pid)).collect();
    for pid in &alive {
        register(pool, *pid, elder_changed);
    }
    Kept::new(main, ELDERS).set(&encode(&alive));
}

fn elders(main: Server<'_>) -> Vec<u32> {
    Kept::new(main, ELDERS).get().and_then(decode).unwrap_or_default()
}

/// Whether the process is a child of ours that has not ended.
pub fn is_child(pid: u32) -> bool {
    let pid = Pid::from_raw(pid.cast_signed());
    pid.is_some_and(|pid| matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None)))
}

/// That is all there is to hear of it, and httpd asks for no more.
unsafe extern "C" fn elder_changed(reason: c_int, data: *mut c_void, _status: c_int) {
    if matches!(reason, ffi::APR_OC_REASON_DEATH | ffi::APR_OC_REASON_LOST) {
        // SAFETY: the data that it was registered with, which httpd has a record of until this call.
        unsafe { ffi::apr_proc_other_child_unregister(data) };
    }
}

/// Waits for the end of a child, at most for `limit`.
pub fn await_end(pid: u32, limit: Duration) {
    let deadline = Instant::now() + limit;
    while is_child(pid) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}
